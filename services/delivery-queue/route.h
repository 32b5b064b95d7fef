#pragma once

// Route: where mail for a domain goes and what the connection must prove. Plain values.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/dns_answer.h"
#include "libs/base/ip_address.h"
#include "libs/smtp/reply.h"

namespace godwit::delivery_queue {

enum class RouteKind {
  kInternal,
  kDirect,
  kSmarthost,
  kRelay,  // to the other server of a domain of ours
  kCapture,
};
std::string_view RouteKindName(RouteKind kind);

// What TLS must prove (proto/godwit/tls_policy/v1, Requirement).
enum class TlsNeed {
  kInternal,       // mutual TLS with a daemon of ours, from the first octet
  kOpportunistic,  // whatever the server offers, nothing verified (RFC 7435)
  kEncrypt,        // TLS, nothing verified
  kMtaSts,         // TLS, a certificate for the host's name (RFC 8461)
  kDane,           // TLS, TLSA records (RFC 7672)
  kUnusable,       // do not connect
};

struct RouteHost {
  std::string name;  // A-labels; an address literal has its own text
  std::vector<base::IpAddress> addresses;
  uint32_t preference = 0;  // of the MX record
  TlsNeed need = TlsNeed::kOpportunistic;
  bool verify_and_report = false;  // an MTA-STS policy in testing mode
  std::vector<base::DnsTlsa> tlsa{};
  std::string tlsa_base{};
  std::vector<std::string> tls_names{};
  // That `name` is a host of the domain is known by DNSSEC, by the domain's MTA-STS policy, or
  // because nobody was asked for it (RFC 8689 §4.2.1, step 2).
  bool name_proven = false;
  std::string problem{};    // of kUnusable
  int unusable_result = 0;  // its result type for reports (RFC 8460 §4.3)
  std::string report{};     // what tls-policy wants back with the outcome, opaque; "" nothing
};

struct Route {
  RouteKind kind = RouteKind::kDirect;
  // Its hosts, whatever their order: what is bounded, is bounded by site.
  std::string site;
  // The site and what a connection must prove there. Messages of one lane may share connections,
  // those of two must not: what one domain has to prove says nothing of another's.
  std::string lane{};
  std::vector<RouteHost> hosts{};  // in the order of trying; none for kCapture
  uint16_t port = 25;
};

using RoutePtr = std::shared_ptr<const Route>;

std::string SiteOf(const Route& route);
std::string LaneOf(const Route& route);

// Where a domain's mail goes, or why it goes nowhere (4xx: for now).
struct RouteAnswer {
  RoutePtr route;
  smtp::Reply refusal{};  // when there is no route
};

}  // namespace godwit::delivery_queue
