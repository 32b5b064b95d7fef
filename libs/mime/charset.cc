#include "libs/mime/charset.h"

#include <unicode/ucnv.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "libs/base/ascii.h"

namespace godwit::mime {
namespace {

constexpr size_t kMaxName = 60;

// What mailers mean by some names (WHATWG Encoding Standard §4.2): the larger set.
struct Alias {
  std::string_view name;
  std::string_view means;
};
constexpr Alias kAliases[] = {
    {"iso-8859-1", "windows-1252"},
    {"latin1", "windows-1252"},
    {"iso_8859-1", "windows-1252"},
    {"iso-8859-9", "windows-1254"},
    {"iso-8859-11", "windows-874"},
    {"tis-620", "windows-874"},
    {"gb2312", "gb18030"},
    {"gbk", "gb18030"},
    {"gb_2312-80", "gb18030"},
    {"x-gbk", "gb18030"},
    {"ks_c_5601-1987", "windows-949"},
    {"euc-kr", "windows-949"},
    {"shift_jis", "windows-31j"},
    {"x-sjis", "windows-31j"},
    {"unicode-1-1-utf-7", "utf-7"},
};

constexpr std::string_view kUtf8Names[] = {"utf-8", "utf8",           "us-ascii",
                                           "ascii", "ansi_x3.4-1968", "unicode-1-1-utf-8"};

// Windows-1252, 0x80 to 0x9F; the five octets without a character are C1 controls, as in browsers.
constexpr std::array<uint16_t, 32> kWindows1252 = {
    0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

void AppendCodePoint(std::string* out, uint32_t c) {
  if (c < 0x80) {
    *out += static_cast<char>(c);
    return;
  }
  std::array<char, 4> buffer{};
  size_t size = 0;
  U8_APPEND_UNSAFE(buffer.data(), size, c);
  out->append(buffer.data(), size);
}

bool IsUtf8Name(std::string_view lower) {
  return lower.empty() ||
         std::find(std::begin(kUtf8Names), std::end(kUtf8Names), lower) != std::end(kUtf8Names);
}

// The name that ICU is asked for; "" when it is none we let through to it. ICU takes options after
// a comma, which a message must not choose.
std::string IcuName(std::string_view name) {
  const std::string lower = base::Lower(base::Trim(name));
  if (lower.empty() || lower.size() > kMaxName) return "";
  const bool plain = std::all_of(lower.begin(), lower.end(), [](char c) {
    return base::IsAlnum(c) || std::string_view("-_.:()+").find(c) != std::string_view::npos;
  });
  if (!plain) return "";
  for (const Alias& alias : kAliases) {
    if (alias.name == lower) return std::string(alias.means);
  }
  UErrorCode error = U_ZERO_ERROR;
  return ucnv_countAliases(lower.c_str(), &error) > 0 && U_SUCCESS(error) ? lower : "";
}

// UTF-8, and windows-1252 for each octet that is no part of it.
class LenientUtf8 {
 public:
  void Decode(std::string_view bytes, std::string* out) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (size_ == 0) {  // the common case: a run of ASCII
        size_t end = i;
        while (end < bytes.size() && static_cast<unsigned char>(bytes[end]) < 0x80) ++end;
        out->append(bytes.substr(i, end - i));
        i = end;
        if (i == bytes.size()) return;
      }
      pending_[size_++] = bytes[i];
      Settle(out);
    }
  }
  void Finish(std::string* out) {
    while (size_ > 0) {
      DropFirst(out);
      Settle(out);
    }
  }

 private:
  // RFC 3629 §4: writes the pending octets when they are a character, drops from their front
  // while they can not become one.
  void Settle(std::string* out) {
    while (size_ > 0) {
      const auto lead = static_cast<unsigned char>(pending_[0]);
      const size_t need = lead < 0x80   ? 1
                          : lead < 0xC2 ? 0
                          : lead < 0xE0 ? 2
                          : lead < 0xF0 ? 3
                          : lead < 0xF5 ? 4
                                        : 0;
      if (need > 0 && CanContinue(lead)) {
        if (size_ < need) return;
        out->append(pending_.data(), need);
        size_ = 0;  // at most one character is ever pending
        return;
      }
      DropFirst(out);
    }
  }

