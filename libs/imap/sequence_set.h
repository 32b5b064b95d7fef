#pragma once

// A sequence set as a client writes it (RFC 9051 §9: "1:3,7,12:*", or "$" for the saved search
// result of RFC 5182), before it is known which messages are there.

#include <cstdint>
#include <optional>
#include <vector>

#include "libs/imap/cursor.h"
#include "libs/imap/uid_set.h"

namespace godwit::imap {

struct SequenceSet {
  static constexpr uint32_t kStar = 0;
  struct Range {
    uint32_t first = kStar;
    uint32_t last = kStar;  // may be below `first`
    friend bool operator==(const Range&, const Range&) = default;
  };
  std::vector<Range> ranges;
  bool saved = false;  // "$"; then `ranges` is empty

  // The numbers it means when the greatest in use is `max`. RFC 9051 §9: "*" is the greatest, and
  // 5:* is also right when 3 is the greatest: it names 3. `max` 0 is an empty mailbox, where "*"
  // is nothing.
  UidSet Resolve(uint32_t max) const;
  // A sequence number (not UID) above `max` is named, which is an error (RFC 9051 §6.4.5).
  bool Exceeds(uint32_t max) const;

  friend bool operator==(const SequenceSet&, const SequenceSet&) = default;
};

// Takes a sequence set from a command; `allow_saved` takes "$".
std::optional<SequenceSet> ParseSequenceSet(Cursor* cursor, bool allow_saved = true);

}  // namespace godwit::imap
