// Where mail goes and what each host must prove, over zones in text.

#include "services/tls-policy/route.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/testing/fake_zone.h"
#include "services/tls-policy/decision.h"

namespace godwit::tls_policy {
namespace {

using testing::FakeZone;

const std::string kDigest(64, 'a');

Route Find(const FakeZone& zone, std::string domain = "x.example", uint16_t port = 25,
           bool host_only = false, int* asked = nullptr) {
  const RouteQuery query{std::move(domain), port, host_only};
  return testing::Evaluate(
      zone, [&](const base::DnsAnswers& answers) { return FindRoute(query, answers); }, asked);
}

std::string Hosts(const Route& route) {
  std::string out;
  for (const RouteHost& host : route.hosts) {
    if (!out.empty()) out += ' ';
    out += host.name;
    for (const auto& address : host.addresses) out += '/' + address.ToString();
  }
  return out;
}

TEST_CASE("MX hosts come by preference, with their addresses", "[tls_policy][unit]") {
  const Route route = Find(FakeZone(R"(
    x.example    MX 20 b.x.example
    x.example    MX 10 a.x.example
    x.example    MX 30 gone.x.example
    a.x.example  A 192.0.2.1
    a.x.example  A 192.0.2.2
    a.x.example  AAAA 2001:db8::1
    b.x.example  60 A 192.0.2.3
  )"));
  CHECK(route.outcome == Route::Outcome::kOk);
  CHECK(Hosts(route) == "a.x.example/2001:db8::1/192.0.2.1/192.0.2.2 b.x.example/192.0.2.3");
  CHECK(!route.implicit_mx);
  CHECK(route.ttl <= absl::Seconds(60));
}

TEST_CASE("Without MX the domain is its own host", "[tls_policy][unit]") {
  Route route = Find(FakeZone("x.example A 192.0.2.1"));
  CHECK(route.implicit_mx);
  CHECK(Hosts(route) == "x.example/192.0.2.1");
  // RFC 5321 §5.1: an alias first.
  route =
      Find(FakeZone("x.example CNAME y.example\n y.example MX 1 m.y.example\n"
                    "m.y.example A 192.0.2.1"));
  CHECK(Hosts(route) == "m.y.example/192.0.2.1");
}

TEST_CASE("A host that is named asks for no MX", "[tls_policy][unit]") {
  const Route route =
      Find(FakeZone("x.example MX 1 other.example\n x.example A 192.0.2.1"), "x.example", 25, true);
  CHECK(Hosts(route) == "x.example/192.0.2.1");
  CHECK(route.hosts.at(0).mx_secure);
}

TEST_CASE("Ends of the route", "[tls_policy][unit]") {
  using Outcome = Route::Outcome;
  const auto [zone, outcome] = GENERATE(table<std::string, Outcome>({
      {"x.example MX 0 .", Outcome::kNullMx},
      // RFC 7505 §3: beside other records it says nothing.
      {"x.example MX 0 .\nx.example MX 5 a.x.example\na.x.example A 192.0.2.1", Outcome::kOk},
      {"", Outcome::kNoDomain},
      {"x.example TXT \"v=spf1 -all\"", Outcome::kNoDomain},
      {"x.example MX 5 a.x.example", Outcome::kNoDomain},
      {"x.example MX 5 192.0.2.1", Outcome::kNoDomain},
      {"x.example TEMPFAIL", Outcome::kTemporary},
  }));
  CAPTURE(zone);
  const Route route = Find(FakeZone(zone));
  CHECK(route.outcome == outcome);
  CHECK(route.reason.empty() == (outcome == Outcome::kOk));
  CHECK(route.hosts.empty() == (outcome != Outcome::kOk));
}

TEST_CASE("A host whose addresses fail stays, unusable", "[tls_policy][unit]") {
  const Route route = Find(FakeZone(R"(
    x.example    MX 10 a.x.example
    x.example    MX 20 b.x.example
    a.x.example  TEMPFAIL
    b.x.example  A 192.0.2.3
  )"));
  CHECK(Hosts(route) == "a.x.example b.x.example/192.0.2.3");
  const auto decisions = Decide("x.example", route, {});
  CHECK(decisions.at(0).requirement == Requirement::kUnusable);
  CHECK(!decisions.at(0).reason.empty());
  CHECK(decisions.at(1).requirement == Requirement::kOpportunistic);
}

TEST_CASE("Names that are none never come out", "[tls_policy][unit]") {
  FakeZone zone;
  base::DnsAnswer answer;
  answer.outcome = base::DnsOutcome::kOk;
  answer.mx = {{1, "a b\r\nx"}, {2, "*.example"}};
  zone.Override({"x.example", base::DnsType::kMx}, answer);
  CHECK(Find(zone).outcome == Route::Outcome::kNoDomain);
}

TEST_CASE("A hundred MX records cost no more than the bound", "[tls_policy][unit]") {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "m" + std::to_string(i) + ".x.example";
    text += "x.example MX " + std::to_string(i) + " " + name + "\n" + name + " A 192.0.2.1\n";
  }
  int asked = 0;
  const Route route = Find(FakeZone(text), "x.example", 25, false, &asked);
  CHECK(route.hosts.size() == kMostHosts);
  CHECK(asked == 1 + 2 * static_cast<int>(kMostHosts));
}

// --- DANE

struct DaneRow {
  std::string name;
  std::string zone;
  TlsaStatus status;
  Requirement requirement;
};

TEST_CASE("RFC 7672 §2.2: when DANE applies", "[tls_policy][unit]") {
  const std::string mx = "x.example MX 10 m.x.example\n";
  const std::string a = "m.x.example A 192.0.2.1\n";
  const std::string tlsa = "_25._tcp.m.x.example TLSA 3 1 1 " + kDigest + "\n";
  const std::string all = mx + a + tlsa;
  const DaneRow row = GENERATE_COPY(values<DaneRow>({
      {"all signed", all + "x.example SIGNED", TlsaStatus::kSecure, Requirement::kDane},
      {"nothing signed", all, TlsaStatus::kNone, Requirement::kOpportunistic},
      {"no records", mx + a + "x.example SIGNED", TlsaStatus::kNone, Requirement::kOpportunistic},
      {"MX insecure, host secure",
       "x.example MX 10 m.y.example\nm.y.example A 192.0.2.1\n_25._tcp.m.y.example TLSA 3 1 1 " +
           kDigest + "\ny.example SIGNED",
       TlsaStatus::kNone, Requirement::kOpportunistic},
      {"MX secure, host insecure",
       "x.example MX 10 m.y.example\nm.y.example A 192.0.2.1\n_25._tcp.m.y.example TLSA 3 1 1 " +
           kDigest + "\nx.example SIGNED",
       TlsaStatus::kNone, Requirement::kOpportunistic},
      {"records none of which can be used",
       mx + a + "_25._tcp.m.x.example TLSA 1 1 1 " + kDigest + "\nx.example SIGNED",
       TlsaStatus::kUnusable, Requirement::kEncrypt},
      {"bogus records", mx + a + "_25._tcp.m.x.example TEMPFAIL\nx.example SIGNED",
       TlsaStatus::kTempFail, Requirement::kUnusable},
      {"bogus records of an insecure host", mx + a + "_25._tcp.m.x.example TEMPFAIL",
       TlsaStatus::kNone, Requirement::kOpportunistic},
      // RFC 7672 §2.2.2, §2.2.3: aliases.
      {"alias, records at its end",
       mx +
           "m.x.example CNAME r.x.example\nr.x.example A 192.0.2.1\n_25._tcp.r.x.example TLSA 3 1 "
           "1 " +
           kDigest + "\nx.example SIGNED",
       TlsaStatus::kSecure, Requirement::kDane},
      {"alias, records at the name",
       mx + "m.x.example CNAME r.x.example\nr.x.example A 192.0.2.1\n" + tlsa + "x.example SIGNED",
       TlsaStatus::kSecure, Requirement::kDane},
      {"alias into an insecure zone, records at the secure name",
       mx + "m.x.example CNAME r.y.example\nr.y.example A 192.0.2.1\n" + tlsa + "x.example SIGNED",
       TlsaStatus::kSecure, Requirement::kDane},
      {"alias, bogus at its end",
       mx + "m.x.example CNAME r.x.example\nr.x.example A 192.0.2.1\n" + tlsa +
           "_25._tcp.r.x.example TEMPFAIL\nx.example SIGNED",
       TlsaStatus::kTempFail, Requirement::kUnusable},
      {"implicit MX",
       "x.example A 192.0.2.1\n_25._tcp.x.example TLSA 3 1 1 " + kDigest + "\nx.example SIGNED",
       TlsaStatus::kSecure, Requirement::kDane},
  }));
  CAPTURE(row.name);
  const Route route = Find(FakeZone(row.zone));
  REQUIRE(route.hosts.size() == 1);
  CHECK(route.hosts[0].tlsa_status == row.status);
  const auto decision = Decide("x.example", route, {}).at(0);
  CHECK(decision.requirement == row.requirement);
  const bool dane = row.requirement == Requirement::kDane;
  CHECK((decision.report.type == PolicyType::kTlsa) == (row.status != TlsaStatus::kNone));
  CHECK(decision.report.policy ==
        (dane ? std::vector<std::string>{"3 1 1 " + kDigest} : std::vector<std::string>{}));
}

TEST_CASE("One address family that fails does not take DANE away", "[tls_policy][unit]") {
  // Else suppressing the A answer would be enough to have mail sent in the clear over IPv6.
  FakeZone zone(
      "x.example MX 10 m.x.example\nm.x.example AAAA 2001:db8::1\nx.example SIGNED\n"
      "_25._tcp.m.x.example TLSA 3 1 1 " +
      kDigest);
  zone.Override({"m.x.example", base::DnsType::kA}, testing::TempFail("timeout"));
  const Route route = Find(zone);
  CHECK(Hosts(route) == "m.x.example/2001:db8::1");
  CHECK(route.hosts.at(0).tlsa_status == TlsaStatus::kSecure);
}

TEST_CASE("Names and base of DANE, and the port of its records", "[tls_policy][unit]") {
  const Route route = Find(FakeZone("x.example CNAME z.example\nz.example MX 10 m.x.example\n"
                                    "m.x.example CNAME r.y.example\nr.y.example A 192.0.2.1\n"
                                    "_2525._tcp.r.y.example TLSA 2 0 1 " +
                                    kDigest + "\nexample SIGNED"),
                           "x.example", 2525);
  const RouteHost& host = route.hosts.at(0);
  CHECK(host.name == "m.x.example");
  CHECK(host.tlsa_base == "r.y.example");
  CHECK(host.tls_names == std::vector<std::string>{"r.y.example", "x.example", "z.example"});
}

// --- MTA-STS

StsState Sts(mtasts::Mode mode, std::vector<std::string> mx) {
  StsState state;
  state.policy = mtasts::CachedPolicy{
      "one", {mode, std::move(mx), absl::Hours(24)}, absl::FromUnixSeconds(1'700'000'000)};
  return state;
}

TEST_CASE("MTA-STS decides about hosts that DANE does not speak of", "[tls_policy][unit]") {
  using mtasts::Mode;
  const Route route = Find(FakeZone("x.example MX 10 m.x.example\nm.x.example A 192.0.2.1"));
  const auto decide = [&](const StsState& sts) { return Decide("x.example", route, sts).at(0); };

  HostDecision decision = decide(Sts(Mode::kEnforce, {"*.x.example"}));
  CHECK(decision.requirement == Requirement::kMtaSts);
  CHECK(decision.mta_sts_matched);
  CHECK(decision.report.type == PolicyType::kSts);
  CHECK(decision.report.policy == std::vector<std::string>{"version: STSv1", "mode: enforce",
                                                           "mx: *.x.example", "max_age: 86400"});
  CHECK(decision.report.mx_patterns == std::vector<std::string>{"*.x.example"});

  decision = decide(Sts(Mode::kEnforce, {"other.example"}));
  CHECK(decision.requirement == Requirement::kUnusable);
  CHECK(decision.unusable_result == TlsResult::kValidationFailure);

  decision = decide(Sts(Mode::kTesting, {"other.example"}));
  CHECK(decision.requirement == Requirement::kOpportunistic);
  CHECK(decision.mta_sts_testing);
  CHECK(!decision.mta_sts_matched);
  CHECK(decision.unusable_result == TlsResult::kValidationFailure);
  CHECK(decision.report.type == PolicyType::kSts);

  decision = decide(Sts(Mode::kNone, {}));
  CHECK(decision.requirement == Requirement::kOpportunistic);
  CHECK(!decision.mta_sts_testing);
  CHECK(decision.report.type == PolicyType::kNone);

  StsState failed;
  failed.failure = TlsResult::kStsFetchError;
  decision = decide(failed);
  CHECK(decision.requirement == Requirement::kOpportunistic);
  CHECK(decision.report.type == PolicyType::kSts);
  CHECK(decision.report.failure == TlsResult::kStsFetchError);
}

TEST_CASE("DANE goes before MTA-STS, in both directions", "[tls_policy][unit]") {
  const std::string zone =
      "x.example MX 10 m.x.example\nm.x.example A 192.0.2.1\nx.example SIGNED\n";
  const StsState enforce = Sts(mtasts::Mode::kEnforce, {"m.x.example"});
  const auto decide = [&](const std::string& more) {
    return Decide("x.example", Find(FakeZone(zone + more)), enforce).at(0).requirement;
  };
  CHECK(decide("") == Requirement::kMtaSts);
  CHECK(decide("_25._tcp.m.x.example TLSA 3 1 1 " + kDigest) == Requirement::kDane);
  // RFC 8461 §2: a policy does not help over a DANE lookup that fails.
  CHECK(decide("_25._tcp.m.x.example TEMPFAIL") == Requirement::kUnusable);
  // Records that can't be used say "TLS"; the policy says more.
  CHECK(decide("_25._tcp.m.x.example TLSA 0 1 1 " + kDigest) == Requirement::kMtaSts);
}

}  // namespace
}  // namespace godwit::tls_policy
