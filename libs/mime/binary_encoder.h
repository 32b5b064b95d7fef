#pragma once

// BinaryEncoder: makes a message that came with BODY=BINARYMIME one of lines: the content of every
// part with "Content-Transfer-Encoding: binary" becomes base64 (RFC 3030 §3, RFC 2045 §6.2), the
// field says so, everything else stays octet for octet. A multipart or an embedded message that is
// called binary has no encoding of its own (RFC 2045 §6.4, RFC 2046 §5.2.1): it becomes "8bit".
//
// What multipart/signed protects can not be encoded anew without breaking the signature (RFC 1847
// §2.1): a binary part in there is left as it is, and sealed() says so. The signature itself, and
// the parts of multipart/encrypted, whose content does not change by that, are encoded.
//
// Never fails, and judges nothing: a part that holds octets its encoding does not allow comes out
// as it went in. The same output for every split of the same bytes. Line ends as in parser.h.
// Memory: one part's header (Limits), the boundaries of the open multiparts, a line of at most 1000
// octets. One thread.
//
//   BinaryEncoder encoder;
//   while (more) encoder.Feed(chunk, &out);
//   encoder.Finish(&out);

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "libs/mime/structure.h"

namespace godwit::mime {

class BinaryEncoder {
 public:
  struct Limits {
    // Parts within parts. What is deeper is content of the part at this depth.
    size_t depth = 100;
    // Octets of a part's header. One that is longer is not read: its part stays as it is.
    size_t header = 512 * 1024;
  };

  BinaryEncoder() : BinaryEncoder(Limits()) {}
  explicit BinaryEncoder(const Limits& limits);

  // Appends to `*out`.
  void Feed(std::string_view bytes, std::string* out);
  // Appends what was held back. Call once.
  void Finish(std::string* out);

  // A binary part was left because a signature covers it.
  bool sealed() const { return sealed_; }
  // Octets held now, an estimate.
  size_t memory() const;

 private:
  // A part that is not finished; each is the child of the one before it.
  struct Frame {
    std::string boundary;    // of a multipart until its close delimiter, else empty
    bool is_signed = false;  // multipart/signed
    bool digest = false;     // multipart/digest
    bool sealed = false;     // within what multipart/signed protects
    int children = 0;
  };
  enum class Mode : uint8_t { kHeader, kBody };
  struct Delimiter {
    size_t frame = 0;
    bool found = false;
    bool close = false;
  };

  void Piece(std::string_view piece, std::string* out);
  void HeaderPiece(std::string_view piece, bool ends, std::string* out);
  void BodyPiece(std::string_view piece, bool ends, std::string* out);
  void Release(std::string* out);
  Delimiter FindDelimiter(std::string_view line) const;
  void AtDelimiter(const Delimiter& delimiter, std::string_view line, std::string* out);
  void BeginPart();
  void EndHeader(std::string* out);
  // What the header that is complete says of the innermost frame; the encoding to write instead of
  // "binary", or "".
  std::string_view ReadHeader(const Part& part);
  void WriteHeader(std::string_view encoding, std::string* out);
  void Content(std::string_view text, std::string* out);
  void Encode(std::string_view octets, std::string* out);
  void EndContent(bool at_delimiter, std::string* out);

  const Limits limits_;
  std::vector<Frame> frames_;
  Mode mode_ = Mode::kHeader;
  std::string header_;        // of the current part, with the line in progress
  size_t header_line_ = 0;    // where that line begins
  bool skip_header_ = false;  // it is over the limit, and goes out as it comes
  std::string line_;          // kBody: a line that may be a delimiter; a long header's line
  bool held_ = false;         // kBody: line_ is held back
  size_t line_size_ = 0;      // octets of the line in progress
  bool encode_ = false;       // the content of this part becomes base64
  std::string tail_;          // encode_: a line end that may belong to a delimiter
  std::string group_;         // encode_: octets of an unfinished output line
  bool wrote_line_ = false;   // encode_: a line of base64 stands before
  bool sealed_ = false;
};

}  // namespace godwit::mime
