#pragma once

// Route: the hosts that take the mail of a domain (RFC 5321 §5.1, RFC 7505), and what DNSSEC says
// of them and of their TLSA records (RFC 7672 §2). Pure: it asks the DNS in rounds (base::DnsStep).
//
//   Route route = co_await dns::Drive(resolver, [query](const base::DnsAnswers& answers) {
//     return FindRoute(query, answers);
//   });
//
// A resolver that validates answers a bogus name with SERVFAIL, so that an attack and an outage
// look alike: both make the host unusable for now, and neither makes it less protected.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/dns_answer.h"
#include "libs/base/ip_address.h"

namespace godwit::tls_policy {

struct RouteQuery {
  std::string domain;  // lower-case A-labels
  uint16_t port = 25;
  bool host_only = false;  // `domain` is the host
};

enum class TlsaStatus {
  kNone,      // no records, or not authentic ones
  kSecure,    // `tlsa` holds the usable ones
  kUnusable,  // authentic ones, none of which can be used
  kTempFail,  // no answer, or a bogus one
};

struct RouteHost {
  std::string name;
  uint16_t preference = 0;
  std::vector<base::IpAddress> addresses = {};  // IPv6 and IPv4 in turn
  bool mx_secure = false;
  bool address_secure = false;
  std::string address_error = {};  // not "": the addresses can't be had now, there are none
  TlsaStatus tlsa_status = TlsaStatus::kNone;
  std::vector<base::DnsTlsa> tlsa = {};
  std::string tlsa_base = {};
  std::vector<std::string> tls_names = {};
};

struct Route {
  enum class Outcome { kOk, kNullMx, kNoDomain, kTemporary };
  Outcome outcome = Outcome::kOk;
  std::string reason;  // for people, for all but kOk
  bool mx_authentic = false;
  bool implicit_mx = false;
  std::vector<RouteHost> hosts;  // by preference; at most kMostHosts
  absl::Duration ttl = absl::InfiniteDuration();
};

inline constexpr size_t kMostHosts = 20;
inline constexpr size_t kMostAddresses = 16;  // of one host

base::DnsStep<Route> FindRoute(const RouteQuery& query, const base::DnsAnswers& answers);

}  // namespace godwit::tls_policy
