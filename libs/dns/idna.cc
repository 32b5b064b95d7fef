#include "libs/dns/idna.h"

#include <idn2.h>

#include <cstdlib>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::dns {
namespace {

// RFC 1035 §2.3.4: 255 octets on the wire are 253 characters of text.
constexpr size_t kMostNameCharacters = 253;
constexpr size_t kMostLabelCharacters = 63;

absl::Status CheckLengths(std::string_view name) {
  if (name.empty()) return base::InvalidArgument("the domain is empty");
  if (name.size() > kMostNameCharacters) return base::InvalidArgument("the domain is too long");
  for (std::string_view label : base::Split(name, '.')) {
    if (label.empty()) return base::InvalidArgument("a label of the domain is empty");
    if (label.size() > kMostLabelCharacters) {
      return base::InvalidArgument("a label of the domain is too long");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ToAscii(std::string_view domain) {
  if (!domain.empty() && domain.back() == '.') domain.remove_suffix(1);
  std::string name = base::Lower(domain);
  if (!base::IsAscii(domain)) {
    if (domain.find('\0') != std::string_view::npos) {
      return base::InvalidArgument("the domain has a NUL");
    }
    char* converted = nullptr;
    // Without IDN2_USE_STD3_ASCII_RULES: underscores are kept.
    const int result = idn2_to_ascii_8z(std::string(domain).c_str(), &converted,
                                        IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (result != IDN2_OK) return base::InvalidArgument(idn2_strerror(result));
    name = base::Lower(converted);
    std::free(converted);
  }
  GODWIT_RETURN_IF_ERROR(CheckLengths(name));
  return name;
}

std::string ToUnicode(std::string_view domain) {
  std::string text;
  for (std::string_view label : base::Split(domain, '.')) {
    if (!text.empty()) text += '.';
    char* converted = nullptr;
    const bool is_a_label =
        base::StartsWithIgnoreCase(label, "xn--") && label.find('\0') == std::string_view::npos;
    if (is_a_label && idn2_to_unicode_8z8z(std::string(label).c_str(), &converted, 0) == IDN2_OK) {
      text += converted;
      std::free(converted);
    } else {
      text += label;
    }
  }
  return text;
}

}  // namespace godwit::dns
