#pragma once

// `store check`: recomputes everything that is kept and compares.
//
// Counters of mailboxes and accounts, quota, uid < uidnext, modseqs within their bounds, emails
// without an entry and entries without an email, blobs without all their chunks and chunks without
// a blob, threads, keywords, and the change log against its floor. What DeleteMailbox and
// RemoveAccount left to the sweep is no finding. It reads everything: for
// operators and tests. One snapshot, read only; it may run beside the daemons.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

struct Finding {
  std::string check;  // "mailbox-counters", ...: a closed set
  AccountId account = AccountId::kNone;
  std::string detail;
};

// Empty when all is well. At most 100 findings a check.
absl::StatusOr<std::vector<Finding>> CheckStore(db::Connection& connection);

}  // namespace godwit::store
