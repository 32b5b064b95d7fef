#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/base/status.h"
#include "libs/mtasts/cache.h"
#include "libs/mtasts/policy.h"

namespace godwit::mtasts {
namespace {

TEST_CASE("The record is the one that begins with v=STSv1", "[mtasts][unit]") {
  using Texts = std::vector<std::string>;
  const auto [texts, id] = GENERATE(table<Texts, std::string>({
      {{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
      {{"v=STSv1;id=a"}, "a"},
      {{"v = STSv1 ; id = a ; x=y"}, "a"},
      {{"v=spf1 -all", "v=STSv1; id=a;"}, "a"},
      {{"v=STSv1; other=1; id=a; id=b"}, "a"},
      {Texts{}, ""},
      {{"v=spf1 -all"}, ""},
      {{"v=STSv1;"}, ""},
      {{"v=STSv1; id=;"}, ""},
      {{"v=STSv1; id=a-b;"}, ""},
      {{"v=STSv1; id=012345678901234567890123456789012;"}, ""},
      {{"v=stsv1; id=a;"}, ""},
      {{"v=STSv2; id=a;"}, ""},
      {{"id=a; v=STSv1"}, ""},
      {{"v=STSv1; nonsense; id=a"}, ""},
      // RFC 8461 §3.1: more than one is none.
      {{"v=STSv1; id=a;", "v=STSv1; id=a;"}, ""},
  }));
  CAPTURE(texts);
  CHECK(ReadRecord(texts).value_or("") == id);
}

TEST_CASE("RFC 8461's example policy parses", "[mtasts][unit]") {
  const std::string end = GENERATE("\r\n", "\n");
  const auto policy = ParsePolicy("version: STSv1" + end + "mode: enforce" + end +
                                  "mx: mail.example.com" + end + "mx: *.example.net" + end +
                                  "mx:backupmx.Example.com" + end + "max_age: 604800" + end);
  REQUIRE(policy.ok());
  CHECK(*policy == Policy{Mode::kEnforce,
                          {"mail.example.com", "*.example.net", "backupmx.example.com"},
                          absl::Seconds(604800)});
  CHECK(ParsePolicy(WritePolicy(*policy)).value() == *policy);
}

TEST_CASE("Policies that are taken, and what is taken from them", "[mtasts][unit]") {
  const std::string body =
      GENERATE(as<std::string>(), "version: STSv1\nmode: testing\nmx: a.example\nmax_age: 60",
               "mode: testing\nmax_age: 60\nmx: a.example\nversion: STSv1\n\n",
               "version:STSv1\nmode:testing\nmx:a.example\nmax_age:60\n",
               "version: STSv1\nfuture_1: x:y\nmode: testing\nmode: enforce\n"
               "mx: a.example\nmax_age: 60\nmax_age: 61\n");
  CAPTURE(body);
  const auto policy = ParsePolicy(body);
  REQUIRE(policy.ok());
  CHECK(*policy == Policy{Mode::kTesting, {"a.example"}, absl::Seconds(60)});
  CHECK(ParsePolicy("version: STSv1\nmode: none\nmax_age: 9999999999\n")->max_age == kMostMaxAge);
}

TEST_CASE("Policies that are refused", "[mtasts][unit]") {
  const std::string body =
      GENERATE(as<std::string>(), "", "mode: enforce\nmx: a.example\nmax_age: 1\n",
               "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n",
               "version: STSv1\nmx: a.example\nmax_age: 1\n",
               "version: STSv1\nmode: strict\nmx: a.example\nmax_age: 1\n",
               "version: STSv1\nmode: enforce\nmax_age: 1\n",
               "version: STSv1\nmode: enforce\nmx: a.example\n",
               "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n",
               "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 99999999999\n",
               "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n",
               "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
               "version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1\n",
               "<html><body>404</body></html>", "version: STSv1\rmode: none\rmax_age: 1\r");
  CAPTURE(body);
  CHECK(!ParsePolicy(body).ok());
  CHECK(!ParsePolicy("version: STSv1\nmode: none\nmax_age: 1\nx: " +
                     std::string(kMostPolicyBytes, 'x'))
             .ok());
  std::string many = "version: STSv1\nmode: enforce\nmax_age: 1\n";
  for (size_t i = 0; i <= kMostPatterns; ++i) many += "mx: a.example\n";
  CHECK(!ParsePolicy(many).ok());
}

TEST_CASE("A wildcard is exactly one label", "[mtasts][unit]") {
  const auto [pattern, host, matches] = GENERATE(table<std::string, std::string, bool>({
      {"mx.example.org", "mx.example.org", true},
      {"mx.example.org", "MX.example.org", true},
      {"mx.example.org", "mx2.example.org", false},
      {"*.example.org", "mx.example.org", true},
      {"*.example.org", "a.mx.example.org", false},
      {"*.example.org", "example.org", false},
      {"*.example.org", ".example.org", false},
      {"*.example.org", "mx.example.org.evil", false},
      {"*.example.org", "mxexample.org", false},
      {"example.org", "mx.example.org", false},
      {"*.org", "example.org", true},
  }));
  CAPTURE(pattern, host);
  CHECK(Matches(pattern, host) == matches);
  CHECK(MatchesAny({"x.example", pattern}, host) == matches);
}

TEST_CASE("What is known decides what is done", "[mtasts][unit]") {
  using Fetch = Decision::Fetch;
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const CachedPolicy fresh = {"one", {Mode::kEnforce, {"a.example"}, absl::Hours(240)}, now};
  const RecordAnswer same = {false, "one"};
  const RecordAnswer other = {false, "two"};
  const RecordAnswer none = {false, std::nullopt};
  const RecordAnswer broken = {true, std::nullopt};
  const auto check = [&](const std::optional<CachedPolicy>& cached, const RecordAnswer& record,
                         absl::Duration after, bool use, Fetch fetch,
                         const std::optional<FailedFetch>& failed = std::nullopt) {
    const Decision decision = Decide(cached, record, failed, now + after);
    CHECK(decision.use_cached == use);
    CHECK(decision.fetch == fetch);
  };
  check(std::nullopt, none, absl::ZeroDuration(), false, Fetch::kNo);
  check(std::nullopt, broken, absl::ZeroDuration(), false, Fetch::kNo);
  check(std::nullopt, same, absl::ZeroDuration(), false, Fetch::kNow);
  check(fresh, same, absl::Hours(1), true, Fetch::kNo);
  check(fresh, same, absl::Hours(25), true, Fetch::kBackground);
  check(fresh, other, absl::Hours(1), true, Fetch::kNow);
  // Neither the record's end nor a failing DNS ends a policy (§5.1: else one who can suppress the
  // record takes the protection away).
  check(fresh, none, absl::Hours(100), true, Fetch::kNo);
  check(fresh, broken, absl::Hours(100), true, Fetch::kNo);
  check(fresh, none, absl::Hours(240), false, Fetch::kNo);
  check(fresh, same, absl::Hours(240), false, Fetch::kNow);
  // A failed fetch is not repeated at once, but for another id.
  check(std::nullopt, same, absl::Minutes(1), false, Fetch::kNo, FailedFetch{"one", now});
  check(std::nullopt, same, absl::Minutes(6), false, Fetch::kNow, FailedFetch{"one", now});
  check(std::nullopt, other, absl::Minutes(1), false, Fetch::kNow, FailedFetch{"one", now});
  check(fresh, other, absl::Minutes(1), true, Fetch::kNo, FailedFetch{"two", now});
  // A short life is renewed at its half.
  CachedPolicy brief = fresh;
  brief.policy.max_age = absl::Minutes(10);
  check(brief, same, absl::Minutes(4), true, Fetch::kNo);
  check(brief, same, absl::Minutes(5), true, Fetch::kBackground);
}

}  // namespace
}  // namespace godwit::mtasts
