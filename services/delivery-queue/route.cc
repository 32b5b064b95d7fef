#include "services/delivery-queue/route.h"

#include <algorithm>

#include "libs/base/encoding.h"

namespace godwit::delivery_queue {
namespace {

// RFC 7672 §3.1.2: of DANE-TA, which looks at names.
constexpr int kTrustAnchor = 2;

// Names have none of these characters.
void AppendTlsa(const RouteHost& host, std::string* lane) {
  bool names = false;
  for (const base::DnsTlsa& record : host.tlsa) {
    *lane += ' ';
    *lane += std::to_string(record.usage) + std::to_string(record.selector) +
             std::to_string(record.matching) + base::HexEncode(record.data);
    names |= record.usage == kTrustAnchor;
  }
  if (host.tlsa.empty()) return;
  *lane += '@' + host.tlsa_base;
  // RFC 7672 §3.2.2: one of them is the recipient's domain, so that these connections are its own.
  if (!names) return;
  for (const std::string& name : host.tls_names) *lane += ',' + name;
}

void AppendProof(const RouteHost& host, std::string* lane) {
  *lane += host.name + '/' + std::to_string(static_cast<int>(host.need));
  *lane += host.verify_and_report ? 'v' : '-';
  *lane += host.name_proven ? 'p' : '-';
  *lane += std::to_string(host.unusable_result);
  AppendTlsa(host, lane);
  *lane += ';';
}

}  // namespace

std::string_view RouteKindName(RouteKind kind) {
  switch (kind) {
    case RouteKind::kInternal: return "internal";
    case RouteKind::kDirect: return "direct";
    case RouteKind::kSmarthost: return "smarthost";
    case RouteKind::kRelay: return "relay";
    case RouteKind::kCapture: return "capture";
  }
  return "none";
}

std::string SiteOf(const Route& route) {
  std::vector<std::string_view> names;
  for (const RouteHost& host : route.hosts) names.push_back(host.name);
  std::sort(names.begin(), names.end());
  std::string site(RouteKindName(route.kind));
  site += ' ';
  for (std::string_view name : names) {
    site += name;
    site += ';';
  }
  return site + std::to_string(route.port);
}

// RFC 5321 §5.1: hosts of one preference come in an order of chance, which makes no difference.
std::string LaneOf(const Route& route) {
  std::vector<const RouteHost*> hosts;
  for (const RouteHost& host : route.hosts) hosts.push_back(&host);
  std::sort(hosts.begin(), hosts.end(), [](const RouteHost* a, const RouteHost* b) {
    return a->preference != b->preference ? a->preference < b->preference : a->name < b->name;
  });
  std::string lane = SiteOf(route) + ' ';
  for (size_t i = 0; i < hosts.size(); ++i) {
    if (i > 0 && hosts[i]->preference != hosts[i - 1]->preference) lane += '>';
    AppendProof(*hosts[i], &lane);
  }
  return lane;
}

}  // namespace godwit::delivery_queue
