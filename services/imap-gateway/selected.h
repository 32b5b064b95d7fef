#pragma once

// Selected: the mailbox that a session has open, as the client has been told of it.
//
// What the client knows is `uids` (its sequence numbers are their ranks) and everything up to
// `modseq`. Only Session::Sync() moves it on. While the session waits, Rest() makes it small.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libs/imap/uid_set.h"
#include "libs/store/entries.h"
#include "libs/store/flags.h"
#include "libs/store/ids.h"
#include "libs/store/uid_ranges.h"

namespace godwit::imap_gateway {

// A UidSet that can be packed away.
class UidMap {
 public:
  imap::UidSet& get();
  void Rest();

 private:
  imap::UidSet set_;
  std::string packed_;  // when not empty: instead of set_
};

struct Selected {
  store::MailboxId mailbox = store::MailboxId::kNone;
  std::string path;
  uint32_t uid_validity = 0;
  bool read_only = false;
  // Everything up to here was told to the client.
  store::Modseq modseq = 0;
  UidMap uids;
  // RFC 5182: the result that SEARCH saved.
  UidMap saved;
  // Those of the account, as far as known; asked again when an entry has another.
  std::vector<store::Keyword> keywords;

  // The names of an entry's keywords; false when one is not known (yet).
  bool NameKeywords(const store::Flags& flags, std::vector<std::string>* names) const;
  void Rest();
};

store::UidRanges ToRanges(const imap::UidSet& set);
imap::UidSet ToUidSet(const store::UidRanges& ranges);

}  // namespace godwit::imap_gateway
