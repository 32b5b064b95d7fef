#include "services/smtp-ingress/recipient_cache.h"

#include <algorithm>

namespace godwit::smtp_ingress {
namespace {

constexpr size_t kMostMembers = 16;

bool Takes(const store::LocalRecipient& local) {
  return !local.disabled && (local.quota_bytes == 0 || local.used_bytes < local.quota_bytes);
}

// Depends on the recipient alone, lets mail in, and stays the same when another address is made.
bool MayBeKept(const Found& found) {
  const store::Recipient& recipient = found.recipient;
  const bool here = recipient.kind == store::RecipientKind::kAccount ||
                    recipient.kind == store::RecipientKind::kAlias;
  return here && found.srs == Found::Srs::kNo && recipient.external.empty() &&
         recipient.refusal.empty() && !recipient.by_catch_all && !recipient.by_tag &&
         recipient.local.size() <= kMostMembers &&
         std::all_of(recipient.local.begin(), recipient.local.end(), Takes);
}

}  // namespace

std::optional<Found> RecipientCache::Find(const smtp::Address& recipient) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(Key(recipient.local_part, recipient.domain));
  if (found == entries_.end()) return std::nullopt;
  if (clock_->Monotonic() - found->second.since >= keep_) return std::nullopt;
  return found->second.found;
}

void RecipientCache::Add(const smtp::Address& recipient, const Found& found) {
  if (keep_ <= absl::ZeroDuration() || !MayBeKept(found)) return;
  Key key(recipient.local_part, recipient.domain);
  std::lock_guard lock(mutex_);
  const absl::Duration now = clock_->Monotonic();
  DropOld(now);
  // Another session was faster: what it found is as good.
  if (entries_.try_emplace(key, Entry{now, found}).second) order_.push_back(std::move(key));
}

void RecipientCache::DropOld(absl::Duration now) {
  while (!order_.empty()) {
    const auto oldest = entries_.find(order_.front());
    if (now - oldest->second.since < keep_ && order_.size() < kMost) return;
    entries_.erase(oldest);
    order_.pop_front();
  }
}

}  // namespace godwit::smtp_ingress
