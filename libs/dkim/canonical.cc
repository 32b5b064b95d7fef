#include "libs/dkim/canonical.h"

#include "libs/base/ascii.h"

namespace godwit::dkim {
namespace {

constexpr size_t kPiece = 16 * 1024;

// RFC 6376 §3.4.2: unfold, every run of white space to one space, none at either end.
void AppendRelaxedValue(std::string_view value, std::string* out) {
  bool space = false;
  bool any = false;
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c == '\r' && i + 1 < value.size() && value[i + 1] == '\n') {
      ++i;  // the fold; the white space behind it counts
    } else if (base::IsWsp(c)) {
      space = true;
    } else {
      if (space && any) out->push_back(' ');
      out->push_back(c);
      space = false;
      any = true;
    }
  }
}

}  // namespace

std::string_view CanonicalizationName(Canonicalization canonicalization) {
  return canonicalization == Canonicalization::kSimple ? "simple" : "relaxed";
}

void AppendCanonicalField(Canonicalization canonicalization, std::string_view raw,
                          std::string* out) {
  if (raw.ends_with("\r\n")) raw.remove_suffix(2);
  if (canonicalization == Canonicalization::kSimple) {
    // RFC 6376 §3.4.1: nothing is changed.
    out->append(raw);
    return;
  }
  const size_t colon = raw.find(':');
  std::string_view name = raw.substr(0, colon);
  while (!name.empty() && base::IsWsp(name.back())) name.remove_suffix(1);
  out->append(base::Lower(name));
  out->push_back(':');
  if (colon != raw.npos) AppendRelaxedValue(raw.substr(colon + 1), out);
}

// Line ends wait until text follows them: those at the end of the body do not count (RFC 6376
// §3.4.3, §3.4.4).
void BodyCanonicalizer::PutPending(Emit emit) {
  for (; pending_crlfs_ > 0; --pending_crlfs_) {
    out_.append("\r\n");
    if (out_.size() >= kPiece) Flush(emit);
  }
  if (space_) out_.push_back(' ');
  space_ = false;
  any_ = true;
}

void BodyCanonicalizer::Content(char c, Emit emit) {
  if (pending_crlfs_ > 0 || space_ || !any_) PutPending(emit);
  out_.push_back(c);
}

void BodyCanonicalizer::Flush(Emit emit) {
  if (!out_.empty()) emit(out_);
  out_.clear();
}

void BodyCanonicalizer::Feed(std::string_view chunk, Emit emit) {
  // In pieces, so that the canonical copy stays small and in the cache.
  while (!chunk.empty()) {
    const std::string_view piece = chunk.substr(0, kPiece);
    FeedPiece(piece, emit);
    Flush(emit);
    chunk.remove_prefix(piece.size());
  }
}

void BodyCanonicalizer::FeedPiece(std::string_view piece, Emit emit) {
  for (size_t i = 0; i < piece.size(); ++i) {
    const char c = piece[i];
    if (cr_) {
      cr_ = false;
      if (c == '\n') {
        // RFC 6376 §3.4.4: white space at the end of a line is dropped.
        space_ = false;
        ++pending_crlfs_;
        continue;
      }
      Content('\r', emit);
    }
    if (c == '\r') {
      cr_ = true;
    } else if (relaxed_ && base::IsWsp(c)) {
      space_ = true;
    } else {
      // The rest of a run of plain octets goes in one piece.
      Content(c, emit);
      size_t end = i + 1;
      while (end < piece.size() && piece[end] != '\r' && !(relaxed_ && base::IsWsp(piece[end]))) {
        ++end;
      }
      out_.append(piece.substr(i + 1, end - i - 1));
      i = end - 1;
    }
  }
}

void BodyCanonicalizer::End(Emit emit) {
  if (cr_) Content('\r', emit);
  cr_ = false;
  // RFC 6376 §3.4.3: the simple form always ends in one CRLF, an empty body too. §3.4.4: the
  // relaxed form of a body without text is empty.
  if (any_ || !relaxed_) out_.append("\r\n");
  pending_crlfs_ = 0;
  space_ = false;
  Flush(emit);
}

}  // namespace godwit::dkim
