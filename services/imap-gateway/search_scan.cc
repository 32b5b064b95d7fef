#include "services/imap-gateway/search_scan.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/imap/text_match.h"
#include "libs/mime/body.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/header.h"
#include "libs/mime/record.h"
#include "libs/store/blob.h"

namespace godwit::imap_gateway {
namespace {

class Scanner {
 public:
  Scanner(db::Connection* connection, store::AccountId account, const store::BlobRef& blob,
          const std::vector<std::string>& needles)
      : connection_(connection), account_(account), blob_(blob), scan_(needles) {}

  absl::Status Scan(const mime::Part& root) { return ScanPart(root); }
  bool Found(size_t needle) const { return scan_.Found(needle); }

 private:
  absl::Status ScanPart(const mime::Part& part) {
    if (scan_.AllFound()) return absl::OkStatus();
    if (part.kind == mime::Part::Kind::kLeaf) {
      return part.type == "text" ? ScanText(part) : absl::OkStatus();
    }
    if (part.kind == mime::Part::Kind::kMessage) {
      GODWIT_RETURN_IF_ERROR(ScanHeader(part.children.front()));
    }
    for (const mime::Part& child : part.children) GODWIT_RETURN_IF_ERROR(ScanPart(child));
    return absl::OkStatus();
  }

  absl::Status ScanText(const mime::Part& part) {
    mime::TextDecoder decoder(part);
    std::string text;
    GODWIT_RETURN_IF_ERROR(Read(part.body_offset, part.body_size, [&](std::string_view piece) {
      text.clear();
      decoder.Feed(piece, &text);
      scan_.Feed(text);
    }));
    text.clear();
    decoder.Finish(&text);
    scan_.Feed(text);
    scan_.Break();
    return absl::OkStatus();
  }

  absl::Status ScanHeader(const mime::Part& embedded) {
    std::string header;
    GODWIT_RETURN_IF_ERROR(Read(embedded.header_offset, embedded.header_size,
                                [&](std::string_view piece) { header += piece; }));
    scan_.Feed(DecodedHeader(header));
    scan_.Break();
    return absl::OkStatus();
  }

  // Octets of the body, piece by piece.
  template <typename Use>
  absl::Status Read(uint64_t offset, uint64_t size, Use use) {
    for (uint64_t done = 0; done < size && !scan_.AllFound();) {
      const auto at = static_cast<int64_t>(blob_.header_size + offset + done);
      const size_t want = std::min<uint64_t>(store::kMaxBlobRead, size - done);
      GODWIT_ASSIGN_OR_RETURN(const std::string piece,
                              store::ReadBlob(*connection_, account_, blob_, at, want));
      if (piece.empty()) break;
      done += piece.size();
      use(std::string_view(piece));
    }
    return absl::OkStatus();
  }

  db::Connection* connection_;
  store::AccountId account_;
  store::BlobRef blob_;
  imap::TextScan scan_;
};

void AddHeader(std::string header, bool for_text, Scanned* message) {
  for (const mime::HeaderField& field : mime::SplitHeader(header).fields) {
    message->fields.push_back(
        {base::Lower(field.name), imap::Fold(mime::DecodeWords(mime::Unfold(field.value)))});
  }
  if (for_text) message->folded_header = imap::Fold(DecodedHeader(header));
}

}  // namespace

std::string DecodedHeader(std::string_view header) {
  std::string text;
  for (const mime::HeaderField& field : mime::SplitHeader(header).fields) {
    text += field.name;
    text += ": ";
    text += mime::DecodeWords(mime::Unfold(field.value));
    text += "\r\n";
  }
  return text;
}

absl::StatusOr<ScanResult> ScanMessages(db::Connection& connection, store::AccountId account,
                                        store::MailboxId mailbox, const store::UidRanges& uids,
                                        const std::vector<std::string>& folded_needles) {
  GODWIT_ASSIGN_OR_RETURN(
      store::FetchedEntries fetched,
      store::FetchEntries(connection, account, mailbox, uids, {.summary = true, .search = true}));
  std::vector<store::BlobId> blobs;
  for (const store::Entry& entry : fetched.entries) blobs.push_back(entry.blob.blob);
  GODWIT_ASSIGN_OR_RETURN(std::vector<std::string> headers,
                          store::ReadHeaders(connection, account, blobs));
  ScanResult result;
  result.last = UINT32_MAX;
  int64_t scanned = 0;
  for (size_t i = 0; i < fetched.entries.size(); ++i) {
    Scanned message;
    message.entry = std::move(fetched.entries[i]);
    message.found.resize(folded_needles.size());
    AddHeader(std::move(headers[i]), !folded_needles.empty(), &message);
    GODWIT_ASSIGN_OR_RETURN(const mime::Summary summary, mime::Decode(message.entry.summary));
    message.sent = summary.sent;
    if (!folded_needles.empty()) {
      Scanner scanner(&connection, account, message.entry.blob, folded_needles);
      const absl::Status status = scanner.Scan(summary.root);
      if (!status.ok() && status.code() != absl::StatusCode::kNotFound) return status;
      for (size_t n = 0; n < folded_needles.size(); ++n) message.found[n] = scanner.Found(n);
      scanned += message.entry.size;
    }
    result.messages.push_back(std::move(message));
    if (scanned < kMaxScan || i + 1 == fetched.entries.size()) continue;
    result.last = result.messages.back().entry.uid;
    break;
  }
  return result;
}

}  // namespace godwit::imap_gateway
