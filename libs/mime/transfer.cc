#include "libs/mime/transfer.h"

#include <array>

#include "libs/base/ascii.h"
#include "libs/mime/lexer.h"

namespace godwit::mime {
namespace {

constexpr int8_t kInvalid = -1;
constexpr int8_t kSpace = -2;
constexpr int8_t kPad = -3;
constexpr size_t kMaxHeld = 1000;

constexpr std::array<int8_t, 256> MakeBase64Table() {
  std::array<int8_t, 256> table{};
  for (auto& entry : table) entry = kInvalid;
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int8_t>(i);
  }
  for (const char c : {' ', '\t', '\r', '\n'}) table[static_cast<unsigned char>(c)] = kSpace;
  table['='] = kPad;
  return table;
}
constexpr std::array<int8_t, 256> kBase64 = MakeBase64Table();

int HexValue(char c) {
  if (base::IsDigit(c)) return c - '0';
  const char lower = base::ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

TransferEncoding ParseTransferEncoding(std::string_view value) {
  Lexer lexer(value);
  lexer.SkipSpaceAndComments();
  const std::string name = base::Lower(lexer.Word("();"));
  if (name.empty() || name == "7bit" || name == "8bit" || name == "binary") {
    return TransferEncoding::kIdentity;
  }
  if (name == "base64") return TransferEncoding::kBase64;
  if (name == "quoted-printable") return TransferEncoding::kQuotedPrintable;
  return TransferEncoding::kUnknown;
}

void TransferDecoder::Decode(std::string_view in, std::string* out) {
  if (encoding_ == TransferEncoding::kBase64) return Base64(in, out);
  if (encoding_ == TransferEncoding::kQuotedPrintable) return QuotedPrintable(in, out);
  out->append(in);
}

void TransferDecoder::Finish(std::string* out) {
  if (encoding_ == TransferEncoding::kBase64) {
    // 2 or 3 characters of a group give 1 or 2 octets, which are out already; 1 gives nothing.
    if (bit_count_ == 6) damaged_ = true;
    return;
  }
  if (encoding_ != TransferEncoding::kQuotedPrintable || held_.empty()) return;
  if (held_[0] == '=') {
    // RFC 2045 §6.7: a "=" at the very end is best taken as a soft line break.
    if (held_.size() == 2 && held_[1] != '\r' && !base::IsWsp(held_[1])) {
      damaged_ = true;
      out->append(held_);
    }
  } else if (held_.back() == '\r') {
    damaged_ = true;
    out->append(held_);
  }
  held_.clear();
}

// RFC 2045 §6.8. Characters outside of the alphabet are skipped. After the padding nothing
// counts but, for base64 texts glued together, another group.
void TransferDecoder::Base64(std::string_view in, std::string* out) {
  for (const char c : in) {
    const int8_t value = kBase64[static_cast<unsigned char>(c)];
    if (value >= 0) {
      if (ended_) {
        damaged_ = true;
        ended_ = false;
        bit_count_ = 0;
      }
      bits_ = (bits_ << 6 | static_cast<uint32_t>(value)) & 0xFFFFFF;
      bit_count_ += 6;
      if (bit_count_ >= 8) {
        bit_count_ -= 8;
        *out += static_cast<char>(bits_ >> bit_count_ & 0xFF);
      }
    } else if (value == kPad) {
      if (!ended_ && (bit_count_ == 0 || bit_count_ == 6)) damaged_ = true;
      ended_ = true;
      bit_count_ = 0;
    } else if (value == kInvalid) {
      damaged_ = true;
    }
  }
}

void TransferDecoder::QuotedPrintable(std::string_view in, std::string* out) {
  for (const char c : in) QpOctet(c, out);
}

// `held_` is one of: nothing; white space that a line end may follow, perhaps with CR; or "=" and
// what came after it so far.
void TransferDecoder::QpOctet(char c, std::string* out) {
  if (!held_.empty() && held_[0] == '=') return QpEscape(c, out);
  if (c == '\n') {
    // RFC 2045 §6.7 (3): white space at the end of a line was added on the way.
    *out += !held_.empty() && held_.back() == '\r' ? "\r\n" : "\n";
    held_.clear();
    return;
  }
  if (!held_.empty() && held_.back() == '\r') {
    damaged_ = true;  // a bare CR is text
    out->append(held_);
    held_.clear();
  }
  if (base::IsWsp(c) || c == '\r') {
    held_ += c;
    if (held_.size() > kMaxHeld && c != '\r') {
      out->append(held_);  // no line is that long
      held_.clear();
    }
    return;
  }
  if (c == '=') {
    out->append(held_);
    held_ = c;
    return;
  }
  out->append(held_);
  held_.clear();
  if (static_cast<unsigned char>(c) > 126) damaged_ = true;
  *out += c;
}

// After "=": two hexadecimal digits, or a soft line break, perhaps with white space before it.
void TransferDecoder::QpEscape(char c, std::string* out) {
  if (c == '\n') {
    held_.clear();
    return;
  }
  const char last = held_.back();
  if (held_.size() == 1 && (HexValue(c) >= 0 || base::IsWsp(c) || c == '\r')) {
    held_ += c;
    return;
  }
  if (held_.size() == 2 && HexValue(last) >= 0 && HexValue(c) >= 0) {
    *out += static_cast<char>(HexValue(last) * 16 + HexValue(c));
    held_.clear();
    return;
  }
  // More white space before the line break, or the CR of it.
  if (base::IsWsp(last) && base::IsWsp(c)) return;
  if (base::IsWsp(last) && c == '\r') {
    held_.back() = c;
    return;
  }
  // Nothing of that: RFC 2045 §6.7 (note 1) leaves "=" and what follows as it is.
  damaged_ = true;
  std::string text;
  text.swap(held_);
  out->append(text);
  QpOctet(c, out);
}

}  // namespace godwit::mime
