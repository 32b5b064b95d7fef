// The test helpers themselves: a helper that lies makes every test lie.

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_resolver.h"
#include "libs/testing/fake_zone.h"
#include "libs/testing/split.h"

namespace godwit::testing {
namespace {

using base::DnsOutcome;
using base::DnsType;

TEST_CASE("ForEachSplit gives the whole, every byte and every cut, and loses nothing",
          "[testing][unit]") {
  const std::string wire = GENERATE(std::string("a"), std::string("NOOP\r\n"),
                                    std::string(5000, 'x') + "\r\n" + std::string(100, 'y'));
  std::set<std::string> seen;
  ForEachSplit(wire, [&](const Chunks& chunks) {
    std::string joined;
    for (std::string_view chunk : chunks) {
      CHECK_FALSE(chunk.empty());
      joined += chunk;
    }
    REQUIRE(joined == wire);
    seen.insert(Describe(chunks));
  });
  CHECK(seen.count(std::to_string(wire.size())) == 1);
  if (wire.size() == 6) {
    CHECK(seen.count("1+1+1+1+1+1") == 1);
    for (const char* cut : {"1+5", "2+4", "3+3", "4+2", "5+1"}) CHECK(seen.count(cut) == 1);
  }
  if (wire.size() > 5000) CHECK(seen.count("5001+101") == 1);  // between CR and LF
}

TEST_CASE("FakeClock moves only when told", "[testing][unit]") {
  FakeClock clock;
  const absl::Time start = clock.Now();
  const absl::Duration monotonic = clock.Monotonic();
  clock.Advance(absl::Seconds(5));
  CHECK(clock.Now() - start == absl::Seconds(5));
  clock.SetWallClock(start);
  CHECK(clock.Monotonic() - monotonic == absl::Seconds(5));
}

FakeZone ExampleZone() {
  return FakeZone(R"(
    # a comment
    example.org          300  MX    10 mail.example.org.   ; and another
    example.org               MX    20 backup.example.org
    Example.ORG               TXT   "v=spf1 \"x\" \092 " "-all"
    mail.example.org     60   A     192.0.2.1
    mail.example.org          AAAA  2001:db8::1
    www.example.org      30   CNAME mail.example.org
    loop.example.org          CNAME loop.example.org
    _25._tcp.mail.example.org TLSA  3 1 1 0aFF
    _imap._tcp.example.org    SRV   0 1 143 mail.example.org
    *.wild.example.org        A     192.0.2.7
    null.example              MX    0 .
    broken.example            TEMPFAIL
    mail.example.org          SIGNED
  )");
}

TEST_CASE("FakeZone answers as a resolver does", "[testing][unit]") {
  const FakeZone zone = ExampleZone();
  const auto mx = zone.Lookup({"example.org", DnsType::kMx});
  CHECK(mx.mx == std::vector<base::DnsMx>{{10, "mail.example.org"}, {20, "backup.example.org"}});
  CHECK(zone.Lookup({"example.org", DnsType::kTxt}).texts ==
        std::vector<std::string>{"v=spf1 \"x\" \\ -all"});
  CHECK(zone.Lookup({"example.org", DnsType::kA}).outcome == DnsOutcome::kNoData);
  CHECK(zone.Lookup({"_tcp.mail.example.org", DnsType::kA}).outcome == DnsOutcome::kNoData);
  CHECK(zone.Lookup({"absent.example.org", DnsType::kA}).outcome == DnsOutcome::kNoDomain);
  CHECK(zone.Lookup({"broken.example", DnsType::kA}).outcome == DnsOutcome::kTempFail);
  CHECK(zone.Lookup({"loop.example.org", DnsType::kA}).outcome == DnsOutcome::kTempFail);
  CHECK(zone.Lookup({"a.b.wild.example.org", DnsType::kA}).addresses.size() == 1);
  CHECK(zone.Lookup({"null.example", DnsType::kMx}).mx == std::vector<base::DnsMx>{{0, ""}});
  CHECK(zone.Lookup({"_imap._tcp.example.org", DnsType::kSrv}).srv[0].port == 143);
  const auto tlsa = zone.Lookup({"_25._tcp.mail.example.org", DnsType::kTlsa});
  CHECK(tlsa.tlsa == std::vector<base::DnsTlsa>{{3, 1, 1, "\x0a\xff"}});
  CHECK(tlsa.authentic);
}

TEST_CASE("FakeZone follows a CNAME, with the least TTL and authentic only when all is",
          "[testing][unit]") {
  const FakeZone zone = ExampleZone();
  const auto answer = zone.Lookup({"www.example.org", DnsType::kA});
  CHECK(answer.addresses.size() == 1);
  CHECK(answer.canonical_name == "mail.example.org");
  CHECK(answer.ttl == absl::Seconds(30));
  CHECK_FALSE(answer.authentic);
  CHECK(zone.Lookup({"mail.example.org", DnsType::kA}).authentic);
}

TEST_CASE("FakeResolver counts and can be overridden", "[testing][unit]") {
  FakeResolver resolver("example.org A 192.0.2.1");
  const base::DnsQuestion question{"example.org", DnsType::kA};
  CHECK(base::RunBlocking(resolver.Resolve(question)).found());
  resolver.zone().Override(question, TempFail("timeout"));
  CHECK(base::RunBlocking(resolver.Resolve(question)).error == "timeout");
  CHECK(resolver.count(question) == 2);
  CHECK(resolver.total() == 2);
}

}  // namespace
}  // namespace godwit::testing
