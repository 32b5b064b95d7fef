// The octets of a message: BODY[...], RFC822, BINARY[...] (RFC 9051 §6.4.5.1, §6.4.5.2).
//
// Every function writes a whole value: a literal of exactly the announced size, or NIL when the
// octets are not there. If they fail in the middle of a literal, the connection is closed.

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/mime/transfer.h"
#include "libs/obs/log.h"
#include "services/imap-gateway/fetch.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

using Kind = imap::FetchItem::Kind;
using Text = imap::Section::Text;

// What is held of a large message at a time.
constexpr uint64_t kPiece = store::kChunkSize;
// HEADER.FIELDS of more than this is not picked apart.
constexpr uint64_t kMaxHeader = store::kMaxHeaderSize;

// The items with old names (RFC 3501 §6.4.5).
imap::Section SectionOf(const imap::FetchItem& item) {
  imap::Section section = item.section;
  if (item.kind == Kind::kRfc822Header) section.text = Text::kHeader;
  if (item.kind == Kind::kRfc822Text) section.text = Text::kText;
  return section;
}

// RFC 9051 §9: a literal is of CHAR8, which has no NUL; only literal8 may (BINARY). What came with
// NULs all the same is told as other servers do.
void AppendText(std::string* out, std::string_view text) {
  const size_t before = out->size();
  *out += text;
  std::replace(out->begin() + static_cast<std::ptrdiff_t>(before), out->end(), '\0', '\x80');
}

imap::MessageSizes SizesOf(const store::Entry& entry) {
  return {static_cast<uint64_t>(entry.blob.header_size), static_cast<uint64_t>(entry.blob.size)};
}

}  // namespace

// At most kMaxBlobRead octets.
base::Task<absl::StatusOr<std::string>> Session::ReadOctets(const FetchedMessage* message,
                                                            imap::Octets octets) {
  if (octets.offset + octets.size <= message->front.size()) {
    co_return message->front.substr(octets.offset, octets.size);
  }
  absl::StatusOr<std::string> text = co_await env_->database->Run(
      [account = account_->id, blob = message->entry.blob, octets](db::Connection& c) {
        return store::ReadBlob(c, account, blob, static_cast<int64_t>(octets.offset), octets.size);
      });
  if (text.ok() && text->size() != octets.size) {
    co_return base::DataLoss("message is shorter than its entry says");
  }
  co_return text;
}

base::Task<absl::Status> Session::SendSection(const imap::FetchItem* item,
                                              const FetchedMessage* message,
                                              const mime::Part* root) {
  const imap::Section section = SectionOf(*item);
  const auto octets = imap::LocateSection(*root, section, SizesOf(message->entry));
  const bool fields = section.text == Text::kHeaderFields || section.text == Text::kHeaderFieldsNot;
  if (!octets || (fields && octets->size > kMaxHeader)) {
    out_ += "NIL";
    co_return absl::OkStatus();
  }
  if (!fields) {
    co_return co_await SendOctets(message, imap::CutPartial(*octets, item->partial));
  }
  absl::StatusOr<std::string> header = co_await ReadOctets(message, *octets);
  if (!header.ok()) {
    out_ += "NIL";
    co_return header.status();
  }
  const std::string picked = imap::SelectFields(*header, section);
  const imap::Octets cut = imap::CutPartial({0, picked.size()}, item->partial);
  imap::AppendLiteralHeader(&out_, cut.size);
  AppendText(&out_, std::string_view(picked).substr(cut.offset, cut.size));
  co_return absl::OkStatus();
}

base::Task<absl::Status> Session::SendOctets(const FetchedMessage* message, imap::Octets octets) {
  env_->metrics->fetched_bytes.Add(static_cast<double>(octets.size));
  bool begun = false;
  for (uint64_t done = 0; !begun || done < octets.size;) {
    const imap::Octets piece = {octets.offset + done, std::min(kPiece, octets.size - done)};
    absl::StatusOr<std::string> text = co_await ReadOctets(message, piece);
    if (!text.ok() && !begun) {
      out_ += "NIL";
      co_return text.status();
    }
    if (!text.ok()) {
      // The client waits for octets that do not come: the only way out is the end.
      obs::Log(obs::Level::kError, "message broke off",
               {{"trace", trace_}, {"error", text.status()}});
      closing_ = true;
      stream_->Close();
      co_return text.status();
    }
    if (!std::exchange(begun, true)) imap::AppendLiteralHeader(&out_, octets.size);
    AppendText(&out_, *text);
    done += text->size();
    co_await FlushIfLong();
    if (closing_) co_return absl::OkStatus();
  }
  co_return absl::OkStatus();
}

// RFC 9051 §6.4.5.2: the part without its transfer encoding. The size has to be known before the
// first octet, so a large part is read twice.
base::Task<absl::Status> Session::SendBinary(const imap::FetchItem* item,
                                             const FetchedMessage* message,
                                             const mime::Part* root) {
  const auto octets = imap::LocateSection(*root, item->section, SizesOf(message->entry));
  const mime::Part* part = imap::FindPart(*root, item->section.part);
  if (!octets) {
    out_ += item->kind == Kind::kBinarySize ? "0" : "NIL";
    co_return absl::OkStatus();
  }
  const bool encoded = part != nullptr && part->kind == mime::Part::Kind::kLeaf;
  const auto encoding =
      encoded ? mime::ParseTransferEncoding(part->encoding) : mime::TransferEncoding::kIdentity;
  imap::Octets cut;
  for (const bool counting : {true, false}) {
    mime::TransferDecoder decoder(encoding);
    uint64_t at = 0;
    for (uint64_t done = 0; done < octets->size;) {
      const imap::Octets piece = {octets->offset + done, std::min(kPiece, octets->size - done)};
      absl::StatusOr<std::string> text = co_await ReadOctets(message, piece);
      if (!text.ok() && counting) {
        out_ += item->kind == Kind::kBinarySize ? "0" : "NIL";
        co_return text.status();
      }
      if (!text.ok()) {
        closing_ = true;
        stream_->Close();
        co_return text.status();
      }
      done += text->size();
      std::string decoded;
      decoder.Decode(*text, &decoded);
      if (done == octets->size) decoder.Finish(&decoded);
      if (!counting) AppendOverlap(decoded, at, cut);
      at += decoded.size();
      co_await FlushIfLong();
    }
    if (!counting) break;
    if (item->kind == Kind::kBinarySize) {
      out_ += std::to_string(at);
      break;
    }
    cut = imap::CutPartial({0, at}, item->partial);
    imap::AppendLiteral8Header(&out_, cut.size);
  }
  co_return absl::OkStatus();
}

// Appends what of `text`, which begins at `at`, lies within `cut`.
void Session::AppendOverlap(std::string_view text, uint64_t at, imap::Octets cut) {
  const uint64_t begin = std::max(at, cut.offset);
  const uint64_t end = std::min(at + text.size(), cut.offset + cut.size);
  if (begin < end) out_ += text.substr(begin - at, end - begin);
}

}  // namespace godwit::imap_gateway
