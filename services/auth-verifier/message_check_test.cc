#include "services/auth-verifier/message_check.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>

#include "libs/base/task.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_resolver.h"

namespace godwit::auth_verifier {
namespace {

constexpr char kMessage[] =
    "From: Ann <ann@example.org>\r\n"
    "To: bob@example.net\r\n"
    "Subject: hello\r\n"
    "\r\n"
    "text\r\n";

class FailingResolver : public dns::Resolver {
 public:
  base::Task<base::DnsAnswer> Resolve(base::DnsQuestion) override {
    base::DnsAnswer answer;
    answer.error = "no server";
    co_return answer;
  }
};

base::Task<absl::StatusOr<mailauth::Verdict>> Check(CheckResolvers resolvers, CheckLimits limits) {
  static testing::FakeClock clock;
  mailauth::Options options;
  options.authserv_id = "mx.example.net";
  options.now = clock.Now();
  MessageCheck check(resolvers, &clock, limits, options,
                     {.ip = *base::IpAddress::Parse("192.0.2.1"),
                      .helo = "mail.example.org",
                      .mail_from = "ann@example.org"});
  check.Feed(kMessage);
  auto verdict = co_await check.Finish();
  co_return verdict;
}

base::Task<absl::StatusOr<mailauth::Verdict>> Check(dns::Resolver* resolver, CheckLimits limits) {
  return Check(CheckResolvers{resolver, resolver}, limits);
}

TEST_CASE("A message gets its verdict from the answers of DNS", "[auth-verifier][unit]") {
  testing::FakeResolver resolver(R"(
    example.org. TXT "v=spf1 ip4:192.0.2.0/24 -all"
    _dmarc.example.org. TXT "v=DMARC1; p=reject"
  )");
  auto verdict = base::RunBlocking(Check(&resolver, {}));
  REQUIRE(verdict.ok());
  CHECK(verdict->mail_from_spf.code == spf::ResultCode::kPass);
  CHECK(verdict->dmarc.code == dmarc::ResultCode::kPass);
  CHECK(verdict->dmarc.spf_aligned);
  CHECK(verdict->authentication_results.find("mx.example.net") == 0);
}

TEST_CASE("Without a DNS server that answers there is no verdict", "[auth-verifier][unit]") {
  // A root that fails too: the fault is on our side.
  FailingResolver resolver;
  auto verdict = base::RunBlocking(Check(&resolver, {}));
  CHECK(verdict.status().code() == absl::StatusCode::kUnavailable);
}

// The cache answered for the root's servers for six days, so an outage of our own resolver looked
// like names that fail, one after the other, and a part of what was known let mail be judged by the
// rest.
TEST_CASE("A resolver of ours that is unreachable is seen through what the cache knows",
          "[auth-verifier][unit]") {
  testing::FakeResolver cached(R"(
    _dmarc.example.org. TXT "v=DMARC1; p=none"
    example.org. TEMPFAIL
  )");
  FailingResolver network;
  auto verdict = base::RunBlocking(Check({&cached, &network}, {}));
  CHECK(verdict.status().code() == absl::StatusCode::kUnavailable);
  // Nothing is asked of the network when nothing failed.
  cached.zone().Remove("example.org");
  verdict = base::RunBlocking(Check({&cached, &network}, {}));
  CHECK(verdict.ok());
}

TEST_CASE("One name that fails is a temperror of its method only", "[auth-verifier][unit]") {
  testing::FakeResolver resolver(R"(
    _dmarc.example.org. TXT "v=DMARC1; p=reject"
  )");
  resolver.zone().Override({"example.org", base::DnsType::kTxt}, testing::TempFail("timeout"));
  auto verdict = base::RunBlocking(Check(&resolver, {}));
  REQUIRE(verdict.ok());
  CHECK(verdict->mail_from_spf.code == spf::ResultCode::kTempError);
}

TEST_CASE("The questions of one message are bounded", "[auth-verifier][unit]") {
  testing::FakeResolver resolver(R"(
    example.org. TXT "v=spf1 include:a.example.org include:b.example.org -all"
    a.example.org. TXT "v=spf1 mx a ptr -all"
    b.example.org. TXT "v=spf1 mx a ptr -all"
  )");
  auto verdict =
      base::RunBlocking(Check(&resolver, {.dns_questions = 3, .dns_time = absl::Seconds(20)}));
  REQUIRE(verdict.ok());
  CHECK(resolver.total() <= 3);
}

}  // namespace
}  // namespace godwit::auth_verifier
