#include "libs/dns/cares_resolver.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "libs/base/task.h"
#include "libs/dns/drive.h"
#include "libs/dns/scripted_server.h"

namespace godwit::dns {
namespace {

using base::DnsAnswer;
using base::DnsOutcome;
using base::DnsType;
using Query = ScriptedServer::Query;
using Reply = std::optional<std::string>;

std::unique_ptr<CaresResolver> ResolverFor(std::vector<const ScriptedServer*> servers,
                                           bool trusted = true) {
  CaresOptions options;
  for (const ScriptedServer* server : servers) {
    options.servers.push_back({*base::IpAddress::Parse("127.0.0.1"), server->port(), trusted});
  }
  options.timeout = absl::Milliseconds(100);
  auto resolver = CaresResolver::Create(options);
  REQUIRE(resolver.ok());
  return *std::move(resolver);
}

DnsAnswer Ask(Resolver* resolver, const std::string& name, DnsType type) {
  return base::RunBlocking(resolver->Resolve({name, type}));
}

Reply OneAddress(const Query& query) {
  return ReplyBuilder(query.bytes)
      .Authentic()
      .Answer(query.message.question, DnsType::kA, 60, AddressData("192.0.2.1"))
      .bytes();
}

TEST_CASE("An answer comes over UDP, with AD from a trusted server only", "[dns][net]") {
  const bool trusted = GENERATE(true, false);
  ScriptedServer server(OneAddress);
  const auto resolver = ResolverFor({&server}, trusted);
  const DnsAnswer answer = Ask(resolver.get(), "Mail.Example", DnsType::kA);
  CHECK(answer.outcome == DnsOutcome::kOk);
  CHECK(answer.error == "");
  CHECK(answer.canonical_name == "mail.example");
  CHECK(answer.authentic == trusted);
  REQUIRE(server.seen().size() == 1);
  CHECK(server.seen()[0].message.authentic);  // AD is asked for
  CHECK_FALSE(server.seen()[0].tcp);
}

TEST_CASE("A truncated answer is asked again over TCP", "[dns][net]") {
  const std::string big(250, 'x');
  ScriptedServer server([&](const Query& query) -> Reply {
    ReplyBuilder reply(query.bytes);
    if (!query.tcp) return reply.Truncated().bytes();
    for (int i = 0; i < 20; ++i) {
      reply.Answer(query.message.question, DnsType::kTxt, 60, TextData({big, big}));
    }
    return reply.bytes();
  });
  const auto resolver = ResolverFor({&server});
  const DnsAnswer answer = Ask(resolver.get(), "big.example", DnsType::kTxt);
  CHECK(answer.texts.size() == 20);
  CHECK(server.queries() == 2);
}

TEST_CASE("An answer of 1,200 octets is taken over UDP", "[dns][net]") {
  ScriptedServer server([&](const Query& query) -> Reply {
    return ReplyBuilder(query.bytes)
        .Answer(query.message.question, DnsType::kTxt, 60,
                TextData(std::vector<std::string>(4, std::string(250, 'k'))))
        .bytes();
  });
  const auto resolver = ResolverFor({&server});
  CHECK(Ask(resolver.get(), "key.example", DnsType::kTxt).texts.size() == 1);
  CHECK(server.queries() == 1);
}

TEST_CASE("A lost packet is asked again, up to the attempts", "[dns][net]") {
  const int answer_at = GENERATE(2, 3, 99);
  ScriptedServer server([&](const Query& query) -> Reply {
    if (query.number < answer_at) return std::nullopt;
    return OneAddress(query);
  });
  const auto resolver = ResolverFor({&server});
  const DnsAnswer answer = Ask(resolver.get(), "a.example", DnsType::kA);
  CHECK(answer.found() == (answer_at <= 3));
  CHECK(server.queries() == std::min(answer_at, 3));
  if (!answer.found()) CHECK(answer.error.find("127.0.0.1") != std::string::npos);
}

TEST_CASE("A server that fails is followed by the next; the one that answered is asked first then",
          "[dns][net]") {
  ScriptedServer broken(
      [](const Query& query) -> Reply { return ReplyBuilder(query.bytes).Rcode(2).bytes(); });
  ScriptedServer good(OneAddress);
  const auto resolver = ResolverFor({&broken, &good});
  CHECK(Ask(resolver.get(), "a.example", DnsType::kA).found());
  const int asked = broken.queries();
  CHECK(asked >= 1);
  CHECK(Ask(resolver.get(), "b.example", DnsType::kA).found());
  CHECK(broken.queries() == asked);
}

TEST_CASE(
    "SERVFAIL of the only server is a temporary failure at once, and the next question is well",
    "[dns][net]") {
  // c-ares turns EDNS off for a whole channel after a SERVFAIL: later answers over 512 octets went
  // to TCP.
  ScriptedServer server([](const Query& query) -> Reply {
    if (query.message.question == "bogus.example") {
      return ReplyBuilder(query.bytes).Rcode(2).bytes();
    }
    return ReplyBuilder(query.bytes)
        .Answer(query.message.question, DnsType::kTxt, 60,
                TextData(std::vector<std::string>(4, std::string(250, 'k'))))
        .bytes();
  });
  const auto resolver = ResolverFor({&server});
  const DnsAnswer answer = Ask(resolver.get(), "bogus.example", DnsType::kTxt);
  CHECK(answer.outcome == DnsOutcome::kTempFail);
  CHECK(answer.error.find("SERVFAIL") != std::string::npos);
  CHECK(server.queries() <= 2);
  const int before = server.queries();
  CHECK(Ask(resolver.get(), "good.example", DnsType::kTxt).found());
  CHECK(server.queries() == before + 1);
  CHECK_FALSE(server.seen().back().tcp);
}

TEST_CASE("Nonsense, another question's answer and a wrong id are no answers", "[dns][net]") {
  const int kind = GENERATE(0, 1, 2);
  ScriptedServer server([&](const Query& query) -> Reply {
    std::string reply = *OneAddress(query);
    if (kind == 0) return reply.substr(0, reply.size() - 3);
    if (kind == 1) reply[13] = 'z';  // the first letter of the question
    if (kind == 2) reply[0] = static_cast<char>(reply[0] ^ 1);
    return reply;
  });
  const auto resolver = ResolverFor({&server});
  CHECK(Ask(resolver.get(), "a.example", DnsType::kA).outcome == DnsOutcome::kTempFail);
}

TEST_CASE("A name that can't be asked does not exist and is not asked", "[dns][net]") {
  ScriptedServer server(OneAddress);
  const auto resolver = ResolverFor({&server});
  for (const std::string& name : {std::string("a..example"), std::string(64, 'x') + ".example"}) {
    CHECK(Ask(resolver.get(), name, DnsType::kA).outcome == DnsOutcome::kNoDomain);
  }
  CHECK(server.queries() == 0);
  CHECK(Ask(resolver.get(), "odd name.example", DnsType::kA).found());
}

TEST_CASE("A thousand questions at the same time are all answered, from many ids", "[dns][net]") {
  ScriptedServer server(OneAddress);
  const auto resolver = ResolverFor({&server});
  int found = 0;
  for (int batch = 0; batch < 10; ++batch) {
    std::vector<base::DnsQuestion> questions;
    for (int i = 0; i < 100; ++i) {
      questions.push_back({"n" + std::to_string(batch * 100 + i) + ".example", DnsType::kA});
    }
    for (const DnsAnswer& answer : base::RunBlocking(ResolveAll(resolver.get(), questions))) {
      found += answer.found() ? 1 : 0;
    }
  }
  CHECK(found == 1000);
  std::set<uint16_t> ids;
  for (const Query& query : server.seen()) ids.insert(query.message.id);
  CHECK(ids.size() > 900);
}

base::Task<void> AskInto(Resolver* resolver, DnsAnswer* answer, base::RunLoop* loop) {
  *answer = co_await resolver->Resolve({"silent.example", DnsType::kA});
  loop->Stop();
}

TEST_CASE("Questions in flight end when the resolver goes", "[dns][net]") {
  ScriptedServer server([](const Query&) -> Reply { return std::nullopt; });
  auto resolver = ResolverFor({&server});
  base::RunLoop loop;
  DnsAnswer answer;
  base::SpawnOn(&loop, AskInto(resolver.get(), &answer, &loop));
  loop.RunReady();
  resolver.reset();
  loop.Run();
  CHECK(answer.outcome == DnsOutcome::kTempFail);
}

TEST_CASE("Servers are read from text and from resolv.conf", "[dns][unit]") {
  CHECK(ParseServer("192.0.2.1")->port == 53);
  CHECK(ParseServer("192.0.2.1:5353")->port == 5353);
  CHECK(ParseServer("2001:db8::1")->address.ToString() == "2001:db8::1");
  CHECK(ParseServer("[2001:db8::1]:5353")->port == 5353);
  for (const char* bad : {"", "dns.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "[::1",
                          "[::1]5", "1.2.3.4:x"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseServer(bad).ok());
  }
  const auto servers =
      ParseResolvConf("# c\nnameserver 192.0.2.1\n nameserver\t::1 \nsearch x\nnameserver no\n");
  REQUIRE(servers.size() == 2);
  CHECK_FALSE(servers[0].trusted);
  CHECK(servers[1].trusted);
  CHECK(ParseResolvConf("nameserver 192.0.2.1\noptions edns0 trust-ad\n")[0].trusted);
}

}  // namespace
}  // namespace godwit::dns
