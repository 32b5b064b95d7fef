#pragma once

// Drive: runs an evaluation that asks the DNS in rounds (base::DnsStep) to its end.
//
//   spf::Result result = co_await dns::Drive(resolver, [query](const base::DnsAnswers& answers) {
//     return spf::Evaluate(query, answers);   // DnsStep<spf::Result>
//   });
//
// All questions of a round are resolved at the same time. Beyond a bound (rounds, questions, time)
// nothing is asked any more: open questions are answered with kTempFail, so that the evaluation
// ends with its own temporary error. A step that still goes on asking is our own bug
// (GODWIT_CHECK). Runs on the executor of the caller. `step` is copied into the coroutine: what it
// refers to must outlive the await.

#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/check.h"
#include "libs/base/clock.h"
#include "libs/base/dns_answer.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"

namespace godwit::dns {

struct DriveLimits {
  int max_rounds = 40;
  int max_questions = 200;
  // From the call on; looked at between rounds, so that an evaluation ends at the latest one
  // resolver timeout after it.
  absl::Duration time = absl::Seconds(30);
  const base::Clock* clock = base::Clock::System();
};

// Resolves all at the same time; answers in the order of the questions.
base::Task<std::vector<base::DnsAnswer>> ResolveAll(Resolver* resolver,
                                                    std::vector<base::DnsQuestion> questions);

namespace drive_internal {

// Keeps the answers of one evaluation within its limits.
class Rounds {
 public:
  Rounds(Resolver* resolver, DriveLimits limits)
      : resolver_(resolver), limits_(limits), end_(limits.clock->Monotonic() + limits.time) {}

  const base::DnsAnswers& answers() const { return answers_; }
  base::Task<void> Answer(std::vector<base::DnsQuestion> questions);

 private:
  bool exhausted() const;

  Resolver* resolver_;
  DriveLimits limits_;
  absl::Duration end_;
  int rounds_ = 0;
  int asked_ = 0;
  base::DnsAnswers answers_;
};

}  // namespace drive_internal

template <typename Step, typename Result = std::variant_alternative_t<
                             0, std::invoke_result_t<Step&, const base::DnsAnswers&>>>
base::Task<Result> Drive(Resolver* resolver, Step step, DriveLimits limits = {}) {
  drive_internal::Rounds rounds(resolver, limits);
  while (true) {
    auto outcome = step(rounds.answers());
    if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
    co_await rounds.Answer(std::get<1>(std::move(outcome)));
  }
}

}  // namespace godwit::dns
