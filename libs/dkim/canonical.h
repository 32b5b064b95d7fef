#pragma once

// The canonical forms of RFC 6376 §3.4: of a header field at once, of a body as a stream.

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"

namespace godwit::dkim {

enum class Canonicalization : uint8_t { kSimple, kRelaxed };
std::string_view CanonicalizationName(Canonicalization canonicalization);  // "relaxed"

// Appends one whole field to `*out`. `raw` is "Name: value" with folding; it may have its last CRLF
// or not: the result has none. The caller adds CRLF for all but the last field (§3.7).
void AppendCanonicalField(Canonicalization canonicalization, std::string_view raw,
                          std::string* out);

// Takes the body in pieces and gives its canonical bytes in pieces, the same bytes for every split.
// Keeps at most 32 KiB, whatever the body: a run of empty lines is only counted until text follows.
//
// A CR or LF that is not part of CRLF is a character like another (§3.4 knows CRLF only); the
// receiving server refuses these before.
class BodyCanonicalizer {
 public:
  explicit BodyCanonicalizer(Canonicalization canonicalization)
      : relaxed_(canonicalization == Canonicalization::kRelaxed) {}

  using Emit = absl::FunctionRef<void(std::string_view)>;

  void Feed(std::string_view chunk, Emit emit);
  // Once, after the last chunk.
  void End(Emit emit);

 private:
  void FeedPiece(std::string_view piece, Emit emit);
  void Content(char c, Emit emit);
  void PutPending(Emit emit);
  void Flush(Emit emit);

  bool relaxed_;
  std::string out_;             // canonical bytes that were not given yet
  bool cr_ = false;             // the last octet was CR; its LF may follow
  bool space_ = false;          // relaxed: white space that matters if text follows
  bool any_ = false;            // something was put out
  uint64_t pending_crlfs_ = 0;  // line ends that count only if text follows (§3.4.3)
};

}  // namespace godwit::dkim
