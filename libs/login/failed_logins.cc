#include "libs/login/failed_logins.h"

#include <utility>

namespace godwit::login {
namespace {

limit::LoginEnd EndOf(const Step& step) {
  if (std::holds_alternative<Accepted>(step)) return limit::LoginEnd::kLetIn;
  const auto* refused = std::get_if<Refused>(&step);
  const bool wrong = refused != nullptr && !refused->disabled;
  return wrong ? limit::LoginEnd::kWrong : limit::LoginEnd::kNeither;
}

}  // namespace

base::Task<std::optional<Step>> RunCounted(limit::FailedLogins* failed_logins,
                                           limit::LoginAttempt attempt, base::Task<Step> step) {
  const bool begun = co_await failed_logins->Begin(attempt);
  if (!begun) co_return std::nullopt;
  Step result = co_await step;
  failed_logins->End(attempt, EndOf(result));
  co_return result;
}

}  // namespace godwit::login
