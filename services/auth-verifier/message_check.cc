#include "services/auth-verifier/message_check.h"

#include <utility>
#include <variant>
#include <vector>

#include "libs/base/status.h"

namespace godwit::auth_verifier {

MessageCheck::MessageCheck(CheckResolvers resolvers, const base::Clock* clock, CheckLimits limits,
                           mailauth::Options options, mailauth::Envelope envelope)
    : resolvers_(resolvers),
      clock_(clock),
      limits_(limits),
      verifier_(std::move(options), std::move(envelope)),
      lookups_(std::make_shared<Lookups>(resolvers.cached, limits.dns_questions)) {
  lookups_->Ask(verifier_.Questions());
}

void MessageCheck::Feed(std::string_view bytes) {
  verifier_.Feed(bytes);
  AskMore();
}

// Evaluating costs some microseconds: only when something is new.
void MessageCheck::AskMore() {
  const bool header_is_new = verifier_.header_done() && !asked_header_;
  if (!header_is_new && lookups_->generation() == asked_at_) return;
  asked_header_ = verifier_.header_done();
  asked_at_ = lookups_->generation();
  lookups_->Ask(verifier_.Questions(lookups_->answers()));
}

base::Task<absl::StatusOr<mailauth::Verdict>> MessageCheck::Finish() {
  const absl::Duration end = clock_->Monotonic() + limits_.dns_time;
  while (true) {
    co_await lookups_->Settle();
    if (lookups_->any_failed() && !resolver_answered_) {
      resolver_answered_ = co_await ResolverAnswers();
      if (!resolver_answered_) co_return base::Unavailable("no DNS server answers");
    }
    auto step = verifier_.Finish(lookups_->answers());
    if (auto* verdict = std::get_if<mailauth::Verdict>(&step)) co_return std::move(*verdict);
    if (clock_->Monotonic() >= end) lookups_->StopAsking();
    lookups_->Ask(std::get<std::vector<base::DnsQuestion>>(step));
  }
}

// A root name server that can't be named means that the fault is ours, not a domain's. Not from the
// cache, which knows the root for days.
base::Task<bool> MessageCheck::ResolverAnswers() {
  base::DnsAnswer root = co_await resolvers_.uncached->Resolve({"", base::DnsType::kNs});
  co_return root.outcome != base::DnsOutcome::kTempFail;
}

base::Task<void> MessageCheck::Abandon() { return lookups_->Settle(); }

}  // namespace godwit::auth_verifier
