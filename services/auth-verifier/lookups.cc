#include "services/auth-verifier/lookups.h"

#include <utility>

namespace godwit::auth_verifier {

void Lookups::Ask(const std::vector<base::DnsQuestion>& questions) {
  for (const base::DnsQuestion& question : questions) {
    if (answers_.contains(question) || in_flight_.contains(question)) continue;
    if (questions_left_ == 0) {
      base::DnsAnswer refused;
      refused.error = "too many DNS questions for one message, or out of time";
      answers_.emplace(question, std::move(refused));
      continue;
    }
    --questions_left_;
    in_flight_.insert(question);
    base::Spawn(Fetch(shared_from_this(), question));
  }
}

base::Task<void> Lookups::Fetch(std::shared_ptr<Lookups> self, base::DnsQuestion question) {
  base::DnsAnswer answer = co_await self->resolver_->Resolve(question);
  self->any_failed_ = self->any_failed_ || answer.outcome == base::DnsOutcome::kTempFail;
  self->in_flight_.erase(question);
  self->answers_.emplace(std::move(question), std::move(answer));
  if (self->in_flight_.empty()) self->idle_.Set(true);
}

base::Task<void> Lookups::Settle() {
  while (!in_flight_.empty()) {
    idle_ = base::Completion<bool>();
    base::Completion<bool> idle = idle_;
    co_await idle;
  }
}

}  // namespace godwit::auth_verifier
