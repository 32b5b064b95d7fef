#include "libs/dns/drive.h"

namespace godwit::dns {
namespace {

base::DnsAnswer NotAsked() {
  base::DnsAnswer answer;
  answer.error = "the evaluation has used up its questions or its time";
  return answer;
}

}  // namespace

base::Task<std::vector<base::DnsAnswer>> ResolveAll(Resolver* resolver,
                                                    std::vector<base::DnsQuestion> questions) {
  std::vector<base::Task<base::DnsAnswer>> tasks;
  tasks.reserve(questions.size());
  for (base::DnsQuestion& question : questions) {
    tasks.push_back(resolver->Resolve(std::move(question)));
  }
  co_return co_await base::WhenAll(std::move(tasks));
}

namespace drive_internal {

bool Rounds::exhausted() const {
  return rounds_ > limits_.max_rounds || asked_ > limits_.max_questions ||
         limits_.clock->Monotonic() >= end_;
}

base::Task<void> Rounds::Answer(std::vector<base::DnsQuestion> questions) {
  GODWIT_CHECK(!questions.empty());
  ++rounds_;
  // After the bounds every question fails, which ends any evaluation in a few rounds.
  GODWIT_CHECK(rounds_ <= 10 * limits_.max_rounds);
  asked_ += static_cast<int>(questions.size());
  if (exhausted()) {
    for (base::DnsQuestion& question : questions) answers_[std::move(question)] = NotAsked();
    co_return;
  }
  std::vector<base::DnsAnswer> answers = co_await ResolveAll(resolver_, questions);
  for (size_t i = 0; i < questions.size(); ++i) {
    answers_[std::move(questions[i])] = std::move(answers[i]);
  }
}

}  // namespace drive_internal
}  // namespace godwit::dns
