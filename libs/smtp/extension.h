#pragma once

// The SMTP service extensions that a session can offer, as a set. EHLO keywords (server.cc) and
// the parameters of MAIL and RCPT (parameter.cc) both hang on it: a parameter whose extension was
// not offered is unknown.

#include <cstdint>
#include <initializer_list>

namespace godwit::smtp {

enum class Extension : uint32_t {
  kPipelining = 1u << 0,           // RFC 2920
  kSize = 1u << 1,                 // RFC 1870
  kStartTls = 1u << 2,             // RFC 3207
  kEnhancedStatusCodes = 1u << 3,  // RFC 2034
  k8BitMime = 1u << 4,             // RFC 6152
  kSmtpUtf8 = 1u << 5,             // RFC 6531
  kDsn = 1u << 6,                  // RFC 3461
  kAuth = 1u << 7,                 // RFC 4954
  kOrigin = 1u << 8,               // XORIGIN, see origin.h
  kRequireTls = 1u << 9,           // RFC 8689
  kFutureRelease = 1u << 10,       // RFC 4865
  kChunking = 1u << 11,            // RFC 3030 §2
  kBinaryMime = 1u << 12,          // RFC 3030 §3; needs kChunking
  kLimits = 1u << 13,              // RFC 9422
};

class ExtensionSet {
 public:
  constexpr ExtensionSet() = default;
  constexpr ExtensionSet(std::initializer_list<Extension> list) {
    for (Extension e : list) Add(e);
  }
  constexpr void Add(Extension e) { bits_ |= static_cast<uint32_t>(e); }
  constexpr void Remove(Extension e) { bits_ &= ~static_cast<uint32_t>(e); }
  constexpr bool Has(Extension e) const { return (bits_ & static_cast<uint32_t>(e)) != 0; }

 private:
  uint32_t bits_ = 0;
};

}  // namespace godwit::smtp
