#include "services/delivery-queue/route.h"

#include "libs/base/encoding.h"

namespace godwit::delivery_queue {
namespace {

void AppendTlsa(const RouteHost& host, std::string* site) {
  for (const base::DnsTlsa& record : host.tlsa) {
    *site += ' ';
    *site += std::to_string(record.usage) + std::to_string(record.selector) +
             std::to_string(record.matching) + base::HexEncode(record.data);
  }
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

std::string SiteOf(const std::vector<RouteHost>& hosts, uint16_t port) {
  std::string site;
  for (const RouteHost& host : hosts) {
    site += host.name + '/' + std::to_string(static_cast<int>(host.need));
    AppendTlsa(host, &site);
    site += ';';
  }
  return site + std::to_string(port);
}

}  // namespace godwit::delivery_queue
