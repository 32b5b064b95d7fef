#include "libs/idna/domain.h"

#include <idn2.h>

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::idna {
namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxName = 253;

// RFC 1035 §2.3.4.
bool HasDnsLengths(std::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  for (const std::string_view label : base::Split(name, '.')) {
    if (label.empty() || label.size() > kMaxLabel) return false;
  }
  return true;
}

std::optional<std::string> EncodeLabels(const std::string& domain) {
  char* encoded = nullptr;
  const int code =
      idn2_to_ascii_8z(domain.c_str(), &encoded, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (code != IDN2_OK) return std::nullopt;
  std::string result(encoded);
  idn2_free(encoded);
  return result;
}

}  // namespace

std::optional<std::string> ToAscii(std::string_view domain) {
  if (!domain.empty() && domain.back() == '.') domain.remove_suffix(1);
  if (domain.find('\0') != domain.npos) return std::nullopt;
  // Longer than any U-label form of a name can be: not worth the work.
  if (domain.size() > 4 * kMaxName) return std::nullopt;
  std::string name(domain);
  if (!base::IsAscii(name)) {
    if (!base::IsUtf8(name)) return std::nullopt;
    std::optional<std::string> encoded = EncodeLabels(name);
    if (!encoded) return std::nullopt;
    name = *std::move(encoded);
  }
  name = base::Lower(name);
  if (!HasDnsLengths(name)) return std::nullopt;
  return name;
}

bool IsDnsName(std::string_view name) {
  if (!base::IsAscii(name) || !HasDnsLengths(name)) return false;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') return false;
  }
  return true;
}

bool IsHostName(std::string_view name) {
  return IsDnsName(name) && std::all_of(name.begin(), name.end(), [](char c) {
           return base::IsAlnum(c) || c == '-' || c == '_' || c == '.';
         });
}

bool IsSameOrBelow(std::string_view name, std::string_view parent) {
  if (name.size() == parent.size()) return name == parent;
  return name.size() > parent.size() + 1 && name.ends_with(parent) &&
         name[name.size() - parent.size() - 1] == '.';
}

}  // namespace godwit::idna
