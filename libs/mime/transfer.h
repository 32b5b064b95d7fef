#pragma once

// Content-Transfer-Encoding (RFC 2045 §6): streaming decoders for base64 and quoted-printable.
// Tolerant, linear, the same output for every split, and never more output than input.

#include <cstdint>
#include <string>
#include <string_view>

namespace godwit::mime {

enum class TransferEncoding : uint8_t {
  kIdentity,  // 7bit, 8bit, binary, and none at all
  kBase64,
  kQuotedPrintable,
  kUnknown,  // RFC 2045 §6.4: treat the part as application/octet-stream, its octets as they are
};

// `value` of the field (or Part::encoding), any case, comments and space around it ignored.
TransferEncoding ParseTransferEncoding(std::string_view value);

class TransferDecoder {
 public:
  explicit TransferDecoder(TransferEncoding encoding) : encoding_(encoding) {}

  // Appends to `*out`.
  void Decode(std::string_view in, std::string* out);
  // Appends what the last octets give. Call once, at the end.
  void Finish(std::string* out);

  // True when something was met that the encoding does not allow (IMAP BINARY answers
  // UNKNOWN-CTE where that matters). Line ends and white space in base64 are allowed.
  bool damaged() const { return damaged_; }

 private:
  void Base64(std::string_view in, std::string* out);
  void QuotedPrintable(std::string_view in, std::string* out);
  void QpOctet(char c, std::string* out);
  void QpEscape(char c, std::string* out);

  TransferEncoding encoding_;
  bool damaged_ = false;
  // base64: bits collected and their number; `ended_` after the padding.
  uint32_t bits_ = 0;
  int bit_count_ = 0;
  bool ended_ = false;
  // quoted-printable: octets held back because a line end may follow ("=", "=4", trailing space).
  std::string held_;
};

}  // namespace godwit::mime
