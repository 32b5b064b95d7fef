#include "libs/mime/binary_encoder.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/mime/envelope.h"
#include "libs/mime/header.h"
#include "libs/mime/parameter.h"
#include "libs/mime/transfer.h"

namespace godwit::mime {
namespace {

// As parser.cc has them, so that both see the same parts.
constexpr size_t kMaxDelimiterLine = 1000;
constexpr size_t kMaxBoundary = 900;
constexpr std::string_view kEncodingField = "Content-Transfer-Encoding";
// RFC 2045 §6.8: lines of at most 76 characters, which are 57 octets.
constexpr size_t kGroup = 57;

std::string_view WithoutTrailingSpace(std::string_view text) {
  while (!text.empty() && (base::IsWsp(text.back()) || text.back() == '\r' || text.back() == '\n'))
    text.remove_suffix(1);
  return text;
}

bool IsMessage(const Part& part) {
  return part.type == "message" && (part.subtype == "rfc822" || part.subtype == "global") &&
         ParseTransferEncoding(part.encoding) == TransferEncoding::kIdentity;
}

std::string BoundaryOf(const Part& part) {
  if (part.type != "multipart") return "";
  std::string boundary = FindParameter(part.params, "boundary").value_or("");
  if (const std::string* raw = FindRawParameter(part.params, "boundary")) boundary = *raw;
  boundary = std::string(WithoutTrailingSpace(boundary));
  return boundary.size() <= kMaxBoundary ? boundary : "";
}

// Octets at the end of `text` that are a line end or the beginning of one.
size_t LineEndSize(std::string_view text) {
  if (text.ends_with("\r\n")) return 2;
  return text.ends_with('\n') || text.ends_with('\r') ? 1 : 0;
}

}  // namespace

BinaryEncoder::BinaryEncoder(const Limits& limits) : limits_(limits) { BeginPart(); }

size_t BinaryEncoder::memory() const {
  return header_.capacity() + line_.capacity() + frames_.capacity() * sizeof(Frame);
}

void BinaryEncoder::BeginPart() {
  Frame frame;
  if (!frames_.empty()) {
    Frame& parent = frames_.back();
    // RFC 1847 §2.1: the first part is what is signed, the second the signature.
    frame.sealed = parent.sealed || (parent.is_signed && parent.children == 0);
    ++parent.children;
  }
  frames_.push_back(std::move(frame));
  mode_ = Mode::kHeader;
  header_.clear();
  header_line_ = 0;
  skip_header_ = false;
}

void BinaryEncoder::Feed(std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    const size_t newline = bytes.find('\n');
    const size_t size = newline == std::string_view::npos ? bytes.size() : newline + 1;
    Piece(bytes.substr(0, size), out);
    bytes.remove_prefix(size);
  }
}

// A line, or what is there of it.
void BinaryEncoder::Piece(std::string_view piece, std::string* out) {
  const bool ends = piece.back() == '\n';
  line_size_ += piece.size();
  if (mode_ == Mode::kHeader) {
    HeaderPiece(piece, ends, out);
  } else {
    BodyPiece(piece, ends, out);
  }
  if (!ends) return;
  line_size_ = 0;
  line_.clear();
  held_ = false;
}

void BinaryEncoder::HeaderPiece(std::string_view piece, bool ends, std::string* out) {
  line_.append(piece.substr(0, kMaxDelimiterLine - line_.size()));
  header_ += piece;
  if (header_.size() > limits_.header) skip_header_ = true;
  if (skip_header_ && line_size_ > kMaxDelimiterLine) {
    *out += std::exchange(header_, {});
    header_line_ = 0;
  }
  if (!ends) return;
  const Delimiter delimiter = FindDelimiter(line_);
  if (delimiter.found) {
    header_.resize(header_line_);
    EndHeader(out);
    return AtDelimiter(delimiter, line_, out);
  }
  if (line_ == "\r\n" || line_ == "\n") return EndHeader(out);
  if (skip_header_) *out += std::exchange(header_, {});
  header_line_ = header_.size();
}

void BinaryEncoder::BodyPiece(std::string_view piece, bool ends, std::string* out) {
  // RFC 2046 §5.1.1: a delimiter line begins with "--".
  if (line_size_ == piece.size()) held_ = piece[0] == '-';
  if (held_ && line_size_ > kMaxDelimiterLine) Release(out);
  if (!held_) return Content(piece, out);
  line_ += piece;
  if (line_.size() >= 2 && line_[1] != '-') return Release(out);
  if (!ends) return;
  const Delimiter delimiter = FindDelimiter(line_);
  if (!delimiter.found) return Release(out);
  EndContent(true, out);
  AtDelimiter(delimiter, line_, out);
}

// The held line is content.
void BinaryEncoder::Release(std::string* out) {
  Content(line_, out);
  line_.clear();
  held_ = false;
}

