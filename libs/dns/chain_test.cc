#include "libs/dns/chain.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/dns/scripted_server.h"

namespace godwit::dns {
namespace {

using base::DnsOutcome;
using base::DnsType;

ReplyBuilder Reply(const base::DnsQuestion& question) {
  return ReplyBuilder(*WriteQuery(1, question, {}));
}

WireMessage Parsed(const ReplyBuilder& reply) {
  auto message = ParseMessage(reply.bytes());
  REQUIRE(message.ok());
  return *std::move(message);
}

const base::DnsQuestion kWww{"www.example", DnsType::kA};

TEST_CASE("A chain within one message is followed, with the least TTL", "[dns][unit]") {
  Chain chain(kWww);
  chain.Add(Parsed(Reply(kWww)
                       .Authentic()
                       .Answer("www.example", DnsType::kCname, 30, NameData("web.example"))
                       .Answer("web.example", DnsType::kA, 300, AddressData("192.0.2.1"))
                       .Answer("other.example", DnsType::kA, 1, AddressData("192.0.2.66"))),
            true);
  REQUIRE(chain.done());
  CHECK(chain.answer().outcome == DnsOutcome::kOk);
  CHECK(chain.answer().addresses.size() == 1);
  CHECK(chain.answer().canonical_name == "web.example");
  CHECK(chain.answer().ttl == absl::Seconds(30));
  CHECK(chain.answer().authentic);
}

TEST_CASE("An open chain is asked on; it is authentic only when all of it is", "[dns][unit]") {
  const bool second_is_authentic = GENERATE(true, false);
  Chain chain(kWww);
  chain.Add(Parsed(Reply(kWww).Authentic().Answer("www.example", DnsType::kCname, 30,
                                                  NameData("web.example"))),
            true);
  REQUIRE_FALSE(chain.done());
  CHECK(chain.next() == base::DnsQuestion{"web.example", DnsType::kA});
  ReplyBuilder second =
      Reply(chain.next()).Answer("web.example", DnsType::kA, 300, AddressData("192.0.2.1"));
  if (second_is_authentic) second.Authentic();
  chain.Add(Parsed(second), true);
  REQUIRE(chain.done());
  CHECK(chain.answer().authentic == second_is_authentic);
  CHECK(chain.answer().ttl == absl::Seconds(30));
}

TEST_CASE("AD of a server that is not trusted is not believed", "[dns][unit]") {
  Chain chain(kWww);
  chain.Add(Parsed(Reply(kWww).Authentic().Answer("www.example", DnsType::kA, 30,
                                                  AddressData("192.0.2.1"))),
            false);
  CHECK(chain.answer().found());
  CHECK_FALSE(chain.answer().authentic);
}

TEST_CASE("Negative answers live as RFC 2308 says", "[dns][unit]") {
  Chain nothing(kWww);
  nothing.Add(Parsed(Reply(kWww).Authority("example", kTypeSoa, 900, SoaData(60))), true);
  CHECK(nothing.answer().outcome == DnsOutcome::kNoData);
  CHECK(nothing.answer().ttl == absl::Seconds(60));

  Chain absent(kWww);
  absent.Add(Parsed(Reply(kWww).Rcode(3).Authority("example", kTypeSoa, 20, SoaData(60))), true);
  CHECK(absent.answer().outcome == DnsOutcome::kNoDomain);
  CHECK(absent.answer().ttl == absl::Seconds(20));

  Chain bare(kWww);
  bare.Add(Parsed(Reply(kWww).Rcode(3)), true);
  CHECK(bare.answer().ttl == absl::ZeroDuration());
}

TEST_CASE("NXDOMAIN at the end of a chain is about its end", "[dns][unit]") {
  Chain chain(kWww);
  chain.Add(Parsed(Reply(kWww).Rcode(3).Answer("www.example", DnsType::kCname, 30,
                                               NameData("gone.example"))),
            true);
  REQUIRE(chain.done());
  CHECK(chain.answer().outcome == DnsOutcome::kNoDomain);
  CHECK(chain.answer().canonical_name == "gone.example");
}

TEST_CASE("A loop and a chain without end fail", "[dns][unit]") {
  Chain loop(kWww);
  loop.Add(Parsed(Reply(kWww)
                      .Answer("www.example", DnsType::kCname, 30, NameData("b.example"))
                      .Answer("b.example", DnsType::kCname, 30, NameData("www.example"))),
           true);
  REQUIRE(loop.done());
  CHECK(loop.answer().outcome == DnsOutcome::kTempFail);

  Chain endless(kWww);
  int messages = 0;
  while (!endless.done() && messages < 100) {
    const std::string target = "n" + std::to_string(++messages) + ".example";
    const base::DnsQuestion asked = endless.next();
    endless.Add(Parsed(Reply(asked).Answer(asked.name, DnsType::kCname, 30, NameData(target))),
                true);
  }
  CHECK(endless.answer().outcome == DnsOutcome::kTempFail);
  CHECK(messages <= Chain::kMostAliases + 1);
}

TEST_CASE("A CNAME that is asked for is an answer, not an alias", "[dns][unit]") {
  const base::DnsQuestion question{"www.example", DnsType::kCname};
  Chain chain(question);
  chain.Add(
      Parsed(Reply(question).Answer("www.example", DnsType::kCname, 30, NameData("web.example"))),
      true);
  CHECK(chain.answer().texts == std::vector<std::string>{"web.example"});
}

}  // namespace
}  // namespace godwit::dns
