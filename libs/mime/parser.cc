#include "libs/mime/parser.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/mime/base_subject.h"
#include "libs/mime/body.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/envelope.h"
#include "libs/mime/header.h"
#include "libs/mime/message_id.h"
#include "libs/mime/transfer.h"

namespace godwit::mime {
namespace {

// A delimiter line is a line of text: longer ones (RFC 5322 §2.1.1) are never delimiters. This is
// also what is held back of a line until it is known what it is.
constexpr size_t kMaxDelimiterLine = 1000;
constexpr size_t kMaxBoundary = 900;  // RFC 2046 §5.1.1 says 70; more is met
constexpr size_t kMaxDepth = 1000;
constexpr size_t kNone = static_cast<size_t>(-1);

bool HasHighBit(std::string_view text) {
  unsigned char all = 0;
  for (const char c : text) all |= static_cast<unsigned char>(c);
  return all >= 128;
}

std::string_view WithoutLineEnd(std::string_view line) {
  if (line.empty() || line.back() != '\n') return line;
  line.remove_suffix(1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

std::string_view WithoutTrailingSpace(std::string_view text) {
  while (!text.empty() && base::IsWsp(text.back())) text.remove_suffix(1);
  return text;
}

// The boundaries of the multiparts that are open, each with the frames that use it, innermost
// last. A look-up costs the same whatever the depth.
class Boundaries {
 public:
  bool empty() const { return by_text_.empty(); }
  void Add(const std::string& boundary, size_t frame) { by_text_[boundary].push_back(frame); }
  void Remove(const std::string& boundary) {
    const auto it = by_text_.find(boundary);
    it->second.pop_back();
    if (it->second.empty()) by_text_.erase(it);
  }
  size_t Find(std::string_view boundary) const {
    const auto it = by_text_.find(boundary);
    return it == by_text_.end() ? kNone : it->second.back();
  }

 private:
  std::map<std::string, std::vector<size_t>, std::less<>> by_text_;
};

// A part that is not finished. The frames form a stack: each is the child of the one before it.
struct Frame {
  Part part;
  std::string boundary;       // of a multipart until its close delimiter, else empty
  bool embedded = false;      // within a message/rfc822
  uint64_t lines_before = 0;  // line ends in the message before the part's body
};

// A text part chosen for the preview, and the front of its body.
struct PreviewSource {
  bool found = false;
  Part part;
  std::string body;
};

struct Delimiter {
  size_t frame = kNone;  // whose delimiter; kNone: the line is none
  bool close = false;
};

}  // namespace

// Works line by line. In a header every line is kept; in a body only lines that begin with "--"
// are held back until they are whole, all other octets pass. Decisions are made at line ends and
// nowhere else, so the split of the input can not matter.
//
//            empty line                   delimiter line
//   kHeader -----------> kBody           kBody -----------> kHeader of the next part,
//       \ message/rfc822: kHeader             or, if it closes, kBody (epilogue)
//         of the embedded message
class Parser::Impl {
 public:
  explicit Impl(const Limits& limits) : limits_(limits) {
    limits_.max_depth = std::clamp<size_t>(limits_.max_depth, 1, kMaxDepth);
    BeginPart(false, 0);
  }

  void Feed(std::string_view chunk);
  bool header_complete() const { return top_done_; }
  std::string_view header() const { return top_done_ ? top_header_ : header_; }
  size_t memory() const;
  Summary Finish();

 private:
  enum class Mode : uint8_t { kHeader, kBody };

  // Lines.
  void Piece(std::string_view piece);
  void HeaderPiece(std::string_view piece, bool ends);
  void KeepHeader(std::string_view piece);
  void BodyPiece(std::string_view piece, bool ends);
  void NoteOctets(std::string_view piece);
  void NoteLineEnd(std::string_view piece);
  void Pass(std::string_view text);
  void Release();
  Delimiter FindDelimiter(std::string_view line);

  // Parts.
  void BeginPart(bool embedded, uint64_t start);
  void EndHeader(uint64_t end);
  void EndTopHeader(const HeaderBlock& block, uint64_t end);
  Part::Kind KindOf(Frame* frame);
  void ChoosePreview(const Frame& frame);
  void AtDelimiter(const Delimiter& delimiter, uint64_t line_start);
  void PopTo(size_t count, bool at_delimiter, uint64_t end);
  void EndBody(Frame* frame, bool at_delimiter, uint64_t end) const;
  std::string Preview() const;

  Limits limits_;
  Summary summary_;
  std::vector<Frame> frames_;
  Boundaries boundaries_;
  size_t parts_ = 0;
  Mode mode_ = Mode::kHeader;

  uint64_t offset_ = 0;           // octets fed
  uint64_t body_start_ = 0;       // of the top-level body, once top_done_
  uint64_t line_size_ = 0;        // octets of the line in progress
  char last_octet_ = 0;           // of it, before the piece in hand
  std::string line_;              // front of it, where it may be a delimiter
  bool held_ = false;             // kBody: line_ is held back
  uint64_t line_ends_ = 0;        // seen so far
  uint64_t last_end_size_ = 0;    // octets of the last line end
  bool last_line_blank_ = false;  // that line was nothing but its end

  std::string header_;       // of the current part, as far as it is kept
  bool header_cut_ = false;  // a limit left some of it out
  size_t header_line_ = 0;   // where in header_ the line in progress begins
  bool header_8bit_ = false;
  size_t part_header_bytes_ = 0;  // kept of all headers below the top
  bool top_done_ = false;
  std::string top_header_;

  PreviewSource plain_;
  PreviewSource html_;
  PreviewSource* capture_ = nullptr;  // the one whose body is being read
};

void Parser::Impl::Feed(std::string_view chunk) {
  while (!chunk.empty()) {
    const size_t newline = chunk.find('\n');
    const size_t size = newline == std::string_view::npos ? chunk.size() : newline + 1;
    Piece(chunk.substr(0, size));
    chunk.remove_prefix(size);
  }
}

// A line, or what is there of it.
void Parser::Impl::Piece(std::string_view piece) {
  const bool ends = piece.back() == '\n';
  NoteOctets(piece);
  offset_ += piece.size();
  line_size_ += piece.size();
  if (mode_ == Mode::kHeader) {
    HeaderPiece(piece, ends);
  } else {
    BodyPiece(piece, ends);
  }
  last_octet_ = piece.back();
  if (!ends) return;
  line_size_ = 0;
  line_.clear();
  header_line_ = header_.size();
}

void Parser::Impl::NoteOctets(std::string_view piece) {
  if (!summary_.has_nul) summary_.has_nul = piece.find('\0') != std::string_view::npos;
  if (!HasHighBit(piece)) return;
  if (mode_ == Mode::kHeader) header_8bit_ = true;
  if (top_done_) summary_.body_8bit = true;
}

// The line in progress ends with `piece`.
void Parser::Impl::NoteLineEnd(std::string_view piece) {
  const bool before = line_size_ >= 2;
  const char octet = piece.size() >= 2 ? piece[piece.size() - 2] : last_octet_;
  last_end_size_ = before && octet == '\r' ? 2 : 1;
  last_line_blank_ = line_size_ == last_end_size_;
  ++line_ends_;
}

void Parser::Impl::HeaderPiece(std::string_view piece, bool ends) {
  KeepHeader(piece);
  line_.append(piece.substr(0, kMaxDelimiterLine - line_.size()));
  if (!ends) return;
  const Delimiter delimiter = FindDelimiter(line_);
  if (delimiter.frame != kNone) {
    AtDelimiter(delimiter, offset_ - line_size_);
    return NoteLineEnd(piece);
  }
  NoteLineEnd(piece);
  if (last_line_blank_) EndHeader(offset_);
}

void Parser::Impl::KeepHeader(std::string_view piece) {
  size_t limit = limits_.max_header_bytes;
  if (top_done_) limit = std::min(limit, limits_.max_part_header_bytes - part_header_bytes_);
  const size_t keep = std::min(piece.size(), limit - std::min(limit, header_.size()));
  header_.append(piece.substr(0, keep));
  if (keep < piece.size()) header_cut_ = true;
}

void Parser::Impl::BodyPiece(std::string_view piece, bool ends) {
  // RFC 2046 §5.1.1: a delimiter line begins with "--".
  if (line_size_ == piece.size()) held_ = piece[0] == '-' && !boundaries_.empty();
  if (held_ && line_size_ > kMaxDelimiterLine) Release();
  if (!held_) {
    Pass(piece);
    if (ends) NoteLineEnd(piece);
    return;
  }
  line_ += piece;
  if (line_.size() >= 2 && line_[1] != '-') Release();
  if (!ends) return;
  const Delimiter delimiter = held_ ? FindDelimiter(line_) : Delimiter{};
  if (delimiter.frame != kNone) {
    AtDelimiter(delimiter, offset_ - line_size_);
  } else if (held_) {
    Release();
  }
  NoteLineEnd(piece);
}

// The held line is text.
void Parser::Impl::Release() {
  Pass(line_);
  line_.clear();
  held_ = false;
}

// Text of the current part's body.
void Parser::Impl::Pass(std::string_view text) {
  if (capture_ == nullptr) return;
  const size_t limit = limits_.max_preview_source;
  capture_->body.append(text.substr(0, limit - std::min(limit, capture_->body.size())));
}

// RFC 2046 §5.1.1: "--" boundary, "--" if it closes, white space. The whole line must match:
// a boundary may be the beginning of another one.
Delimiter Parser::Impl::FindDelimiter(std::string_view line) {
  if (boundaries_.empty() || line_size_ > kMaxDelimiterLine || line.substr(0, 2) != "--") return {};
  const std::string_view text = WithoutTrailingSpace(WithoutLineEnd(line).substr(2));
  const size_t open = boundaries_.Find(text);
  if (open != kNone) {
    if (parts_ < limits_.max_parts) return {open, false};
    summary_.limited = true;
    return {};
  }
  if (text.size() < 2 || text.substr(text.size() - 2) != "--") return {};
  return {boundaries_.Find(text.substr(0, text.size() - 2)), true};
}

void Parser::Impl::BeginPart(bool embedded, uint64_t start) {
  ++parts_;
  Frame frame;
  frame.embedded = embedded;
  frame.part.header_offset = start - body_start_;
  frames_.push_back(std::move(frame));
  mode_ = Mode::kHeader;
  header_.clear();
  header_cut_ = false;
  header_line_ = 0;
  header_8bit_ = false;
}

// The header of the innermost frame is over; `end` is where its body begins.
void Parser::Impl::EndHeader(uint64_t end) {
  mode_ = Mode::kBody;
  Frame* frame = &frames_.back();
  Frame* parent = frames_.size() > 1 ? &frames_[frames_.size() - 2] : nullptr;
  HeaderBlock block = SplitHeader(header_, {.max_bytes = header_.size()});
  // The last field that was kept may have gone on.
  if (header_cut_ && !block.fields.empty()) block.fields.pop_back();
  if (header_cut_ || block.truncated) summary_.limited = true;
  // RFC 6531 §3.2: an embedded message is content; only its container's header counts.
  if (header_8bit_ && !frame->embedded) summary_.needs_smtputf8 = true;
  const bool in_digest = parent != nullptr && parent->part.kind == Part::Kind::kMultipart &&
                         parent->part.subtype == "digest";
  ApplyPartHeader(block, in_digest, &frame->part);
  if (parent == nullptr) {
    EndTopHeader(block, end);
  } else {
    frame->part.header_size = end - body_start_ - frame->part.header_offset;
    frame->part.body_offset = end - body_start_;
    part_header_bytes_ += header_.size();
  }
  if (parent != nullptr && parent->part.kind == Part::Kind::kMessage) {
    parent->part.envelope = ParseEnvelope(block, limits_.max_addresses);
  }
  header_.clear();
  frame->lines_before = line_ends_;
  frame->part.kind = KindOf(frame);
  if (frame->part.kind == Part::Kind::kLeaf) ChoosePreview(*frame);
  if (frame->part.kind == Part::Kind::kMessage) BeginPart(true, end);  // invalidates `frame`
}

void Parser::Impl::EndTopHeader(const HeaderBlock& block, uint64_t end) {
  top_done_ = true;
  body_start_ = end;
  summary_.header_size = end;
  summary_.header_8bit = header_8bit_;
  frames_.back().part.header_size = end;
  summary_.envelope = ParseEnvelope(block, limits_.max_addresses);
  const Envelope& envelope = summary_.envelope;
  if (envelope.date) summary_.sent = ParseDate(*envelope.date);
  const auto ids = ParseMessageIds(envelope.message_id.value_or(""));
  if (!ids.empty()) summary_.message_id = ids.front();
  summary_.in_reply_to = ParseMessageIds(envelope.in_reply_to.value_or(""));
  if (const HeaderField* field = block.Find("References")) {
    summary_.references = ParseMessageIds(field->value);
  }
  BaseSubject subject = ExtractBaseSubject(DecodeWords(envelope.subject.value_or("")));
  summary_.base_subject = std::move(subject.text);
  summary_.is_reply = subject.is_reply;
  top_header_ = header_;
}

// What the innermost frame is; opens the boundary of a multipart.
Part::Kind Parser::Impl::KindOf(Frame* frame) {
  const Part& part = frame->part;
  const bool multipart = part.type == "multipart";
  // RFC 2046 §5.2.1 forbids encoded message/rfc822; RFC 6532 §3.7 allows encoded message/global,
  // but offsets into it would mean nothing.
  const bool message = part.type == "message" &&
                       (part.subtype == "rfc822" || part.subtype == "global") &&
                       ParseTransferEncoding(part.encoding) == TransferEncoding::kIdentity;
  std::string boundary;
  if (multipart) boundary = FindParameter(part.params, "boundary").value_or("");
  if (const std::string* raw = FindRawParameter(part.params, "boundary")) boundary = *raw;
  boundary = std::string(WithoutTrailingSpace(boundary));
  const bool usable = !boundary.empty() && boundary.size() <= kMaxBoundary;
  if (!message && !(multipart && usable)) return Part::Kind::kLeaf;
  if (frames_.size() >= limits_.max_depth || parts_ >= limits_.max_parts) {
    summary_.limited = true;
    return Part::Kind::kLeaf;
  }
  if (message) return Part::Kind::kMessage;
  boundaries_.Add(boundary, frames_.size() - 1);
  frame->boundary = std::move(boundary);
  return Part::Kind::kMultipart;
}

void Parser::Impl::ChoosePreview(const Frame& frame) {
  const Part& part = frame.part;
  if (frame.embedded || part.type != "text") return;
  if (part.disposition && part.disposition->type == "attachment") return;
  PreviewSource* source = nullptr;
  if (part.subtype == "plain") source = &plain_;
  if (part.subtype == "html") source = &html_;
  if (source == nullptr || source->found) return;
  source->found = true;
  source->part = part;
  capture_ = source;
}

void Parser::Impl::AtDelimiter(const Delimiter& delimiter, uint64_t line_start) {
  held_ = false;
  if (mode_ == Mode::kHeader) header_.resize(std::min(header_line_, header_.size()));
  while (mode_ == Mode::kHeader) EndHeader(line_start);
  PopTo(delimiter.frame + 1, true, line_start);
  Frame* multipart = &frames_.back();
  if (!delimiter.close) return BeginPart(multipart->embedded, offset_);
  // What follows is the epilogue; RFC 2046 §5.1.1: it holds no more parts.
  boundaries_.Remove(multipart->boundary);
  multipart->boundary.clear();
}

// Ends the frames above the first `count`.
void Parser::Impl::PopTo(size_t count, bool at_delimiter, uint64_t end) {
  capture_ = nullptr;
  while (frames_.size() > count) {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    EndBody(&frame, at_delimiter, end);
    if (!frame.boundary.empty()) boundaries_.Remove(frame.boundary);
    frames_.back().part.children.push_back(std::move(frame.part));
  }
}

// The body of `frame` ends before `end`. RFC 2046 §5.1.1: the line end before a delimiter line
// belongs to the delimiter.
void Parser::Impl::EndBody(Frame* frame, bool at_delimiter, uint64_t end) const {
  Part& part = frame->part;
  const uint64_t start = body_start_ + part.body_offset;
  const uint64_t strip = at_delimiter ? last_end_size_ : 0;
  part.body_size = end > start + strip ? end - strip - start : 0;
  if (part.body_size == 0) return;
  part.lines = line_ends_ - frame->lines_before;
  if (at_delimiter && last_line_blank_) --part.lines;  // the line end stripped was a line
  if (!at_delimiter && line_size_ > 0) ++part.lines;   // the last line has no end
}

std::string Parser::Impl::Preview() const {
  std::string preview;
  for (const PreviewSource* source : {&plain_, &html_}) {
    if (!source->found || !preview.empty()) continue;
    std::string text;
    TextDecoder decoder(source->part);
    decoder.Feed(source->body, &text);
    decoder.Finish(&text);
    preview = MakePreview(text);
  }
  return preview;
}

// Fields of a header that was parsed stand in its part, or the envelope, once more.
size_t Parser::Impl::memory() const {
  return header_.capacity() + 2 * top_header_.capacity() + part_header_bytes_ +
         parts_ * sizeof(Part) + frames_.capacity() * sizeof(Frame) + line_.capacity() +
         plain_.body.capacity() + html_.body.capacity();
}

Summary Parser::Impl::Finish() {
  const bool candidate = line_size_ > 0 && (mode_ == Mode::kHeader || held_);
  const Delimiter delimiter = candidate ? FindDelimiter(line_) : Delimiter{};
  if (delimiter.frame != kNone) {
    AtDelimiter(delimiter, offset_ - line_size_);
  } else if (held_) {
    Release();
  }
  while (mode_ == Mode::kHeader) EndHeader(offset_);
  PopTo(1, false, offset_);
  EndBody(&frames_.front(), false, offset_);
  summary_.body_size = offset_ - body_start_;
  summary_.preview = Preview();
  summary_.root = std::move(frames_.front().part);
  return std::move(summary_);
}

Parser::Parser(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
Parser::~Parser() = default;
Parser::Parser(Parser&&) noexcept = default;
Parser& Parser::operator=(Parser&&) noexcept = default;

void Parser::Feed(std::string_view chunk) { impl_->Feed(chunk); }
bool Parser::header_complete() const { return impl_->header_complete(); }
std::string_view Parser::header() const { return impl_->header(); }
size_t Parser::memory() const { return impl_->memory(); }
Summary Parser::Finish() { return impl_->Finish(); }

Summary ParseMessage(std::string_view message, const Limits& limits) {
  Parser parser(limits);
  parser.Feed(message);
  return parser.Finish();
}

}  // namespace godwit::mime
