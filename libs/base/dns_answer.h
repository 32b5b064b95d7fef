#pragma once

// DNS questions and answers as plain values: what protocol code (SPF, DKIM, DMARC, ARC, MTA-STS,
// DANE) is given instead of a resolver.
//
// A protocol library asks in rounds: a pure function takes the answers that are known so far and
// gives either its result or the questions it still needs. dns::Drive() in libs/dns resolves these
// (all of a round at the same time) and calls again. So the libraries have no I/O, their tests need
// a table of answers only, and what can be asked in parallel is.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/ip_address.h"

namespace godwit::base {

// Values are those of the wire (RFC 1035 §3.2.2 and the IANA registry).
enum class DnsType : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kTlsa = 52,
};
std::string_view DnsTypeName(DnsType type);  // "MX"

struct DnsQuestion {
  std::string name;  // lower-case A-label form, without the final dot
  DnsType type = DnsType::kA;
  friend auto operator<=>(const DnsQuestion&, const DnsQuestion&) = default;
};

struct DnsMx {
  uint16_t preference = 0;
  std::string exchange;  // "" is the root: a null MX (RFC 7505)
  friend auto operator<=>(const DnsMx&, const DnsMx&) = default;
};
struct DnsSrv {
  uint16_t priority = 0;
  uint16_t weight = 0;
  uint16_t port = 0;
  std::string target;
  friend auto operator<=>(const DnsSrv&, const DnsSrv&) = default;
};
struct DnsTlsa {
  uint8_t usage = 0;
  uint8_t selector = 0;
  uint8_t matching = 0;
  std::string data;  // raw bytes
  friend auto operator<=>(const DnsTlsa&, const DnsTlsa&) = default;
};

enum class DnsOutcome {
  kOk,        // there are records of the type
  kNoData,    // the name exists, without records of the type
  kNoDomain,  // the name does not exist (RFC 8020)
  kTempFail,  // SERVFAIL, timeout, no server reachable: ask again later
};

struct DnsAnswer {
  DnsOutcome outcome = DnsOutcome::kTempFail;
  // The resolver is trusted and said that the whole answer is DNSSEC-authentic (AD bit).
  bool authentic = false;
  // Where the CNAME chain ended: the owner of the records; the name asked when there is no chain.
  std::string canonical_name;
  // One of these is filled, by the question's type. Owner names are lower-case, no final dot.
  std::vector<IpAddress> addresses;  // A, AAAA
  std::vector<std::string> texts;  // TXT, its strings joined (RFC 7208 §3.3); PTR, NS, CNAME: names
  std::vector<DnsMx> mx;           // MX
  std::vector<DnsSrv> srv;         // SRV
  std::vector<DnsTlsa> tlsa;       // TLSA
  absl::Duration ttl;              // the least of the chain; for a negative answer by RFC 2308 §5
  std::string error;               // for kTempFail: what happened, for logs

  bool found() const { return outcome == DnsOutcome::kOk; }
  // The void of RFC 7208 §4.6.4: the name or the type is not there.
  bool is_void() const {
    return outcome == DnsOutcome::kNoData || outcome == DnsOutcome::kNoDomain;
  }
};

// The answers known so far.
using DnsAnswers = std::map<DnsQuestion, DnsAnswer>;

// What a step of a protocol evaluation gives: its result, or the questions it needs first. Never
// empty, never one that was answered already.
template <typename Result>
using DnsStep = std::variant<Result, std::vector<DnsQuestion>>;

}  // namespace godwit::base
