#include "libs/ingest/incoming_message.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/mime/charset.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/header.h"
#include "libs/mime/record.h"

namespace godwit::ingest {
namespace {

// Searched and sorted by; more of it helps nobody.
constexpr size_t kMaxFieldText = 8 * 1024;
// RFC 8621 §3: the ids that make threads. The oldest and the newest are what counts.
constexpr size_t kMaxReferences = 30;

// PostgreSQL's text is UTF-8 without NUL and nothing else. Octets that are neither come from the
// fields themselves and from encoded words; the same octets always give the same text, so that an
// id still finds its thread.
std::string Clean(std::string text) {
  if (!base::IsUtf8(text)) text = mime::ToUtf8(text, "utf-8");
  std::erase(text, '\0');
  return text;
}

// The front of `text` that the store takes, cleaned.
std::string Cut(std::string text) {
  text = Clean(std::move(text));
  if (text.size() <= kMaxFieldText) return text;
  size_t end = kMaxFieldText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text;
}

// Names and addresses as one line of text for searching.
std::string AddressText(const mime::AddressList& list) {
  std::string out;
  for (const mime::Address& address : list) {
    if (out.size() > kMaxFieldText) break;
    const std::string name = address.DecodedName();
    const std::string spec = mime::DecodeWords(address.Spec());
    if (name.empty() && spec.empty()) continue;
    if (!out.empty()) out += ", ";
    out += name;
    if (!name.empty() && !spec.empty()) out += ' ';
    if (!spec.empty()) out += '<' + spec + '>';
  }
  return Cut(std::move(out));
}

bool HasAttachment(const mime::Part& part) {
  if (part.disposition && part.disposition->type == "attachment") return true;
  if (part.kind == mime::Part::Kind::kMessage) return true;
  return std::any_of(part.children.begin(), part.children.end(), HasAttachment);
}

std::vector<std::string> References(const mime::Summary& summary) {
  std::vector<std::string> ids = summary.references;
  for (const std::string& id : summary.in_reply_to) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  if (ids.size() > kMaxReferences) ids.erase(ids.begin(), ids.end() - kMaxReferences);
  for (std::string& id : ids) id = Clean(std::move(id));
  return ids;
}

mime::Limits ParserLimits(const IncomingMessage::Limits& limits) {
  mime::Limits out;
  out.max_header_bytes = limits.header;
  return out;
}

}  // namespace

IncomingMessage::IncomingMessage(const Limits& limits)
    : limits_(limits), parser_(ParserLimits(limits)) {}

void IncomingMessage::Feed(std::string_view bytes) {
  size_ += bytes.size();
  if (header_too_large_) return;
  parser_.Feed(bytes);
  if (in_body_) {
    body_ += bytes;
  } else {
    FeedHeader(bytes);
  }
}

// RFC 5322 §2.1: the header ends with the first empty line; a message may begin with one.
void IncomingMessage::FeedHeader(std::string_view bytes) {
  const size_t before = header_.size();
  header_ += bytes;
  size_t end = std::string::npos;
  if (header_.compare(0, 2, "\r\n") == 0) {
    end = 2;
  } else {
    const size_t at = header_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
    if (at != std::string::npos) end = at + 4;
  }
  if (std::min(end, header_.size()) > limits_.header) {
    header_too_large_ = true;
    header_.clear();
    return;
  }
  if (end == std::string::npos) return;
  in_body_ = true;
  body_ = header_.substr(end);
  header_.resize(end);
}

size_t IncomingMessage::memory() const {
  return header_.capacity() + body_.capacity() + parser_.memory();
}

std::string IncomingMessage::TakeChunk() {
  std::string chunk = body_.substr(taken_, store::kChunkSize);
  taken_ += chunk.size();
  // Moved together now and then, so that taking all of a long body costs no more than its length.
  if (taken_ * 2 >= body_.size()) {
    body_.erase(0, taken_);
    taken_ = 0;
  }
  return chunk;
}

std::string IncomingMessage::TakeRest() {
  body_.erase(0, std::exchange(taken_, 0));
  return std::exchange(body_, {});
}

store::Delivery IncomingMessage::Finish(std::string header) {
  mime::Summary summary = parser_.Finish();
  summary.header_size = header.size();
  summary.root.header_size = header.size();
  store::Delivery delivery;
  DescribeMessage(summary, &delivery);
  delivery.header = std::move(header);
  delivery.body = TakeRest();
  return delivery;
}

void DescribeMessage(const mime::Summary& summary, store::Delivery* delivery) {
  const mime::Envelope& envelope = summary.envelope;
  delivery->summary = mime::Encode(summary);
  delivery->message_id = Clean(summary.message_id);
  delivery->references = References(summary);
  delivery->subject_base = Cut(summary.base_subject);
  delivery->subject = Cut(mime::DecodeWords(envelope.subject.value_or("")));
  delivery->from = AddressText(envelope.from);
  delivery->to = AddressText(envelope.to);
  delivery->cc = AddressText(envelope.cc);
  delivery->bcc = AddressText(envelope.bcc);
  if (summary.sent) delivery->sent = summary.sent->time;
  delivery->preview = Clean(summary.preview);
  delivery->has_attachment = HasAttachment(summary.root);
}

}  // namespace godwit::ingest
