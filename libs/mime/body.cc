#include "libs/mime/body.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>

namespace godwit::mime {
namespace {

std::string_view CharsetOf(const Part& part) {
  const std::string* charset = FindRawParameter(part.params, "charset");
  return charset == nullptr ? std::string_view() : std::string_view(*charset);
}

bool IsSpace(int32_t c) {
  return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

// Controls, and the invisible characters that newsletters pad their previews with.
bool IsInvisible(int32_t c) {
  return c < 32 || (c >= 127 && c < 160) || c == 0xAD || c == 0x34F ||
         (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

}  // namespace

TextDecoder::TextDecoder(const Part& part)
    : transfer_(ParseTransferEncoding(part.encoding)), charset_(CharsetOf(part)) {
  if (part.type == "text" && part.subtype == "html") html_.emplace();
}

void TextDecoder::Feed(std::string_view body, std::string* out) {
  constexpr size_t kStep = 16 * 1024;  // bounds the buffers between the stages
  for (; !body.empty(); body.remove_prefix(std::min(kStep, body.size()))) {
    octets_.clear();
    transfer_.Decode(body.substr(0, kStep), &octets_);
    AfterTransfer(out);
  }
}

void TextDecoder::AfterTransfer(std::string* out) {
  if (!html_) return charset_.Decode(octets_, out);
  text_.clear();
  charset_.Decode(octets_, &text_);
  html_->Feed(text_, out);
}

void TextDecoder::Finish(std::string* out) {
  octets_.clear();
  transfer_.Finish(&octets_);
  AfterTransfer(out);
  if (!html_) return charset_.Finish(out);
  text_.clear();
  charset_.Finish(&text_);
  html_->Feed(text_, out);
  html_->Finish(out);
}

std::string MakePreview(std::string_view utf8, size_t max_characters) {
  std::string out;
  bool space = false;
  size_t count = 0;
  const char* text = utf8.data();
  for (size_t i = 0; i < utf8.size() && count < max_characters;) {
    const size_t start = i;
    int32_t c = 0;
    U8_NEXT(text, i, utf8.size(), c);
    if (IsSpace(c)) {
      space = count > 0;
      continue;
    }
    if (c < 0 || IsInvisible(c)) continue;
    if (space && ++count < max_characters) out += ' ';
    if (count >= max_characters) break;
    space = false;
    out.append(utf8.substr(start, i - start));
    ++count;
  }
  return out;
}

}  // namespace godwit::mime
