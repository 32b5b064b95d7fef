#include "libs/imap/mailbox_name.h"

#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <cstdint>
#include <optional>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::imap {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

bool IsDirect(char c) { return c >= 0x20 && c <= 0x7e; }

// RFC 3501 §5.1.3: one shift sequence, the base 64 between "&" and "-", as UTF-16.
bool DecodeShift(std::string_view text, icu::UnicodeString* out) {
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t value = kBase64.find(c);
    if (value == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 16) continue;
    count -= 16;
    out->append(static_cast<char16_t>(bits >> count & 0xffff));
  }
  // What is left is padding: less than one base-64 character, all zero.
  return count < 6 && (bits & ((1u << count) - 1)) == 0;
}

bool HasLoneSurrogate(const icu::UnicodeString& text) {
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
    if (U_IS_SURROGATE(text.char32At(i))) return true;
  }
  return false;
}

std::optional<icu::UnicodeString> DecodeModifiedUtf7(std::string_view wire) {
  icu::UnicodeString text;
  while (!wire.empty()) {
    const char c = wire.front();
    wire.remove_prefix(1);
    if (!IsDirect(c)) return std::nullopt;
    if (c != '&') {
      text.append(static_cast<char16_t>(c));
      continue;
    }
    const size_t end = wire.find('-');
    if (end == std::string_view::npos) return std::nullopt;
    if (end == 0) {
      text.append(u'&');
    } else if (!DecodeShift(wire.substr(0, end), &text)) {
      return std::nullopt;
    }
    wire.remove_prefix(end + 1);
  }
  if (HasLoneSurrogate(text)) return std::nullopt;
  return text;
}

void AppendShift(const icu::UnicodeString& text, int32_t from, int32_t to, std::string* out) {
  *out += '&';
  uint32_t bits = 0;
  int count = 0;
  for (int32_t i = from; i < to; ++i) {
    bits = bits << 16 | text.charAt(i);
    count += 16;
    while (count >= 6) {
      count -= 6;
      *out += kBase64[bits >> count & 0x3f];
    }
  }
  if (count > 0) *out += kBase64[bits << (6 - count) & 0x3f];
  *out += '-';
}

std::string EncodeModifiedUtf7(std::string_view name) {
  const auto text = icu::UnicodeString::fromUTF8(
      icu::StringPiece(name.data(), static_cast<int32_t>(name.size())));
  std::string out;
  for (int32_t i = 0; i < text.length();) {
    const char16_t c = text.charAt(i);
    if (c >= 0x20 && c <= 0x7e) {
      out += static_cast<char>(c);
      if (c == u'&') out += '-';
      ++i;
      continue;
    }
    int32_t end = i;
    while (end < text.length() && !(text.charAt(end) >= 0x20 && text.charAt(end) <= 0x7e)) ++end;
    AppendShift(text, i, end, &out);
    i = end;
  }
  return out;
}

// RFC 9051 §5.1: no C0 or C1 controls, DEL, line or paragraph separators.
bool HasControl(const icu::UnicodeString& text) {
  for (int32_t i = 0; i < text.length(); ++i) {
    const char16_t c = text.charAt(i);
    if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029) return true;
  }
  return false;
}

// RFC 9051 §5.1: INBOX in any case is the one inbox; its children follow it.
void CanonicalizeInbox(std::string* name) {
  const std::string_view first = std::string_view(*name).substr(0, name->find(kHierarchySeparator));
  if (base::EqualsIgnoreCase(first, kInbox)) name->replace(0, kInbox.size(), kInbox);
}

}  // namespace

absl::StatusOr<std::string> DecodeMailboxName(std::string_view wire, NameEncoding encoding) {
  if (wire.size() > kMaxWireMailboxName) {
    return base::InvalidArgument("Mailbox name is too long");
  }
  std::optional<icu::UnicodeString> text;
  if (encoding == NameEncoding::kModifiedUtf7) {
    text = DecodeModifiedUtf7(wire);
  } else if (base::IsUtf8(wire)) {
    text = icu::UnicodeString::fromUTF8(
        icu::StringPiece(wire.data(), static_cast<int32_t>(wire.size())));
  }
  if (!text) return base::InvalidArgument("Mailbox name is not well encoded");
  if (HasControl(*text)) return base::InvalidArgument("Mailbox name has a control character");
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  if (U_FAILURE(error)) return base::Internal("ICU has no NFC data");
  std::string name;
  nfc->normalize(*text, error).toUTF8String(name);
  if (U_FAILURE(error)) return base::Internal("ICU could not normalise");
  CanonicalizeInbox(&name);
  return name;
}

std::string EncodeMailboxName(std::string_view name, NameEncoding encoding) {
  return encoding == NameEncoding::kUtf8 ? std::string(name) : EncodeModifiedUtf7(name);
}

absl::Status CheckNewMailboxName(std::string_view name) {
  if (name.empty()) return base::InvalidArgument("Mailbox name is empty");
  for (const std::string_view level : base::Split(name, kHierarchySeparator)) {
    if (level.empty()) return base::InvalidArgument("Mailbox name has an empty level");
  }
  // RFC 9051 §5.1.2.1: "#" begins another namespace. §6.3.4: wildcards could not be listed.
  if (name.front() == '#') return base::InvalidArgument("Mailbox name begins with #");
  if (name.find_first_of("%*") != std::string_view::npos) {
    return base::InvalidArgument("Mailbox name has a wildcard");
  }
  return absl::OkStatus();
}

std::string_view ParentMailboxName(std::string_view name) {
  const size_t end = name.rfind(kHierarchySeparator);
  return end == std::string_view::npos ? std::string_view() : name.substr(0, end);
}

bool IsBelow(std::string_view child, std::string_view parent) {
  return child.size() > parent.size() && child.substr(0, parent.size()) == parent &&
         child[parent.size()] == kHierarchySeparator;
}

}  // namespace godwit::imap
