#include "libs/outgoing/daily_limits.h"

#include <string>

namespace godwit::outgoing {

DailyLimits::DailyLimits(const Options& options, const base::Clock* clock)
    : messages_({.amount = options.messages}, clock),
      recipients_({.amount = options.recipients}, clock) {}

bool DailyLimits::HasMessage(int64_t account) { return messages_.Has(std::to_string(account), 1); }

bool DailyLimits::HasRecipients(int64_t account, int64_t recipients) {
  return recipients_.Has(std::to_string(account), recipients);
}

std::optional<std::string_view> DailyLimits::Take(int64_t account, int64_t recipients) {
  const std::string key = std::to_string(account);
  if (!messages_.Take(key, 1)) return "messages";
  if (recipients_.Take(key, recipients)) return std::nullopt;
  messages_.GiveBack(key, 1);
  return "recipients";
}

void DailyLimits::GiveBack(int64_t account, int64_t recipients) {
  const std::string key = std::to_string(account);
  messages_.GiveBack(key, 1);
  recipients_.GiveBack(key, recipients);
}

}  // namespace godwit::outgoing