  bool CanContinue(unsigned char lead) const {
    for (size_t i = 1; i < size_; ++i) {
      const auto c = static_cast<unsigned char>(pending_[i]);
      if ((c & 0xC0) != 0x80) return false;
      if (i > 1) continue;
      if ((lead == 0xE0 && c < 0xA0) || (lead == 0xED && c > 0x9F)) return false;
      if ((lead == 0xF0 && c < 0x90) || (lead == 0xF4 && c > 0x8F)) return false;
    }
    return true;
  }

  void DropFirst(std::string* out) {
    const auto c = static_cast<unsigned char>(pending_[0]);
    AppendCodePoint(out, c >= 0x80 && c < 0xA0 ? kWindows1252[c - 0x80] : c);
    std::copy(pending_.begin() + 1, pending_.end(), pending_.begin());
    --size_;
  }

  std::array<char, 4> pending_{};
  size_t size_ = 0;
};

}  // namespace

class CharsetDecoder::Impl {
 public:
  explicit Impl(std::string_view charset) {
    if (IsUtf8Name(base::Lower(base::Trim(charset)))) return;
    const std::string name = IcuName(charset);
    if (name.empty()) return;
    UErrorCode error = U_ZERO_ERROR;
    converter_ = ucnv_open(name.c_str(), &error);
    if (U_FAILURE(error)) converter_ = nullptr;
  }
  ~Impl() {
    if (converter_ != nullptr) ucnv_close(converter_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void Decode(std::string_view bytes, std::string* out) {
    if (converter_ == nullptr) return lenient_.Decode(bytes, out);
    Convert(bytes, false, out);
  }

  void Finish(std::string* out) {
    if (converter_ == nullptr) return lenient_.Finish(out);
    Convert("", true, out);
    if (lead_ != 0) AppendCodePoint(out, 0xFFFD);
    lead_ = 0;
  }

 private:
  void Convert(std::string_view bytes, bool flush, std::string* out) {
    std::array<UChar, 512> buffer;
    const char* source = bytes.data();
    const char* const end = source + bytes.size();
    UErrorCode error = U_BUFFER_OVERFLOW_ERROR;
    while (error == U_BUFFER_OVERFLOW_ERROR) {
      error = U_ZERO_ERROR;
      UChar* target = buffer.data();
      ucnv_toUnicode(converter_, &target, buffer.data() + buffer.size(), &source, end, nullptr,
                     flush, &error);
      for (const UChar* unit = buffer.data(); unit != target; ++unit) Unit(*unit, out);
    }
  }

  // One UTF-16 unit; a pair may lie on both sides of a buffer's end.
  void Unit(UChar unit, std::string* out) {
    if (lead_ != 0) {
      const UChar lead = std::exchange(lead_, UChar{0});
      if (U16_IS_TRAIL(unit)) return AppendCodePoint(out, U16_GET_SUPPLEMENTARY(lead, unit));
      AppendCodePoint(out, 0xFFFD);
    }
    if (U16_IS_LEAD(unit)) {
      lead_ = unit;
      return;
    }
    AppendCodePoint(out, U16_IS_TRAIL(unit) ? 0xFFFDu : static_cast<uint32_t>(unit));
  }

  UConverter* converter_ = nullptr;  // owned; nullptr: lenient_ does it
  UChar lead_ = 0;
  LenientUtf8 lenient_;
};

bool IsKnownCharset(std::string_view name) {
  const std::string lower = base::Lower(base::Trim(name));
  return !lower.empty() && (IsUtf8Name(lower) || !IcuName(lower).empty());
}

CharsetDecoder::CharsetDecoder(std::string_view charset) : impl_(std::make_unique<Impl>(charset)) {}
CharsetDecoder::~CharsetDecoder() = default;
CharsetDecoder::CharsetDecoder(CharsetDecoder&&) noexcept = default;
CharsetDecoder& CharsetDecoder::operator=(CharsetDecoder&&) noexcept = default;

void CharsetDecoder::Decode(std::string_view bytes, std::string* out) { impl_->Decode(bytes, out); }
void CharsetDecoder::Finish(std::string* out) { impl_->Finish(out); }

std::string ToUtf8(std::string_view bytes, std::string_view charset) {
  std::string out;
  CharsetDecoder decoder(charset);
  decoder.Decode(bytes, &out);
  decoder.Finish(&out);
  return out;
}

}  // namespace godwit::mime