// RFC 2046 §5.1.1: "--" boundary, "--" if it closes, white space.
BinaryEncoder::Delimiter BinaryEncoder::FindDelimiter(std::string_view line) const {
  if (line_size_ > kMaxDelimiterLine || line.substr(0, 2) != "--") return {};
  const std::string_view text = WithoutTrailingSpace(line.substr(2));
  Delimiter close;
  for (size_t i = frames_.size(); i > 0; --i) {
    const std::string& boundary = frames_[i - 1].boundary;
    if (boundary.empty() || !text.starts_with(boundary)) continue;
    const std::string_view rest = text.substr(boundary.size());
    if (rest.empty()) return {i - 1, true, false};
    if (rest == "--" && !close.found) close = {i - 1, true, true};
  }
  return close;
}

void BinaryEncoder::AtDelimiter(const Delimiter& delimiter, std::string_view line,
                                std::string* out) {
  *out += line;
  frames_.resize(delimiter.frame + 1);
  if (!delimiter.close) return BeginPart();
  frames_.back().boundary.clear();  // what follows is the epilogue
  mode_ = Mode::kBody;
  encode_ = false;
}

// The header of the innermost frame is complete in header_.
void BinaryEncoder::EndHeader(std::string* out) {
  mode_ = Mode::kBody;
  encode_ = false;
  if (skip_header_) {
    *out += std::exchange(header_, {});
    return;
  }
  const Frame* parent = frames_.size() > 1 ? &frames_[frames_.size() - 2] : nullptr;
  Part part;
  ApplyPartHeader(SplitHeader(header_, {.max_fields = header_.size(), .max_bytes = header_.size()}),
                  parent != nullptr && parent->digest, &part);
  const bool deeper = frames_.size() < limits_.depth;
  const bool message = deeper && IsMessage(part);
  Frame& frame = frames_.back();
  if (deeper) frame.boundary = BoundaryOf(part);
  frame.is_signed = !frame.boundary.empty() && part.subtype == "signed";
  frame.digest = !frame.boundary.empty() && part.subtype == "digest";
  WriteHeader(ReadHeader(part), out);
  if (message) BeginPart();
}

std::string_view BinaryEncoder::ReadHeader(const Part& part) {
  if (part.encoding != "binary") return "";
  const bool composite = part.type == "multipart" || part.type == "message";
  if (frames_.back().sealed) {
    sealed_ = sealed_ || !composite;
    return "";
  }
  if (composite) return "8bit";
  encode_ = true;
  tail_.clear();
  group_.clear();
  wrote_line_ = false;
  return "base64";
}

void BinaryEncoder::WriteHeader(std::string_view encoding, std::string* out) {
  const std::string header = std::exchange(header_, {});
  if (encoding.empty()) {
    *out += header;
    return;
  }
  const HeaderBlock block =
      SplitHeader(header, {.max_fields = header.size(), .max_bytes = header.size()});
  size_t at = 0;
  for (const HeaderField* field : block.FindAll(kEncodingField)) {
    out->append(header, at, field->offset - at);
    // The first field counts, for us and for the parser; there is no second one after this.
    if (at == 0) AppendField(out, kEncodingField, encoding);
    at = field->offset + field->size;
  }
  out->append(header, at);
}

void BinaryEncoder::Content(std::string_view text, std::string* out) {
  if (!encode_) {
    *out += text;
    return;
  }
  // The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
  std::string octets = std::exchange(tail_, {});
  octets += text;
  const size_t held = LineEndSize(octets);
  tail_ = octets.substr(octets.size() - held);
  octets.resize(octets.size() - held);
  Encode(octets, out);
}

// Whole lines only; a line end stands before each but the first.
void BinaryEncoder::Encode(std::string_view octets, std::string* out) {
  while (!octets.empty()) {
    const size_t take = std::min(octets.size(), kGroup - group_.size());
    group_ += octets.substr(0, take);
    octets.remove_prefix(take);
    if (group_.size() < kGroup) return;
    if (std::exchange(wrote_line_, true)) *out += "\r\n";
    *out += base::Base64Encode(group_);
    group_.clear();
  }
}

void BinaryEncoder::EndContent(bool at_delimiter, std::string* out) {
  if (!std::exchange(encode_, false)) return;
  const std::string tail = std::exchange(tail_, {});
  if (!at_delimiter) Encode(tail, out);
  if (!group_.empty()) {
    if (wrote_line_) *out += "\r\n";
    *out += base::Base64Encode(std::exchange(group_, {}));
    wrote_line_ = true;
  }
  if (at_delimiter) {
    *out += tail;
  } else if (wrote_line_) {
    *out += "\r\n";
  }
}

void BinaryEncoder::Finish(std::string* out) {
  if (mode_ == Mode::kHeader) {  // a part without body
    *out += std::exchange(header_, {});
    return;
  }
  const Delimiter delimiter = held_ ? FindDelimiter(line_) : Delimiter{};
  if (held_ && !delimiter.found) Release(out);
  EndContent(delimiter.found, out);
  if (delimiter.found) *out += line_;
}

}  // namespace godwit::mime
