#pragma once

// DailyLimits: how much one account may send in a day, whichever way it comes: what is stolen with
// a password is worth no more than that.
//
//   if (auto used_up = limits.Take(account, recipients)) ... no more of *used_up today ...
//   ... send; if it was not sent: limits.GiveBack(account, recipients)
//
// Each process counts for itself, and anew when it starts (base::RateLimiter). Thread-safe.

#include <cstdint>
#include <optional>
#include <string_view>

#include "libs/base/clock.h"
#include "libs/base/rate_limiter.h"

namespace godwit::outgoing {

class DailyLimits {
 public:
  struct Options {
    int64_t messages = 0;    // 0: no limit
    int64_t recipients = 0;  // of all messages; 0: no limit
  };
  DailyLimits(const Options& options, const base::Clock* clock);

  // Whether there is room for one message, or so many recipients, now.
  bool HasMessage(int64_t account);
  bool HasRecipients(int64_t account, int64_t recipients);

  // One message with so many recipients. "messages" or "recipients": of these not enough is left,
  // and nothing was taken.
  std::optional<std::string_view> Take(int64_t account, int64_t recipients);
  // It was not sent after all.
  void GiveBack(int64_t account, int64_t recipients);

 private:
  base::RateLimiter messages_;
  base::RateLimiter recipients_;
};

}  // namespace godwit::outgoing
