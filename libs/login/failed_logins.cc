#include "libs/login/failed_logins.h"

#include <utility>

namespace godwit::login {
namespace {

bool IsFailure(const Step& step) {
  const auto* refused = std::get_if<Refused>(&step);
  return refused != nullptr && !refused->disabled;
}

}  // namespace

base::Task<std::optional<Step>> RunCounted(limit::FailedLogins* failed_logins,
                                           base::IpAddress address, base::Task<Step> step) {
  const bool begun = co_await failed_logins->Begin(address);
  if (!begun) co_return std::nullopt;
  Step result = co_await step;
  failed_logins->End(address, IsFailure(result));
  co_return result;
}

}  // namespace godwit::login
