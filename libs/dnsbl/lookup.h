#pragma once

// Asking DNS lists (RFC 5782), pure, in rounds: first all lists about all subjects at the same
// time, then the reasons (TXT) of those that list.
//
//   dnsbl::Subjects subjects{.client = ip, .domains = {"sender.example"}};
//   auto step = dnsbl::Evaluate(lists, subjects, answers);
//
// A list that does not answer, or answers nonsense, lists nothing: a result says so, for logs and
// metrics.
//
// A list is worth asking only while it is in order (§5): CheckHealth() looks at the entries that
// every list has for this purpose.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/dns_answer.h"
#include "libs/base/ip_address.h"
#include "libs/dnsbl/list.h"

namespace godwit::dnsbl {

struct Subjects {
  // An IPv4-mapped address is taken as IPv4.
  std::optional<base::IpAddress> client;
  // A-labels, lower case. What makes no DNS name together with a zone is not asked.
  std::vector<std::string> domains;
};

enum class Outcome : uint8_t { kNotListed, kListed, kError, kNoAnswer };
std::string_view OutcomeName(Outcome outcome);  // "not-listed"

// What one list says of one subject.
struct Result {
  std::string list;  // its zone
  Kind kind = Kind::kBlock;
  std::string subject;  // "192.0.2.1", "sender.example"
  Outcome outcome = Outcome::kNotListed;
  std::vector<std::string> codes;       // "127.0.0.2"
  std::vector<std::string> categories;  // when listed
  int weight = 0;                       // when listed
  // §2.1: what the list says to the sender, when listed: printable ASCII of at most 200 octets, or
  // empty.
  std::string text;
  std::string problem;  // of the list, for kError and kNoAnswer
};

base::DnsStep<std::vector<Result>> Evaluate(const std::vector<List>& lists,
                                            const Subjects& subjects,
                                            const base::DnsAnswers& answers);

struct Health {
  bool healthy = false;
  std::string problem;  // "" when it is
};

// §5: 127.0.0.2 and ::FFFF:7F00:2 are listed, and the name TEST; 127.0.0.1, ::FFFF:7F00:1 and
// INVALID are not. Each is asked where the list has such subjects.
base::DnsStep<Health> CheckHealth(const List& list, const base::DnsAnswers& answers);

}  // namespace godwit::dnsbl
