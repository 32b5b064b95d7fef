#pragma once

// The part of SEARCH that reads messages: headers, decoded and folded once, and the text of bodies
// looked through for needles. Runs on a database thread, message by message, with bounded memory.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/db/connection.h"
#include "libs/mime/date.h"
#include "libs/store/entries.h"
#include "libs/store/ids.h"
#include "libs/store/uid_ranges.h"

namespace godwit::imap_gateway {

struct Scanned {
  struct Field {
    std::string name;  // lower case
    std::string text;  // unfolded, decoded, then folded as text_match.h does
  };
  store::Entry entry;  // with both groups of columns
  std::vector<Field> fields;
  std::string folded_header;  // of DecodedHeader; empty when there are no needles
  std::optional<mime::DateTime> sent;
  // For each needle: it is in the text of a part, or in the header of an embedded message.
  std::vector<bool> found;
};

struct ScanResult {
  std::vector<Scanned> messages;  // ascending
  // The last one that was looked at; what is above is for another call.
  store::Uid last = 0;
};

// The messages of `uids`, which should be few, up to kMaxScan octets of bodies and one message.
// Bodies are read only when there are needles. A message whose octets are gone has an empty header
// and holds no needle.
inline constexpr int64_t kMaxScan = 8 * 1024 * 1024;
absl::StatusOr<ScanResult> ScanMessages(db::Connection& connection, store::AccountId account,
                                        store::MailboxId mailbox, const store::UidRanges& uids,
                                        const std::vector<std::string>& folded_needles);

// A header as SEARCH TEXT sees it: unfolded, encoded words decoded, one field a line.
std::string DecodedHeader(std::string_view header);

}  // namespace godwit::imap_gateway
