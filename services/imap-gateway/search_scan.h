#pragma once

// The part of SEARCH that reads messages: headers, and the text of bodies looked through for
// needles. Runs on a database thread, message by message, with bounded memory.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/db/connection.h"
#include "libs/mime/structure.h"
#include "libs/store/blob.h"
#include "libs/store/ids.h"

namespace godwit::imap_gateway {

struct ScanWork {
  store::BlobRef blob;
  mime::Part root;
};

struct Scanned {
  std::string header;
  // For each needle: it is in the text of a part, or in the header of an embedded message.
  std::vector<bool> found;
};

// In the order of `work`. Bodies are read only when there are needles. A message whose octets are
// gone is empty.
absl::StatusOr<std::vector<Scanned>> ScanMessages(db::Connection& connection,
                                                  store::AccountId account,
                                                  const std::vector<ScanWork>& work,
                                                  const std::vector<std::string>& folded_needles);

// A header as SEARCH TEXT sees it: unfolded, encoded words decoded, one field a line.
std::string DecodedHeader(std::string_view header);

}  // namespace godwit::imap_gateway
