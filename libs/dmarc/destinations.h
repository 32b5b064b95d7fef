#pragma once

// Where reports go: what rua= of a policy record asks for, and whether the receivers agree (RFC
// 9990 §4, RFC 7489 §7.1). Pure, asks in rounds.
//
//   auto step = dmarc::FindDestinations("blue.example.com", record.rua, options, answers);
//
// A destination outside of the organizational domain of the policy must say that it wants reports,
// in <policy domain>._report._dmarc.<its domain>; else anybody could have reports sent to anybody.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/dns_answer.h"
#include "libs/dmarc/evaluate.h"

namespace godwit::dmarc {

struct Destination {
  std::string address;  // "reports@example.net", the domain in lower-case A-labels
  std::string domain;
  // RFC 7489 §6.2 "!10m"; RFC 9989 §4.8: the suffix is obsolete and not looked at.
  std::optional<uint64_t> most_octets;
  friend bool operator==(const Destination&, const Destination&) = default;
};

// Of a "mailto:" URI with one plain address; nullopt for all others.
std::optional<Destination> ParseReportUri(std::string_view uri, Mode mode);

struct Destinations {
  std::vector<Destination> confirmed;  // no address twice
  std::vector<std::string> refused;    // "URI: why", for people
  bool temp_error = false;             // some are neither yet: ask again later
};

base::DnsStep<Destinations> FindDestinations(std::string_view policy_domain,
                                             const std::vector<std::string>& uris,
                                             const Options& options,
                                             const base::DnsAnswers& answers);

}  // namespace godwit::dmarc
