#pragma once

// DNS lists of addresses and domains (RFC 5782): what a list is, and what its answers mean.
//
//   dnsbl::List list;
//   list.zone = "bl.example.net";
//   list.codes = {dnsbl::ParseCodeRule("127.0.0.4-127.0.0.7=exploit:5").value()};
//
// A list answers with A records within 127.0.0.0/8; what they mean is each list's own matter
// (§2.3), so the operator says it, as rules. Whatever is no listing by RFC or by custom is a fault
// of the list and never one of the mail: an address outside 127.0.0.0/8 (the zone was sold, a
// resolver answers everything), 127.0.0.1 (§5: never listed; some lists say "refused" so),
// 127.255.255.0/24 (lists' own errors: wrong name, too many questions, a public resolver).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/ip_address.h"

namespace godwit::dnsbl {

enum class Kind : uint8_t {
  kBlock,  // DNSBL
  kAllow,  // DNSWL
};

struct CodeRule {
  base::IpAddress first;  // IPv4, inclusive
  base::IpAddress last;   // inclusive
  std::string category;   // for people, logs and headers: letters, digits, "-" and "_"
  int weight = 1;         // 0 to 1000
};

struct List {
  std::string zone;  // A-labels, lower case, without the final dot
  Kind kind = Kind::kBlock;
  bool ipv4 = true;  // which subjects it is asked about
  bool ipv6 = false;
  bool domains = false;
  // The first that matches says what an answer means; an answer that none matches is no listing. No
  // rules: every answer is a listing of category "listed" and weight 1.
  std::vector<CodeRule> codes;
};

// "ADDRESS=CATEGORY", "FIRST-LAST=CATEGORY:WEIGHT", "NETWORK/BITS=CATEGORY". InvalidArgument for
// anything else, and for addresses outside 127.0.0.0/8.
absl::StatusOr<CodeRule> ParseCodeRule(std::string_view text);

// What one answer of a list says.
struct Meaning {
  bool listed = false;
  std::string problem;                  // of the list; "" when there is none. Never with listed.
  std::vector<std::string> codes;       // the addresses, as they came, at most 16
  std::vector<std::string> categories;  // no one twice
  int weight = 0;                       // the highest
};
Meaning Interpret(const List& list, const std::vector<base::IpAddress>& addresses);

// The name to ask about a subject: reversed octets or nibbles (§2.1, §2.4), or the domain as it is
// (§3), in front of the zone.
std::string AddressName(const List& list, const base::IpAddress& address);
std::string DomainName(const List& list, std::string_view domain);

// Whether the list is asked about such an address.
bool Covers(const List& list, const base::IpAddress& address);

}  // namespace godwit::dnsbl
