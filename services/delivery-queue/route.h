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
  std::string name;         // A-labels; an address literal has its own text
  uint32_t preference = 0;  // of its MX record
  std::vector<base::IpAddress> addresses;
  TlsNeed need = TlsNeed::kOpportunistic;
  bool verify_and_report = false;  // an MTA-STS policy in testing mode
  std::vector<base::DnsTlsa> tlsa{};
  std::string tlsa_base{};
  std::vector<std::string> tls_names{};
  std::string problem{};    // of kUnusable
  int unusable_result = 0;  // its result type for reports (RFC 8460 §4.3)
  std::string report{};     // what tls-policy wants back with the outcome, opaque; "" nothing
};

struct Route {
  RouteKind kind = RouteKind::kDirect;
  // Messages of one site share connections and limits. Two domains with the same hosts and the same
  // requirements are one.
  std::string site;
  std::vector<RouteHost> hosts{};  // in the order of trying; none for kCapture
  uint16_t port = 25;
};

using RoutePtr = std::shared_ptr<const Route>;

// The site of hosts that are asked for with these requirements.
std::string SiteOf(const std::vector<RouteHost>& hosts, uint16_t port);

// Where a domain's mail goes, or why it goes nowhere (4xx: for now).
struct RouteAnswer {
  RoutePtr route;
  smtp::Reply refusal{};  // when there is no route
};

}  // namespace godwit::delivery_queue
