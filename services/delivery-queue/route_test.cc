#include "services/delivery-queue/route.h"

#include <algorithm>
#include <catch2/catch.hpp>

namespace godwit::delivery_queue {
namespace {

RouteHost Host(const std::string& name, uint32_t preference = 10) {
  RouteHost host;
  host.name = name;
  host.preference = preference;
  return host;
}

Route To(std::vector<RouteHost> hosts) {
  Route route;
  route.hosts = std::move(hosts);
  return route;
}

// tls-policy shuffles hosts of one preference at each look-up: a domain with six of them was up to
// 720 sites, each with connections and messages of its own.
TEST_CASE("A site is the hosts, whatever their order", "[delivery-queue][unit]") {
  const Route one = To({Host("a"), Host("b"), Host("c")});
  const Route other = To({Host("c"), Host("a"), Host("b")});
  CHECK(SiteOf(one) == SiteOf(other));
  CHECK(LaneOf(one) == LaneOf(other));
  Route port = one;
  port.port = 26;
  CHECK(SiteOf(one) != SiteOf(port));
  Route own = one;
  own.kind = RouteKind::kInternal;
  CHECK(SiteOf(one) != SiteOf(own));
  CHECK(SiteOf(one) != SiteOf(To({Host("a"), Host("b")})));
  // Another order of preference is the same site, but not to be served by one connection.
  const Route backwards = To({Host("b", 10), Host("a", 20)});
  const Route forwards = To({Host("a", 10), Host("b", 20)});
  CHECK(SiteOf(forwards) == SiteOf(backwards));
  CHECK(LaneOf(forwards) != LaneOf(backwards));
}

// RFC 7672 §3.2.2: with DANE-TA a certificate for the recipient's domain is good, too. Who pointed
// a domain of his own at another's host, and got a certificate of the same CA, could take the mail
// of the other domain over a connection that was opened for his.
TEST_CASE("What one domain proves is no proof for another", "[delivery-queue][unit]") {
  RouteHost host = Host("mx.v.example");
  host.need = TlsNeed::kDane;
  host.tlsa = {{2, 1, 1, "hash"}};
  host.tlsa_base = "mx.v.example";
  host.tls_names = {"mx.v.example", "v.example"};
  RouteHost evil = host;
  evil.tls_names = {"mx.v.example", "evil.example"};
  CHECK(SiteOf(To({host})) == SiteOf(To({evil})));
  CHECK(LaneOf(To({host})) != LaneOf(To({evil})));
  // RFC 7672 §3.1.1: DANE-EE looks at no name.
  host.tlsa[0].usage = evil.tlsa[0].usage = 3;
  CHECK(LaneOf(To({host})) == LaneOf(To({evil})));

  const RouteHost plain = Host("mx.v.example");
  auto differs = [&](auto change) {
    RouteHost changed = plain;
    change(&changed);
    CHECK(SiteOf(To({plain})) == SiteOf(To({changed})));
    CHECK(LaneOf(To({plain})) != LaneOf(To({changed})));
  };
  differs([](RouteHost* h) { h->need = TlsNeed::kMtaSts; });
  differs([](RouteHost* h) { h->verify_and_report = true; });
  differs([](RouteHost* h) { h->name_proven = true; });
  differs([](RouteHost* h) { h->unusable_result = 6; });
}

}  // namespace
}  // namespace godwit::delivery_queue
