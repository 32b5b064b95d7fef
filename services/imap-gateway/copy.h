#pragma once

// A COPY or MOVE in progress.

#include "libs/imap/uid_set.h"
#include "libs/store/ids.h"
#include "libs/store/uid_ranges.h"

namespace godwit::imap_gateway {

struct CopyRun {
  store::MailboxId source = store::MailboxId::kNone;
  store::MailboxId destination = store::MailboxId::kNone;
  bool move = false;
  store::UidRanges left{};
  // What is done: pairs, in ascending order.
  imap::UidSet from{};
  imap::UidSet to{};
};

}  // namespace godwit::imap_gateway
