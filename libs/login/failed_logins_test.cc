#include "libs/login/failed_logins.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "libs/net/reactor.h"
#include "libs/testing/fake_clock.h"

namespace godwit::login {
namespace {

const base::IpAddress kClient = *base::IpAddress::Parse("192.0.2.1");

struct Ended {
  int judged = 0;
  int refused = 0;  // unjudged
};

class FailedLoginsFixture {
 public:
  // `count` attempts at the same moment, each judged as `verdict` after a while.
  Ended Attempt(int count, Step verdict, base::IpAddress address = kClient) {
    return reactor_.RunUntilDone(AttemptAll(count, std::move(verdict), address));
  }

  testing::FakeClock clock;

 private:
  static limit::FailedLoginOptions Options() {
    limit::FailedLoginOptions options;
    options.per_minute = 5;
    options.per_day = 0;
    return options;
  }
  base::Task<Step> Judge(Step verdict) {
    ++ended_.judged;
    (void)co_await net::Reactor::Current()->Sleep(absl::Milliseconds(5));
    co_return verdict;
  }
  base::Task<Ended> AttemptAll(int count, Step verdict, base::IpAddress address) {
    ended_ = {};
    std::vector<base::Task<std::optional<Step>>> attempts;
    for (int i = 0; i < count; ++i) {
      attempts.push_back(RunCounted(&failed_, {address, "alice", base::Secret()}, Judge(verdict)));
    }
    const auto steps = co_await base::WhenAll(std::move(attempts));
    ended_.refused = static_cast<int>(
        std::count_if(steps.begin(), steps.end(), [](const auto& step) { return !step; }));
    co_return ended_;
  }

  limit::FailedLogins failed_{Options(), &clock, base::RandomSource::System()};
  net::Reactor reactor_;
  Ended ended_;
};

// Looked at before the verdict and counted after it, the bound let through as many guesses as there
// were connections.
TEST_CASE_METHOD(FailedLoginsFixture, "Guesses at the same moment are no more than one by one",
                 "[login][unit]") {
  const Ended ended = Attempt(100, Refused{"wrong"});
  CHECK(ended.judged == 5);
  CHECK(ended.refused == 95);
  // Of five 3.03 are left after half of the minute: one more, however many ask then.
  clock.Advance(absl::Seconds(30));
  CHECK(Attempt(100, Refused{"wrong"}).judged == 1);
}

TEST_CASE_METHOD(FailedLoginsFixture, "Many users behind one address come in at the same moment",
                 "[login][unit]") {
  CHECK(Attempt(100, Accepted{}).refused == 0);
  CHECK(Attempt(100, sasl::Challenge{}).refused == 0);
  CHECK(Attempt(100, Refused{"the account is disabled", true}).refused == 0);
  CHECK(Attempt(100, absl::UnavailableError("")).refused == 0);
}

TEST_CASE_METHOD(FailedLoginsFixture, "Failures of one address are not another's",
                 "[login][unit]") {
  const auto address = [](const char* text) { return *base::IpAddress::Parse(text); };
  CHECK(Attempt(6, Refused{"wrong"}, address("2001:db8:0:1::1")).refused == 1);
  CHECK(Attempt(1, Refused{"wrong"}, address("2001:db8:0:1::2")).refused == 1);
  CHECK(Attempt(1, Refused{"wrong"}, address("2001:db8:0:2::1")).refused == 0);
  CHECK(Attempt(6, Refused{"wrong"}).refused == 1);
  CHECK(Attempt(1, Refused{"wrong"}, address("::ffff:192.0.2.1")).refused == 1);
  CHECK(Attempt(1, Refused{"wrong"}, address("192.0.2.2")).refused == 0);
}

}  // namespace
}  // namespace godwit::login
