#pragma once

// MessageCheck: one message on its way through auth-verifier. It joins the pure verification of
// libs/mailauth with DNS, which is asked while the bytes still come.
//
//   MessageCheck check(resolvers, clock, limits, options, envelope);
//   check.Feed(bytes);                                    // any number of times
//   absl::StatusOr<mailauth::Verdict> verdict = co_await check.Finish();
//
// Belongs to one executor.

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"
#include "libs/mailauth/message_verifier.h"
#include "services/auth-verifier/lookups.h"

namespace godwit::auth_verifier {

struct CheckLimits {
  size_t dns_questions = 300;
  absl::Duration dns_time = absl::Seconds(15);  // after the last byte
};

struct CheckResolvers {
  dns::Resolver* cached = nullptr;
  // The same servers without a cache, to see whether they answer at all.
  dns::Resolver* uncached = nullptr;
};

class MessageCheck {
 public:
  MessageCheck(CheckResolvers resolvers, const base::Clock* clock, CheckLimits limits,
               mailauth::Options options, mailauth::Envelope envelope);

  void Feed(std::string_view bytes);

  // Unavailable when no DNS server of ours can be reached: the message must not be judged then.
  // A single name that fails is that method's temperror.
  base::Task<absl::StatusOr<mailauth::Verdict>> Finish();
  // Waits for what is in flight without a verdict; before the object goes when Finish() is not
  // called.
  base::Task<void> Abandon();

 private:
  void AskMore();
  base::Task<bool> ResolverAnswers();

  const CheckResolvers resolvers_;
  const base::Clock* clock_;
  CheckLimits limits_;
  mailauth::MessageVerifier verifier_;
  std::shared_ptr<Lookups> lookups_;
  size_t asked_at_ = 0;
  bool asked_header_ = false;
  bool resolver_answered_ = false;
};

}  // namespace godwit::auth_verifier
