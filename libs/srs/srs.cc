#include "libs/srs/srs.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/idna/domain.h"

namespace godwit::srs {
namespace {

constexpr std::string_view kTag0 = "SRS0";
constexpr std::string_view kTag1 = "SRS1";
// What may stand behind the tag; we write the first.
constexpr std::string_view kSeparators = "=+-";
// RFC 4648 §6.
constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr int kStampDays = 1024;  // two digits
constexpr size_t kStampSize = 2;
constexpr size_t kHashSize = 8;
constexpr size_t kMaxInput = 512;

// What stands in front of the next "=", taken from `*in`; nullopt when there is no "=".
std::optional<std::string_view> TakeField(std::string_view* in) {
  const size_t end = in->find('=');
  if (end == in->npos) return std::nullopt;
  const std::string_view field = in->substr(0, end);
  in->remove_prefix(end + 1);
  return field;
}

int Base32Digit(char c) {
  const size_t at = kBase32.find(base::ToUpper(c));
  return at == kBase32.npos ? -1 : static_cast<int>(at);
}

bool IsStamp(std::string_view text) {
  return text.size() == kStampSize && Base32Digit(text[0]) >= 0 && Base32Digit(text[1]) >= 0;
}

int Today(absl::Time now) {
  const int64_t days = absl::ToUnixSeconds(now) / 86400;
  return static_cast<int>(((days % kStampDays) + kStampDays) % kStampDays);
}

std::string WriteStamp(absl::Time now) {
  const int day = Today(now);
  return {kBase32[static_cast<size_t>(day / 32)], kBase32[static_cast<size_t>(day % 32)]};
}

// Behind "SRS0" and its separator, whoever made it.
struct Fields0 {
  std::string_view hash, stamp, domain, local_part;
};

std::optional<Fields0> ReadFields0(std::string_view in) {
  const auto hash = TakeField(&in);
  const auto stamp = hash ? TakeField(&in) : std::nullopt;
  const auto domain = stamp ? TakeField(&in) : std::nullopt;
  if (!domain || hash->empty() || !IsStamp(*stamp) || in.empty()) return std::nullopt;
  if (!idna::IsHostName(base::Lower(*domain))) return std::nullopt;
  return Fields0{*hash, *stamp, *domain, in};
}

// Behind "SRS1" and its separator: the first forwarder, and what stood behind his "SRS0", its
// separator included.
struct Fields1 {
  std::string_view hash, host, rest;
  Fields0 inner;
};

std::optional<Fields1> ReadFields1(std::string_view in) {
  const auto hash = TakeField(&in);
  const auto host = hash ? TakeField(&in) : std::nullopt;
  if (!host || hash->empty() || !idna::IsHostName(base::Lower(*host))) return std::nullopt;
  if (in.empty() || kSeparators.find(in.front()) == kSeparators.npos) return std::nullopt;
  const auto inner = ReadFields0(in.substr(1));
  if (!inner) return std::nullopt;
  return Fields1{*hash, *host, in, *inner};
}

// What stands behind the separator of a local part with this tag, ours or another forwarder's.
std::optional<std::string_view> Behind(std::string_view tag, std::string_view local_part,
                                       std::string_view separators) {
  if (local_part.size() <= tag.size() || local_part.size() > kMaxInput) return std::nullopt;
  if (!base::StartsWithIgnoreCase(local_part, tag)) return std::nullopt;
  if (separators.find(local_part[tag.size()]) == separators.npos) return std::nullopt;
  return local_part.substr(tag.size() + 1);
}

constexpr std::string_view kOurs = kSeparators.substr(0, 1);

}  // namespace

bool IsSrs(std::string_view local_part) {
  return Behind(kTag0, local_part, kOurs) || Behind(kTag1, local_part, kOurs);
}

Rewriter::Rewriter(std::vector<base::Secret> secrets, Options options)
    : secrets_(std::move(secrets)), options_(options) {
  GODWIT_CHECK(!secrets_.empty());
}

std::string Rewriter::Sign(const base::Secret& secret, char kind, std::string_view text) const {
  const std::string folded = kind + base::Lower(text);
  const std::string_view key = secret.Reveal();
  std::array<uint8_t, EVP_MAX_MD_SIZE> mac;
  unsigned size = 0;
  GODWIT_CHECK(HMAC(EVP_sha256(), key.data(), key.size(),
                    reinterpret_cast<const uint8_t*>(folded.data()), folded.size(), mac.data(),
                    &size) != nullptr);
  std::string hash;
  uint64_t bits = 0;
  for (size_t i = 0; i < 5; ++i) bits = bits << 8 | mac[i];
  for (size_t i = 0; i < kHashSize; ++i) hash += kBase32[(bits >> (35 - 5 * i)) & 31];
  return hash;
}

// All secrets are tried, whichever fits: time says nothing of which.
bool Rewriter::Verify(char kind, std::string_view hash, std::string_view text) const {
  const std::string given = base::Upper(hash);
  bool good = false;
  for (const base::Secret& secret : secrets_) {
    good |= base::ConstantTimeEquals(given, Sign(secret, kind, text));
  }
  return good;
}

bool Rewriter::IsFresh(std::string_view stamp, absl::Time now) const {
  const int then = Base32Digit(stamp[0]) * 32 + Base32Digit(stamp[1]);
  const int age = (Today(now) - then + kStampDays) % kStampDays;
  // One day of the future: the clocks of forwarders differ.
  return age <= options_.max_age_days || age == kStampDays - 1;
}

std::optional<std::string> Rewriter::Rewrite(const Mailbox& sender, absl::Time now) const {
  if (sender.local_part.empty() || !idna::IsHostName(sender.domain)) return std::nullopt;
  char kind = '0';
  std::string text;
  if (const auto behind = Behind(kTag1, sender.local_part, kSeparators)) {
    // The forwarders between the first and us are left out.
    if (const auto fields = ReadFields1(*behind)) {
      kind = '1';
      text = std::string(fields->host) + '=' + std::string(fields->rest);
    }
  } else if (Behind(kTag0, sender.local_part, kSeparators)) {
    const std::string_view rest = std::string_view(sender.local_part).substr(kTag0.size());
    if (ReadFields0(rest.substr(1))) {
      kind = '1';
      text = sender.domain + '=' + std::string(rest);
    }
  }
  if (kind == '0') text = WriteStamp(now) + '=' + sender.domain + '=' + sender.local_part;
  std::string local_part(kind == '0' ? kTag0 : kTag1);
  local_part += '=' + Sign(secrets_.front(), kind, text) + '=' + text;
  if (local_part.size() > std::min(options_.max_local_part, kMaxInput)) return std::nullopt;
  return local_part;
}

std::variant<Mailbox, Refusal> Rewriter::Reverse(std::string_view local_part,
                                                 absl::Time now) const {
  if (const auto behind = Behind(kTag0, local_part, kOurs)) {
    const auto fields = ReadFields0(*behind);
    if (!fields) return Refusal::kForged;
    if (!Verify('0', fields->hash, behind->substr(fields->hash.size() + 1)))
      return Refusal::kForged;
    if (!IsFresh(fields->stamp, now)) return Refusal::kExpired;
    return Mailbox{std::string(fields->local_part), base::Lower(fields->domain)};
  }
  if (const auto behind = Behind(kTag1, local_part, kOurs)) {
    const auto fields = ReadFields1(*behind);
    if (!fields) return Refusal::kForged;
    if (!Verify('1', fields->hash, behind->substr(fields->hash.size() + 1)))
      return Refusal::kForged;
    // The day is the first forwarder's.
    if (!IsFresh(fields->inner.stamp, now)) return Refusal::kExpired;
    return Mailbox{std::string(kTag0) + std::string(fields->rest), base::Lower(fields->host)};
  }
  return Refusal::kNotSrs;
}

}  // namespace godwit::srs
