#include "libs/dns/cache.h"

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "libs/base/task.h"
#include "libs/dns/drive.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_resolver.h"

namespace godwit::dns {
namespace {

using base::DnsAnswer;
using base::DnsOutcome;
using base::DnsQuestion;
using base::DnsType;

const DnsQuestion kA{"a.example", DnsType::kA};

DnsAnswer Ask(Resolver* resolver, const DnsQuestion& question) {
  return base::RunBlocking(resolver->Resolve(question));
}

TEST_CASE("An answer is remembered for its TTL, which runs down", "[dns][unit]") {
  testing::FakeClock clock;
  testing::FakeResolver next("a.example 60 A 192.0.2.1");
  Cache cache(&next, &clock);
  CHECK(Ask(&cache, kA).ttl == absl::Seconds(60));
  clock.Advance(absl::Seconds(59));
  const DnsAnswer again = Ask(&cache, kA);
  CHECK(again.ttl == absl::Seconds(1));
  CHECK(again.addresses.size() == 1);
  CHECK(next.total() == 1);
  clock.Advance(absl::Seconds(1));
  Ask(&cache, kA);
  CHECK(next.total() == 2);
}

TEST_CASE("TTLs are kept within their bounds", "[dns][unit]") {
  struct Row {
    DnsOutcome outcome;
    absl::Duration ttl;
    absl::Duration lives;
  };
  const Row row = GENERATE(values<Row>({
      {DnsOutcome::kOk, absl::Hours(48), absl::Hours(1)},
      {DnsOutcome::kOk, absl::ZeroDuration(), absl::Seconds(1)},
      {DnsOutcome::kNoDomain, absl::Hours(3), absl::Minutes(5)},
      {DnsOutcome::kNoData, absl::Seconds(60), absl::Seconds(60)},
      {DnsOutcome::kTempFail, absl::Hours(1), absl::Seconds(5)},
  }));
  CAPTURE(static_cast<int>(row.outcome));
  testing::FakeClock clock;
  testing::FakeResolver next;
  DnsAnswer answer;
  answer.outcome = row.outcome;
  answer.ttl = row.ttl;
  next.zone().Override(kA, answer);
  Cache cache(&next, &clock);
  Ask(&cache, kA);
  clock.Advance(row.lives - absl::Milliseconds(1));
  CHECK(Ask(&cache, kA).outcome == row.outcome);
  CHECK(next.total() == 1);
  clock.Advance(absl::Milliseconds(1));
  Ask(&cache, kA);
  CHECK(next.total() == 2);
}

TEST_CASE("The least recently used answer goes first", "[dns][unit]") {
  testing::FakeClock clock;
  testing::FakeResolver next("*.example A 192.0.2.1");
  Cache cache(&next, &clock, {.max_entries = 2});
  const DnsQuestion b{"b.example", DnsType::kA};
  const DnsQuestion c{"c.example", DnsType::kA};
  Ask(&cache, kA);
  Ask(&cache, b);
  Ask(&cache, kA);  // now b is the older one
  Ask(&cache, c);
  CHECK(cache.stats().entries == 2);
  Ask(&cache, kA);
  CHECK(next.count(kA) == 1);
  Ask(&cache, b);
  CHECK(next.count(b) == 2);
}

// Answers when the test says so.
class HeldResolver : public Resolver {
 public:
  base::Task<DnsAnswer> Resolve(DnsQuestion) override {
    ++asked;
    DnsAnswer result = co_await answer;
    co_return result;
  }
  int asked = 0;
  base::Completion<DnsAnswer> answer;
};

base::Task<void> AskInto(Resolver* resolver, int* found) {
  const DnsAnswer answer = co_await resolver->Resolve(kA);
  if (answer.found()) ++*found;
}

TEST_CASE("Large answers push out more than one", "[dns][unit]") {
  testing::FakeClock clock;
  testing::FakeResolver next;
  Cache cache(&next, &clock, {.max_entries = 100});
  const auto ask = [&](int number, size_t size) {
    const DnsQuestion question{"t" + std::to_string(number) + ".example", DnsType::kTxt};
    DnsAnswer answer;
    answer.outcome = DnsOutcome::kOk;
    answer.ttl = absl::Hours(1);
    answer.texts = {std::string(size, 'x')};
    next.zone().Override(question, answer);
    CHECK(Ask(&cache, question).texts == answer.texts);
  };
  for (int i = 0; i < 100; ++i) ask(i, 100);
  CHECK(cache.stats().entries == 100);
  for (int i = 100; i < 120; ++i) {
    ask(i, 50'000);
    CHECK(cache.stats().bytes <= 100 * Cache::kMeanBytes);
  }
  CHECK(cache.stats().entries < 5);
  // One that is larger than all may be is not kept at all, and the account is right.
  ask(200, 300'000);
  CHECK(cache.stats().entries == 0);
  CHECK(cache.stats().bytes == 0);
  ask(201, 100);
  CHECK(cache.stats().entries == 1);
  cache.Clear();
  CHECK(cache.stats().bytes == 0);
}

TEST_CASE("Equal questions in flight are asked once", "[dns][unit]") {
  testing::FakeClock clock;
  HeldResolver next;
  Cache cache(&next, &clock);
  base::RunLoop loop;
  int found = 0;
  for (int i = 0; i < 5; ++i) base::SpawnOn(&loop, AskInto(&cache, &found));
  loop.RunReady();
  CHECK(next.asked == 1);
  CHECK(found == 0);
  DnsAnswer answer;
  answer.outcome = DnsOutcome::kOk;
  next.answer.Set(answer);
  loop.RunReady();
  CHECK(found == 5);
  CHECK(cache.stats().joined == 4);
}

TEST_CASE("Many threads share a cache", "[dns][unit]") {
  testing::FakeClock clock;
  testing::FakeResolver next("*.example A 192.0.2.1");
  Cache cache(&next, &clock, {.max_entries = 16});
  std::vector<std::thread> threads;
  std::atomic<int> found = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const DnsQuestion question{"n" + std::to_string(i % 40) + ".example", DnsType::kA};
        if (Ask(&cache, question).found()) ++found;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(found == 2000);
  CHECK(cache.stats().entries <= 16);
}

// Drive.

TEST_CASE("Drive asks in rounds, each at the same time", "[dns][unit]") {
  testing::FakeResolver resolver(
      "a.example MX 1 m1.example\na.example MX 2 m2.example\n"
      "m1.example A 192.0.2.1\nm2.example A 192.0.2.2");
  auto step = [](const base::DnsAnswers& answers) -> base::DnsStep<int> {
    const auto mx = answers.find({"a.example", DnsType::kMx});
    if (mx == answers.end()) return std::vector<DnsQuestion>{{"a.example", DnsType::kMx}};
    std::vector<DnsQuestion> missing;
    int addresses = 0;
    for (const auto& host : mx->second.mx) {
      const auto found = answers.find({host.exchange, DnsType::kA});
      if (found == answers.end()) {
        missing.push_back({host.exchange, DnsType::kA});
      } else {
        addresses += static_cast<int>(found->second.addresses.size());
      }
    }
    if (!missing.empty()) return missing;
    return addresses;
  };
  CHECK(base::RunBlocking(Drive(&resolver, step)) == 2);
  CHECK(resolver.total() == 3);
}

TEST_CASE("Drive fails what is asked beyond its bounds", "[dns][unit]") {
  testing::FakeResolver resolver("*.example A 192.0.2.1");
  testing::FakeClock clock;
  DriveLimits limits;
  limits.clock = &clock;
  const int kind = GENERATE(0, 1, 2);
  if (kind == 0) limits.max_rounds = 5;
  if (kind == 1) limits.max_questions = 5;
  int rounds = 0;
  auto step = [&](const base::DnsAnswers& answers) -> base::DnsStep<std::string> {
    for (const auto& [question, answer] : answers) {
      if (!answer.found()) return answer.error;
    }
    ++rounds;
    if (kind == 2 && rounds == 5) clock.Advance(limits.time);
    return std::vector<DnsQuestion>{{"n" + std::to_string(rounds) + ".example", DnsType::kA}};
  };
  CHECK_FALSE(base::RunBlocking(Drive(&resolver, step, limits)).empty());
  CHECK(resolver.total() <= 5);
  CHECK(resolver.total() >= 4);
}

}  // namespace
}  // namespace godwit::dns
