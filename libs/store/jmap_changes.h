#pragma once

// What changed since a state (RFC 8620 §5.2), from the change log.
//
// A state is a modseq of the account. All from one snapshot; a page ends between two modseqs.

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

enum class JmapType { kMailbox, kEmail, kThread };

struct JmapChanges {
  Modseq state = 0;  // after these changes
  bool has_more = false;
  std::vector<int64_t> created;  // ids of the type, ascending
  std::vector<int64_t> updated;
  std::vector<int64_t> destroyed;
  // RFC 8621 §2.2: of the updated mailboxes nothing but counts changed.
  bool only_counts = false;
};

// At most `max` ids. Nothing when it can not be calculated: the log does not reach back so far, the
// state was never given, or one transaction changed more than `max`. An email that was hidden and
// is shown again counts as updated. NotFound when the account is gone.
absl::StatusOr<std::optional<JmapChanges>> JmapChangesSince(db::Connection& connection,
                                                            AccountId account, JmapType type,
                                                            Modseq since, size_t max);

}  // namespace godwit::store
