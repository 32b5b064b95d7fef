#pragma once

// The PROXY protocol, versions 1 (text) and 2 (binary): who the client behind a proxy is.
// Specification: HAProxy's doc/proxy-protocol.txt (sections cited as "PP §2.1"). No I/O.
//
//   ProxyParser parser;
//   auto result = parser.Next(&bytes);   // takes the header's bytes from the front, never more
//
// Type-length-values are skipped, not judged. The checksum TLV is not verified: TCP has its own.

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "libs/base/ip_address.h"
#include "libs/net/endpoint.h"

namespace godwit::net {

struct ProxyHeader {
  // False for LOCAL and UNKNOWN (health checks, other families): the connection's own addresses
  // are then the true ones.
  bool has_addresses = false;
  Endpoint source;
  Endpoint destination;
  friend bool operator==(const ProxyHeader&, const ProxyHeader&) = default;
};

struct ProxyNeedMore {
  friend bool operator==(const ProxyNeedMore&, const ProxyNeedMore&) = default;
};
struct ProxyMalformed {
  std::string_view reason;  // a literal, for logs
  friend bool operator==(const ProxyMalformed&, const ProxyMalformed&) = default;
};
using ProxyResult = std::variant<ProxyNeedMore, ProxyHeader, ProxyMalformed>;

class ProxyParser {
 public:
  struct Limits {
    // Length field of version 2: addresses and TLVs. Version 1 has 107 bytes at most (PP §2.1).
    size_t v2_length = 4096;
  };
  ProxyParser() : ProxyParser(Limits()) {}
  explicit ProxyParser(const Limits& limits) : limits_(limits) {}

  // Takes what it used from the front of `*in`. NeedMore took all of it; Header took the bytes of
  // the header exactly. The same result for every split of the same bytes. Not to be called again
  // after a Header or Malformed.
  ProxyResult Next(std::string_view* in);

 private:
  ProxyResult StepV1() const;
  ProxyResult ParseV1() const;
  ProxyResult StepV2();
  std::string_view CheckV2Head(size_t length) const;
  ProxyResult ParseV2() const;

  Limits limits_;
  std::string held_;       // at most 107 (v1) or 16 + 36 (v2) bytes
  bool skipping_ = false;  // v2: all that is needed is held
  size_t to_skip_ = 0;
};

}  // namespace godwit::net
