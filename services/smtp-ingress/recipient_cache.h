#pragma once

// RecipientCache: what the database said a moment ago of recipients here who may have mail, for
// those who get much of it at once. Everything else is asked for each time: what goes on to other
// servers, what is refused, mailboxes that are full, large aliases, and who is not there by his own
// name, so that an address works as soon as it is made.
//
// Thread-safe. Bounded by kMost recipients of at most 16 accounts; the oldest go first.

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/smtp/path.h"
#include "services/smtp-ingress/lookup.h"

namespace godwit::smtp_ingress {

class RecipientCache {
 public:
  static constexpr size_t kMost = 4096;

  // With `keep` zero nothing is kept.
  RecipientCache(absl::Duration keep, const base::Clock* clock) : keep_(keep), clock_(clock) {}

  // What was added for this address within `keep`.
  std::optional<Found> Find(const smtp::Address& recipient);
  void Add(const smtp::Address& recipient, const Found& found);

 private:
  struct Entry {
    absl::Duration since;  // on the monotonic clock
    Found found;
  };
  using Key = std::pair<std::string, std::string>;  // local part, domain

  void DropOld(absl::Duration now);

  const absl::Duration keep_;
  const base::Clock* const clock_;
  std::mutex mutex_;  // guards everything below
  absl::flat_hash_map<Key, Entry> entries_;
  std::deque<Key> order_;  // of entries_, the oldest first
};

}  // namespace godwit::smtp_ingress
