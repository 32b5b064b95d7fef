#include "libs/dmarc/destinations.h"

#include <catch2/catch.hpp>

#include "libs/testing/fake_zone.h"

namespace godwit::dmarc {
namespace {

using Names = std::vector<std::string>;

Destinations Find(const testing::FakeZone& zone, const Names& uris, Mode mode = Mode::kTreeWalk) {
  return testing::Evaluate(zone, [&](const auto& answers) {
    return FindDestinations("blue.example.com", uris, Options{.mode = mode, .sample = 0}, answers);
  });
}

Names Addresses(const Destinations& found) {
  Names addresses;
  for (const Destination& each : found.confirmed) addresses.push_back(each.address);
  return addresses;
}

TEST_CASE("RFC 9989 §4.6: report addresses in URIs", "[dmarc][unit]") {
  struct Row {
    std::string uri;
    std::string address;  // "": none
  };
  const auto row = GENERATE(values<Row>({
      {"mailto:a@x.example", "a@x.example"},
      {"MAILTO:A@X.Example", "A@x.example"},
      {"mailto:a@x.example!10m", "a@x.example"},
      {"mailto:a%21b@x.example?subject=hello", "a!b@x.example"},
      {"mailto:a@b\xc3\xbc\x63her.example", "a@xn--bcher-kva.example"},
      {"https://x.example/report", ""},
      {"mailto:", ""},
      {"mailto:a", ""},
      {"mailto:@x.example", ""},
      {"mailto:a@", ""},
      {"mailto:a@[192.0.2.1]", ""},
      {"mailto:a@x.example,b@y.example", ""},
      {"mailto:a%40y.example@x.example", ""},
      {"mailto:a%0d%0aBcc:b@x.example", ""},
      {"mailto:a%4@x.example", ""},
      {"mailto:a..b@x.example", ""},
      {"mailto:\"a\"@x.example", ""},
      {"mailto:<a@x.example>", ""},
  }));
  CAPTURE(row.uri);
  const auto destination = ParseReportUri(row.uri, Mode::kTreeWalk);
  CHECK((destination ? destination->address : "") == row.address);
}

TEST_CASE("RFC 7489 §6.2: the size suffix counts; RFC 9989 §4.8: it does not", "[dmarc][unit]") {
  struct Row {
    std::string suffix;
    std::optional<uint64_t> octets;
  };
  const auto row = GENERATE(values<Row>({{"", std::nullopt},
                                         {"!10", 10},
                                         {"!50k", 50 << 10},
                                         {"!10M", 10 << 20},
                                         {"!1g", 1ULL << 30},
                                         {"!2t", 2ULL << 40},
                                         {"!", std::nullopt},
                                         {"!m", std::nullopt},
                                         {"!10x", std::nullopt},
                                         {"!99999999999999999999", std::nullopt},
                                         {"!99999999999t", std::nullopt}}));
  CAPTURE(row.suffix);
  const std::string uri = "mailto:a@x.example" + row.suffix;
  CHECK(ParseReportUri(uri, Mode::kPublicSuffixList)->most_octets == row.octets);
  CHECK(!ParseReportUri(uri, Mode::kTreeWalk)->most_octets);
}

TEST_CASE("RFC 9990 §4: within the organizational domain nobody is asked", "[dmarc][unit]") {
  const testing::FakeZone zone(R"(
    _dmarc.example.com  TXT "v=DMARC1; p=reject"
  )");
  const auto found = Find(zone, {"mailto:a@blue.example.com", "mailto:b@example.com",
                                 "mailto:c@red.example.com", "mailto:a@blue.example.com!1m"});
  CHECK(Addresses(found) == Names{"a@blue.example.com", "b@example.com", "c@red.example.com"});
  CHECK(found.refused.empty());
  CHECK(!found.temp_error);
  // By the list (RFC 7489 §3.2) without any record.
  CHECK(Addresses(Find({}, {"mailto:b@example.com"}, Mode::kPublicSuffixList)).size() == 1);
  CHECK(Addresses(Find({}, {"mailto:b@example.com"})).empty());
}

TEST_CASE("RFC 9990 §4: others have to agree", "[dmarc][unit]") {
  const testing::FakeZone zone(R"(
    blue.example.com._report._dmarc.yes.example  TXT "v=DMARC1"
    *._report._dmarc.all.example                 TXT "v=DMARC1;"
    blue.example.com._report._dmarc.no.example   TXT "v=spf1 -all"
    blue.example.com._report._dmarc.both.example TXT "other text"
    blue.example.com._report._dmarc.both.example TXT "v=DMARC1; rua=mailto:new@both.example"
    blue.example.com._report._dmarc.away.example TXT "v=DMARC1; rua=mailto:x@victim.example"
    blue.example.com._report._dmarc.slow.example TEMPFAIL
  )");
  CHECK(Addresses(Find(zone, {"mailto:a@yes.example", "mailto:b@all.example"})) ==
        Names{"a@yes.example", "b@all.example"});
  const auto none =
      Find(zone, {"mailto:a@no.example", "mailto:b@absent.example", "https://x.example/"});
  CHECK((none.confirmed.empty() && none.refused.size() == 3));
  CHECK(none.refused[1] ==
        "mailto:b@absent.example: no record blue.example.com._report._dmarc.absent.example");
  // Step 9: its own address instead, and never somebody else's.
  CHECK(Addresses(Find(zone, {"mailto:old@both.example"})) == Names{"new@both.example"});
  CHECK(Addresses(Find(zone, {"mailto:old@away.example"})).empty());
  const auto slow = Find(zone, {"mailto:a@slow.example", "mailto:a@yes.example"});
  CHECK((slow.temp_error && slow.confirmed.size() == 1));
}

TEST_CASE("A name too long for the DNS can not agree", "[dmarc][unit]") {
  std::string domain = "example";
  while (domain.size() < 235) domain = "aaaaaaaa." + domain;
  CHECK(Find({}, {"mailto:a@" + domain}).refused.size() == 1);
}

}  // namespace
}  // namespace godwit::dmarc
