#include "libs/login/failed_logins.h"

#include <utility>

#include "libs/net/reactor.h"

namespace godwit::login {
namespace {

// While others from the same address are being judged.
constexpr absl::Duration kPause = absl::Milliseconds(50);
constexpr int kPauses = 200;

bool IsFailure(const Step& step) {
  const auto* refused = std::get_if<Refused>(&step);
  return refused != nullptr && !refused->disabled;
}

}  // namespace

FailedLogins::Begun FailedLogins::TryBegin(const std::string& key) {
  std::lock_guard lock(mutex_);
  if (limiter_.Take(key, 1)) {
    ++judging_[key];
    return Begun::kYes;
  }
  return judging_.contains(key) ? Begun::kLater : Begun::kNo;
}

base::Task<bool> FailedLogins::Begin(std::string key) {
  for (int i = 0; i < kPauses; ++i) {
    const Begun begun = TryBegin(key);
    if (begun != Begun::kLater) co_return begun == Begun::kYes;
    const bool running = co_await net::Reactor::Current()->Sleep(kPause);
    if (!running) break;
  }
  co_return false;
}

void FailedLogins::End(const std::string& key, bool failed) {
  if (!failed) limiter_.GiveBack(key, 1);
  std::lock_guard lock(mutex_);
  const auto found = judging_.find(key);
  if (--found->second == 0) judging_.erase(found);
}

base::Task<std::optional<Step>> FailedLogins::Run(base::IpAddress address, base::Task<Step> step) {
  const std::string key(address.CustomerNetwork().bytes());
  if (!unlimited_) {
    const bool begun = co_await Begin(key);
    if (!begun) co_return std::nullopt;
  }
  Step result = co_await step;
  if (!unlimited_) End(key, IsFailure(result));
  co_return result;
}

}  // namespace godwit::login
