#include "libs/mime/encoded_word.h"

#include <algorithm>
#include <optional>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/mime/charset.h"
#include "libs/mime/transfer.h"

namespace godwit::mime {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr size_t kMaxCharset = 100;
constexpr size_t kMaxWord = 75;  // RFC 2047 §2

// RFC 2047 §4.2: "_" is a space, "=XX" an octet; nullopt for a broken "=".
std::optional<std::string> DecodeQ(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '_', ' ');
  TransferDecoder decoder(TransferEncoding::kQuotedPrintable);
  std::string out;
  // Space at the end is text here, not padding: a soft line break holds it.
  decoder.Decode(spaced + "=\n", &out);
  decoder.Finish(&out);
  if (decoder.damaged()) return std::nullopt;
  return out;
}

std::optional<std::string> DecodeB(std::string_view text) {
  TransferDecoder decoder(TransferEncoding::kBase64);
  std::string out;
  decoder.Decode(text, &out);
  decoder.Finish(&out);
  if (decoder.damaged()) return std::nullopt;
  return out;
}

// Decodes from left to right; the end of a word is searched once for all starts before it, which
// keeps the time linear.
class Decoder {
 public:
  explicit Decoder(std::string_view text) : text_(text) {}

  std::string Run() {
    while (at_ < text_.size()) {
      const size_t start = text_.find("=?", at_);
      if (start == kNone) break;
      plain_ += text_.substr(at_, start - at_);
      at_ = start;
      Word();
    }
    if (at_ < text_.size()) plain_ += text_.substr(at_);
    FlushWord();
    FlushPlain();
    return std::move(out_);
  }

 private:
  // At "=?": takes the word, or what it is not.
  void Word() {
    const size_t charset_end = Mark(at_ + 2, kMaxCharset);
    if (charset_end == kNone) return Literal(at_ + 2);
    const size_t encoding_end = Mark(charset_end + 1, 1);
    if (encoding_end != charset_end + 2) return Literal(at_ + 2);
    const size_t body = encoding_end + 1;
    const size_t end = WordEnd(body);
    if (end == kNone) return Literal(at_ + 2);
    // A word that starts within this one: this one was never ended.
    const size_t inner = text_.substr(0, end).find("=?", body);
    if (inner != kNone && inner + 1 < end) return Literal(inner);

    std::string_view charset = text_.substr(at_ + 2, charset_end - at_ - 2);
    charset = charset.substr(0, charset.find('*'));  // RFC 2231 §5: charset*language
    const std::string_view encoded = text_.substr(body, end - body);
    const char encoding = base::ToLower(text_[charset_end + 1]);
    if (!IsKnownCharset(charset) || (encoding != 'b' && encoding != 'q')) return Literal(end + 2);
    const auto bytes = encoding == 'b' ? DecodeB(encoded) : DecodeQ(encoded);
    if (!bytes) return Literal(end + 2);
    Take(charset, *bytes);
    at_ = end + 2;
  }

  // The next '?' from `from` on with at least one and at most `max` octets before it.
  size_t Mark(size_t from, size_t max) const {
    if (from >= text_.size()) return kNone;
    const size_t mark = text_.substr(from, max + 1).find('?');
    return mark == kNone || mark == 0 ? kNone : from + mark;
  }

  size_t WordEnd(size_t from) {
    if (!searched_ || (end_ != kNone && end_ < from)) end_ = text_.find("?=", from);
    searched_ = true;
    return end_;
  }

  void Literal(size_t until) {
    plain_ += text_.substr(at_, until - at_);
    at_ = until;
  }

  void Take(std::string_view charset, std::string_view bytes) {
    // RFC 2047 §6.2: white space between two words is not part of the text.
    const bool adjacent = in_words_ && base::Trim(plain_).empty();
    if (adjacent) plain_.clear();
    if (!adjacent || !base::EqualsIgnoreCase(charset, charset_)) FlushWord();
    FlushPlain();
    charset_ = std::string(charset);
    bytes_ += bytes;
    in_words_ = true;
  }

  void FlushWord() {
    std::string text = ToUtf8(bytes_, charset_);
    for (char& c : text) {
      if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
    }
    out_ += text;
    bytes_.clear();
  }

  void FlushPlain() {
    if (!plain_.empty()) out_ += ToUtf8(plain_, "");
    plain_.clear();
  }

  std::string_view text_;
  size_t at_ = 0;
  bool searched_ = false;
  size_t end_ = kNone;  // the first "?=" from the place last asked for
  std::string out_;
  std::string plain_;      // text since the last word
  std::string charset_;    // of the words in bytes_
  std::string bytes_;      // decoded, not converted yet
  bool in_words_ = false;  // a word came before plain_
};

// RFC 2047 §5 (3): what stands for itself in a Q word of a phrase; elsewhere more would do.
bool IsQLiteral(char c) { return base::IsAlnum(c) || std::string_view("!*+-/").find(c) != kNone; }

size_t QSize(std::string_view text) {
  size_t size = 0;
  for (const char c : text) size += IsQLiteral(c) || c == ' ' ? 1 : 3;
  return size;
}

std::string QText(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (IsQLiteral(c) || c == ' ') {
      out += c == ' ' ? '_' : c;
      continue;
    }
    out += '=';
    out += kHex[static_cast<unsigned char>(c) >> 4];
    out += kHex[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

size_t BSize(std::string_view text) { return (text.size() + 2) / 3 * 4; }

// Octets of the character at the front of good UTF-8.
size_t CharacterSize(std::string_view text) {
  size_t size = 1;
  while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) ++size;
  return size;
}

}  // namespace

std::string DecodeWords(std::string_view text) { return Decoder(text).Run(); }

std::string EncodeWords(std::string_view utf8, WordPlace place) {
  const bool printable =
      std::all_of(utf8.begin(), utf8.end(), [](char c) { return c >= 32 && c < 127; });
  if (printable && utf8.find("=?") == kNone && place == WordPlace::kText) return std::string(utf8);
  if (printable && !utf8.empty() &&
      std::all_of(utf8.begin(), utf8.end(), [](char c) { return base::IsAlnum(c) || c == ' '; })) {
    return std::string(utf8);
  }
  const std::string good = ToUtf8(utf8, "utf-8");
  const bool q = QSize(good) <= BSize(good);
  const std::string_view open = q ? "=?UTF-8?Q?" : "=?UTF-8?B?";
  const size_t room = kMaxWord - open.size() - 2;
  std::string out;
  std::string_view rest = good;
  while (!rest.empty()) {
    size_t taken = 0;
    while (taken < rest.size()) {
      const size_t next = taken + CharacterSize(rest.substr(taken));
      const std::string_view piece = rest.substr(0, next);
      if ((q ? QSize(piece) : BSize(piece)) > room) break;
      taken = next;
    }
    if (!out.empty()) out += ' ';
    const std::string_view piece = rest.substr(0, taken);
    out.append(open).append(q ? QText(piece) : base::Base64Encode(piece)).append("?=");
    rest.remove_prefix(taken);
  }
  return out;
}

}  // namespace godwit::mime
