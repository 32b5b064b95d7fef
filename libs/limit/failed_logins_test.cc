#include "libs/limit/failed_logins.h"

#include <catch2/catch.hpp>

#include "libs/base/task.h"
#include "libs/testing/fake_clock.h"

namespace godwit::limit {
namespace {

base::IpAddress Ip(std::string_view text) { return *base::IpAddress::Parse(text); }

class FailedLoginsFixture {
 public:
  // Whether one more login was looked at.
  bool Try(const LoginAttempt& attempt, LoginEnd end) {
    const bool begun = base::RunBlocking(logins.Begin(attempt));
    if (begun) logins.End(attempt, end);
    return begun;
  }
  // A password that nobody has tried.
  bool Fail(std::string_view address, std::string user = "alice") {
    return Try({Ip(address), std::move(user), base::Secret(std::to_string(++guess_))},
               LoginEnd::kWrong);
  }
  bool Repeat(std::string_view address) {
    return Try({Ip(address), "alice", base::Secret("old")}, LoginEnd::kWrong);
  }
  bool LogIn(std::string_view address, std::string user = "alice") {
    return Try({Ip(address), std::move(user), base::Secret("right")}, LoginEnd::kLetIn);
  }
  // As many in a row as are looked at.
  int FailAll(std::string_view address, const std::string& user = "alice") {
    int failed = 0;
    while (failed < 10'000 && Fail(address, user)) ++failed;
    return failed;
  }

  testing::FakeClock clock;
  FailedLogins logins{{}, &clock, base::RandomSource::System()};

 private:
  int guess_ = 0;
};

TEST_CASE_METHOD(FailedLoginsFixture, "Failed logins are bounded in a minute and in a day",
                 "[limit][unit]") {
  int failed = 0;
  for (int minute = 0; minute < 60; ++minute) {
    failed += FailAll("192.0.2.1");
    if (minute == 0) CHECK(failed == 10);
    clock.Advance(absl::Minutes(1));
  }
  CHECK(failed >= 50);
  CHECK(failed <= 54);  // a day's, and what has faded of it in an hour
  CHECK_FALSE(LogIn("192.0.2.1"));
  CHECK(Fail("192.0.2.2"));
  clock.Advance(absl::Hours(24));
  CHECK(Fail("192.0.2.1"));
}

TEST_CASE_METHOD(FailedLoginsFixture,
                 "What is being judged is told to nobody, and fails or is forgotten",
                 "[limit][unit]") {
  const LoginAttempt attempt{Ip("192.0.2.1"), "alice", base::Secret()};
  for (int i = 0; i < 10; ++i) CHECK(base::RunBlocking(logins.Begin(attempt)));
  for (Counter* counter : logins.counters()) CHECK(counter->Loud().empty());
  for (int i = 0; i < 10; ++i) {
    logins.End(attempt, i < 9 ? LoginEnd::kWrong : LoginEnd::kNeither);
  }
  CHECK(logins.counters().at(0)->Loud().size() == 2);  // the /32 and the /26
  CHECK(Fail("192.0.2.1"));
  CHECK_FALSE(Fail("192.0.2.1"));
}

// A telephone with an old password shut out its office for most of the day: what failed kept the
// level up, and every place that came free was its own.
TEST_CASE_METHOD(FailedLoginsFixture, "Programs with an old password do not shut out their office",
                 "[limit][unit]") {
  for (int i = 0; i < 3 * 24 * 4; ++i) {  // three days of it, three connections each time
    for (int connection = 0; connection < 3; ++connection) CHECK(Repeat("192.0.2.1"));
    clock.Advance(absl::Minutes(15));
    CHECK(LogIn("192.0.2.1", "bob"));
  }
  // New guesses are as many as before.
  CHECK(FailAll("192.0.2.1") == 10);
}

TEST_CASE_METHOD(FailedLoginsFixture, "The same wrong password costs too much to be free",
                 "[limit][unit]") {
  int judged = 0;
  while (judged < 1000 && Repeat("192.0.2.1")) ++judged;
  CHECK(judged >= 50);
  CHECK(judged <= 101);
}

TEST_CASE_METHOD(FailedLoginsFixture, "The same password for another account is another guess",
                 "[limit][unit]") {
  int judged = 0;
  for (; judged < 100; ++judged) {
    LoginAttempt spray{Ip("192.0.2.1"), "user" + std::to_string(judged), base::Secret("Summer1")};
    if (!Try(spray, LoginEnd::kWrong)) break;
  }
  CHECK(judged == 10);
}

// Nobody can tell whether a SCRAM proof was made from a password that was tried before.
TEST_CASE_METHOD(FailedLoginsFixture, "A guess that can not be told apart counts",
                 "[limit][unit]") {
  int judged = 0;
  while (judged < 100 && Try({Ip("192.0.2.1"), "alice", base::Secret()}, LoginEnd::kWrong)) {
    ++judged;
  }
  CHECK(judged == 10);
}

// Three customers of a provider (three /48) kept out all the others (/32) with 450 guesses a day.
TEST_CASE_METHOD(FailedLoginsFixture, "A few networks of a provider do not shut it out",
                 "[limit][unit]") {
  int guesses = 0;
  for (int minute = 0; minute < 24 * 60; ++minute) {
    for (int customer = 1; customer <= 3; ++customer) {
      for (int site = 0; site < 4; ++site) {
        guesses +=
            FailAll("2001:db8:" + std::to_string(customer) + ":" + std::to_string(site) + "::1");
      }
    }
    clock.Advance(absl::Minutes(1));
    CHECK(LogIn("2001:db8:4::1", "new" + std::to_string(minute)));
  }
  CHECK(guesses >= 450);
  CHECK(guesses <= 1000);  // 150 for each /48, and what fades in a day
}

TEST_CASE_METHOD(FailedLoginsFixture,
                 "An account that has come from there may come above the limit", "[limit][unit]") {
  CHECK(LogIn("192.0.2.1", "Bob@y.example"));
  CHECK(FailAll("192.0.2.1") == 10);
  CHECK_FALSE(LogIn("192.0.2.1", "carol@y.example"));
  CHECK(LogIn("192.0.2.1", "bob@y.example"));
  SECTION("but not guess for ever") {
    CHECK(FailAll("192.0.2.1", "bob@y.example") == 10);
    CHECK_FALSE(LogIn("192.0.2.1", "bob@y.example"));
    clock.Advance(absl::Minutes(5));
    CHECK(LogIn("192.0.2.1", "bob@y.example"));
  }
  SECTION("and not all known ones together") {
    for (int i = 0; i < 100; ++i) CHECK(LogIn("192.0.2.2", "user" + std::to_string(i)));
    int failed = 0;
    for (int i = 0; i < 100; ++i) failed += FailAll("192.0.2.1", "user" + std::to_string(i));
    CHECK(failed <= 90);  // of the minute's 100
    CHECK_FALSE(LogIn("192.0.2.1", "bob@y.example"));
  }
  SECTION("nor is it refused before it has said who it is") {
    CHECK(Try({Ip("192.0.2.1"), "", base::Secret()}, LoginEnd::kNeither));
  }
  SECTION("from elsewhere it is unknown") {
    CHECK(FailAll("198.51.100.1") == 10);
    CHECK_FALSE(LogIn("198.51.100.1", "bob@y.example"));
  }
  SECTION("for two weeks") {
    clock.Advance(absl::Hours(15 * 24));
    CHECK(FailAll("192.0.2.1") == 10);
    CHECK_FALSE(LogIn("192.0.2.1", "bob@y.example"));
  }
}

}  // namespace
}  // namespace godwit::limit
