#pragma once

// Wire: PostgreSQL's binary format of numbers and times, for params.cc and result.cc.

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace godwit::db {

// The types that cross, by their fixed OIDs (src/include/catalog/pg_type.dat).
enum Oid : uint32_t {
  kOidBool = 16,
  kOidBytea = 17,
  kOidName = 19,
  kOidInt8 = 20,
  kOidInt2 = 21,
  kOidInt4 = 23,
  kOidText = 25,
  kOidFloat8 = 701,
  kOidVarchar = 1043,
  kOidTimestamptz = 1184,
  kOidBoolArray = 1000,
  kOidByteaArray = 1001,
  kOidTextArray = 1009,
  kOidInt8Array = 1016,
  kOidTimestamptzArray = 1185,
};

// `size` octets of `value`, the most significant first.
inline void AppendBigEndian(std::string* out, uint64_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> shift));
  }
}

// All of `bytes` (1 to 8) as a signed number.
inline int64_t ReadBigEndian(std::string_view bytes) {
  uint64_t value = (bytes[0] & 0x80) != 0 ? ~uint64_t{0} : 0;
  for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<int64_t>(value);
}

// timestamptz: microseconds since 2000-01-01 UTC; the extremes are the infinities.
int64_t ToPostgresTime(absl::Time time);
absl::Time FromPostgresTime(int64_t microseconds);

}  // namespace godwit::db
