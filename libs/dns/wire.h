#pragma once

// DNS messages on the wire (RFC 1035 §4): writing queries, reading answers. Pure.
//
// Names are text: lower-case, without the final dot, "" for the root. A byte of a label that is a
// dot, a backslash, a space or no printable ASCII is written as \DDD (RFC 1035 §5.1), so that a
// text names one name only. Bytes above 127 are kept as they are.
//
// The reader takes any bytes: compression pointers must point backwards, a name has at most 255
// octets, a message at most 64 KiB, and a record that runs over the end is an error of the whole.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/dns_answer.h"
#include "libs/base/ip_address.h"

namespace godwit::dns {

struct Soa {
  uint32_t minimum = 0;  // RFC 2308 §4: the TTL of negative answers
};

// A name (CNAME, PTR, NS), the joined strings of a TXT, or a structure; monostate for any other
// type and for addresses of the wrong size.
using RecordData = std::variant<std::monostate, base::IpAddress, std::string, base::DnsMx,
                                base::DnsSrv, base::DnsTlsa, Soa>;

struct Record {
  std::string owner;
  uint16_t type = 0;
  uint16_t record_class = 0;
  uint32_t ttl = 0;  // RFC 2181 §8: a value with the top bit set is read as 0
  RecordData data;
};

struct WireMessage {
  uint16_t id = 0;
  bool response = false;
  bool truncated = false;
  bool authentic = false;  // AD, RFC 4035 §3.2.3
  uint8_t rcode = 0;       // the four bits of the header
  std::string question;    // of the one question
  uint16_t question_type = 0;
  std::vector<Record> answers;
  std::vector<Record> authority;
};

inline constexpr uint8_t kRcodeNoError = 0;
inline constexpr uint8_t kRcodeNoDomain = 3;
inline constexpr uint16_t kClassIn = 1;
inline constexpr uint16_t kTypeSoa = 6;

// InvalidArgument for anything that is no well-formed message with exactly one question. The
// additional section is not read.
absl::StatusOr<WireMessage> ParseMessage(std::string_view wire);

struct QueryFlags {
  bool dnssec_ok = false;
  bool checking_disabled = false;
  uint16_t udp_size = 1232;  // fits every path unfragmented (DNS flag day 2020)
};

// A query with RD and AD set (RFC 6840 §5.7) and an OPT record (RFC 6891). Nothing when `name` is
// no name: an empty label, a label over 63 or a name over 255 octets, a bad escape.
std::optional<std::string> WriteQuery(uint16_t id, const base::DnsQuestion& question,
                                      const QueryFlags& flags);

// The octets of a name, uncompressed; the inverse of the reader's text. Nothing as above.
std::optional<std::string> WriteName(std::string_view name);

// The one text of a name that the reader above would give. Nothing as above.
std::optional<std::string> CanonicalName(std::string_view name);

}  // namespace godwit::dns
