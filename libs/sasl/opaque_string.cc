#include "libs/sasl/opaque_string.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <string>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::sasl {
namespace {

constexpr size_t kMaxPasswordBytes = 1024;

bool IsPlainAscii(std::string_view text) {
  for (const char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

bool IsOldHangulJamo(UChar32 c) {
  const int type = u_getIntPropertyValue(c, UCHAR_HANGUL_SYLLABLE_TYPE);
  return type == U_HST_LEADING_JAMO || type == U_HST_VOWEL_JAMO || type == U_HST_TRAILING_JAMO;
}

// RFC 8264 §4.3: what FreeformClass does not allow. `before` is the code point in front, or 0.
bool IsDisallowed(UChar32 c, UChar32 before) {
  // RFC 5892 appendix A.1 and A.2: joiners only after a virama.
  if (c == 0x200c || c == 0x200d) return u_getCombiningClass(before) != 9;
  const int8_t type = u_charType(c);
  return type == U_CONTROL_CHAR || type == U_UNASSIGNED || type == U_SURROGATE ||
         type == U_PRIVATE_USE_CHAR || U_IS_UNICODE_NONCHAR(c) ||
         u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) || IsOldHangulJamo(c);
}

void MapSpaces(icu::UnicodeString* text) {
  for (int32_t i = 0; i < text->length(); i = text->moveIndex32(i, 1)) {
    // RFC 8265 §4.2.2: Zs other than U+0020. All of Zs is in the BMP, so the length stays.
    if (u_charType(text->char32At(i)) == U_SPACE_SEPARATOR) text->setCharAt(i, u' ');
  }
}

absl::Status CheckCodePoints(const icu::UnicodeString& text) {
  UChar32 before = 0;
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
    const UChar32 c = text.char32At(i);
    if (IsDisallowed(c, before)) {
      return base::InvalidArgument("password has a character that is not allowed");
    }
    before = c;
  }
  return absl::OkStatus();
}

void Wipe(icu::UnicodeString* text) {
  for (int32_t i = 0; i < text->length(); ++i) text->setCharAt(i, 0);
}

}  // namespace

absl::StatusOr<base::Secret> PreparePassword(std::string_view utf8) {
  if (utf8.empty()) return base::InvalidArgument("password is empty");
  if (utf8.size() > kMaxPasswordBytes) return base::InvalidArgument("password is too long");
  if (IsPlainAscii(utf8)) return base::Secret(utf8);
  if (!base::IsUtf8(utf8)) return base::InvalidArgument("password is not UTF-8");
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  if (U_FAILURE(error)) return base::Internal("ICU has no NFC data");
  auto text = icu::UnicodeString::fromUTF8(
      icu::StringPiece(utf8.data(), static_cast<int32_t>(utf8.size())));
  MapSpaces(&text);
  icu::UnicodeString normal = nfc->normalize(text, error);
  Wipe(&text);
  if (U_FAILURE(error)) return base::Internal("ICU could not normalise");
  const absl::Status allowed = CheckCodePoints(normal);
  std::string bytes;
  if (allowed.ok()) normal.toUTF8String(bytes);
  Wipe(&normal);
  if (!allowed.ok()) return allowed;
  base::Secret prepared(bytes);
  for (char& c : bytes) c = 0;
  return prepared;
}

}  // namespace godwit::sasl
