#include "libs/store/local_part.h"

#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::store {
namespace {

std::string ToNfc(std::string_view text) {
  if (base::IsAscii(text) || !base::IsUtf8(text)) return std::string(text);
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* const nfc = icu::Normalizer2::getNFCInstance(error);
  if (U_FAILURE(error)) return std::string(text);
  const icu::UnicodeString normal =
      nfc->normalize(icu::UnicodeString::fromUTF8(
                         icu::StringPiece(text.data(), static_cast<int32_t>(text.size()))),
                     error);
  if (U_FAILURE(error)) return std::string(text);
  std::string out;
  normal.toUTF8String(out);
  return out;
}

}  // namespace

LocalPart MakeLocalPart(std::string_view text) {
  LocalPart part;
  part.kept = ToNfc(text);
  part.folded = base::Lower(part.kept);
  return part;
}

std::vector<std::string_view> BeforeTags(std::string_view local_part) {
  std::vector<std::string_view> out;
  for (size_t i = local_part.size(); i-- > 1;) {
    if (kSeparators.find(local_part[i]) != kSeparators.npos) out.push_back(local_part.substr(0, i));
  }
  return out;
}

}  // namespace godwit::store
