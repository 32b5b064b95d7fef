#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/dmarc/author.h"
#include "libs/dmarc/evaluate.h"
#include "libs/dmarc/public_suffix.h"
#include "libs/dmarc/record.h"
#include "libs/testing/fake_zone.h"

namespace godwit::dmarc {
namespace {

using Names = std::vector<std::string>;

Result Run(const testing::FakeZone& zone, const Input& input, Options options = {},
           int* asked = nullptr) {
  return testing::Evaluate(
      zone, [&](const auto& answers) { return Evaluate(input, options, answers); }, asked);
}

Identifier Dkim(const std::string& domain, Outcome outcome = Outcome::kPass) {
  return {Mechanism::kDkim, domain, outcome};
}
Identifier Spf(const std::string& domain, Outcome outcome = Outcome::kPass) {
  return {Mechanism::kSpf, domain, outcome};
}

TEST_CASE("RFC 9989 §4.7, §4.8: records", "[dmarc][unit]") {
  const auto record = ParseRecord(
      "v=DMARC1 ; p = Reject; sp=quarantine;np=none; adkim=s; aspf=S; psd=n; t=y; pct=20; "
      "fo=1:d; rua=mailto:a@x.example , https://x.example/r!10m; ruf=nothing; ri=3600; zz=1");
  REQUIRE(record);
  CHECK(record->policy == Policy::kReject);
  CHECK(record->subdomain_policy == Policy::kQuarantine);
  CHECK(record->missing_policy == Policy::kNone);
  CHECK(record->dkim == Alignment::kStrict);
  CHECK(record->spf == Alignment::kStrict);
  CHECK(record->public_suffix == PublicSuffix::kNo);
  CHECK(record->testing);
  CHECK(record->percent == 20);
  CHECK(record->rua == Names{"mailto:a@x.example", "https://x.example/r!10m"});
  CHECK(record->ruf.empty());
  CHECK(record->report_interval == 3600);
  const auto bare = ParseRecord("v=DMARC1");
  REQUIRE(bare);
  CHECK(bare->policy == Policy::kNone);
  const auto errors = ParseRecord("v=DMARC1; p=reject; adkim=x; psd=maybe; t; ;;pct=101");
  REQUIRE(errors);
  CHECK(errors->policy == Policy::kReject);
  CHECK(errors->percent == 100);
}

TEST_CASE("RFC 9989 §4.7: texts that are no DMARC record", "[dmarc][unit]") {
  const std::string text = GENERATE(as<std::string>(), "", "v=DMARC2; p=none", "v=dmarc1; p=none",
                                    "p=none; v=DMARC1", "v=DMARC1p=none", "v=spf1 -all");
  CAPTURE(text);
  CHECK_FALSE(IsDmarcRecord(text));
  CHECK_FALSE(ParseRecord(text));
}

TEST_CASE("RFC 9989 §4.10.1: policies that can't be used", "[dmarc][unit]") {
  CHECK_FALSE(ParseRecord("v=DMARC1; p=rejekt"));
  CHECK_FALSE(ParseRecord("v=DMARC1; p=reject; sp=x"));
  CHECK_FALSE(ParseRecord("v=DMARC1; p=reject; np=x; rua=x"));
  const auto record = ParseRecord("v=DMARC1; p=reject; sp=x; rua=mailto:a@b.example");
  REQUIRE(record);
  CHECK(record->policy == Policy::kNone);
}

TEST_CASE("RFC 9989 §5.3.1: the author domains", "[dmarc][unit]") {
  struct Row {
    std::string from;
    Names want;
  };
  const Names org = {"example.org"};
  const Row row = GENERATE_COPY(values<Row>({
      {" ann@example.org", org},
      {"Ann <ann@Example.ORG>", org},
      {"\"b, c\" <ann@example.org>", org},
      {"ann@evil.example <ann@example.org>", org},
      {"ann (at home (now)) @ example . org (x)", org},
      {"\"a@evil.example\"@example.org", org},
      {"<@r1.example,@r2.example:ann@example.org>", org},
      {"a@example.org,\r\n B <b@EXAMPLE.org>", org},
      {"team: a@example.org, b@example.org;", org},
      {"J\xc3\xbcrgen <j@b\xc3\xbc"
       "cher.example>",
       {"xn--bcher-kva.example"}},
      {"=?utf-8?q?=3Ca=40evil.example=3E?= <ann@example.org>", org},
      {"Dr. A. B <ann@example.org>", org},
      {"Smith, John <j@example.org>", org},
      {"Smith, \"J.\", x@y <j@example.org>, b@example.com", {"example.org", "example.com"}},
      {"a@example.org, b@example.com, c@example.org", {"example.org", "example.com"}},
      {"a@example.org, Undisclosed:;", org},
      {"ann@example.org.", org},
      {"Undisclosed:;", {}},
      {"\"Not you\" : (nobody) ; ", {}},
  }));
  CAPTURE(row.from);
  const auto domains = AuthorDomains({row.from});
  REQUIRE(domains.ok());
  CHECK(*domains == row.want);
}

// Each of these once went past a policy of p=reject: the author could not be determined, so DMARC
// was said not to apply, and the client showed the forged address all the same.
TEST_CASE("RFC 9989 §11.5: a From that can't be read is an error, not an exemption",
          "[dmarc][unit]") {
  const std::string from = GENERATE(
      values<std::string>({"",
                           ",",
                           "ann",
                           "Smith, John, a@example.org",
                           "a@example.org, Smith",
                           "<>",
                           "ann@[192.0.2.1]",
                           "ann@example.org..",
                           "ann@.",
                           "ann@example..org",
                           "ann@example org",
                           "Ann <ann@example.org> x",
                           "<<ann@example.org>>",
                           "Ann <ann@example.org",
                           "Ann <ann@example.org> <b@example.com>",
                           "a: b: c@example.org;;",
                           "a: b@example.org, Smith;",
                           "ann@example.org:;",
                           ":;",
                           "<ann@example.org>:;",
                           "(never closed ann@example.org",
                           "\"never closed <ann@example.org>",
                           "a@b@example.org",
                           "@example.org",
                           std::string("ann@example.org\0", 16),
                           std::string("ann@example.org\0 <ann@example.com>", 34),
                           "ann@example.org\x7f",
                           "a@a.example, a@b.example, a@c.example, a@d.example, a@e.example, "
                           "a@f.example"}));
  CAPTURE(from);
  CHECK_FALSE(AuthorDomains({from}).ok());
}

TEST_CASE("RFC 9989 §5.3.1: there is one From field", "[dmarc][unit]") {
  CHECK_FALSE(AuthorDomains({}).ok());
  CHECK_FALSE(AuthorDomains({"a@example.org", "a@example.org"}).ok());
  std::string many;
  for (int i = 0; i < 65; ++i) many += "a@example.org,";
  CHECK_FALSE(AuthorDomains({many}).ok());
}

TEST_CASE("RFC 9989 §4.10: the names of a walk", "[dmarc][unit]") {
  CHECK(TreeWalkNames("com") == Names{"com"});
  CHECK(TreeWalkNames("a.mail.example.com") ==
        Names{"a.mail.example.com", "mail.example.com", "example.com", "com"});
  CHECK(TreeWalkNames("a.b.c.d.e.f.g.h.i.j.mail.example.com") ==
        Names{"a.b.c.d.e.f.g.h.i.j.mail.example.com", "g.h.i.j.mail.example.com",
              "h.i.j.mail.example.com", "i.j.mail.example.com", "j.mail.example.com",
              "mail.example.com", "example.com", "com"});
  CHECK(TreeWalkNames("1.2.3.4.5.6.7.8").size() == 8);
}

TEST_CASE("RFC 9989 §4.10.2: the examples of organizational domains", "[dmarc][unit]") {
  struct Row {
    std::string zone;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({
      {"_dmarc.mail.example.com TXT \"v=DMARC1\"\n_dmarc.example.com TXT \"v=DMARC1\"",
       "example.com"},
      {"_dmarc.mail.example.com TXT \"v=DMARC1; psd=n\"\n_dmarc.example.com TXT \"v=DMARC1\"",
       "mail.example.com"},
      {"_dmarc.com TXT \"v=DMARC1; psd=y\"", "example.com"},
      {"_dmarc.com TXT \"v=DMARC1\"\n_dmarc.com TXT \"v=DMARC1; psd=y\"", "a.mail.example.com"},
      {"_dmarc.a.mail.example.com TXT \"v=DMARC1; psd=y\"\n_dmarc.com TXT \"v=DMARC1\"",
       "a.mail.example.com"},
      {"_dmarc.example.com TXT \"v=DMARC1; psd=y\"", "mail.example.com"},
      {"", "a.mail.example.com"},
  }));
  CAPTURE(row.zone);
  const Result result = Run(testing::FakeZone(row.zone), {"a.mail.example.com", {}});
  CHECK(result.organizational_domain == row.want);
}

TEST_CASE("RFC 9989 §4.10.1: where the policy comes from", "[dmarc][unit]") {
  struct Row {
    std::string author;
    std::string policy_domain;
    Policy policy;
    std::string tag;
  };
  const testing::FakeZone zone(R"(
    _dmarc.example.org        TXT "v=DMARC1; p=reject; sp=quarantine; np=reject"
    _dmarc.own.example.org    TXT "v=DMARC1; p=none"
    there.example.org         A 192.0.2.1
    mxonly.example.org        MX 0 there.example.org
    _dmarc.gov.test           TXT "v=DMARC1; p=none; np=reject; psd=y"
    agency.gov.test           A 192.0.2.1
    slow.example.org          TEMPFAIL
  )");
  const Row row = GENERATE(values<Row>({
      {"example.org", "example.org", Policy::kReject, "p"},
      {"own.example.org", "own.example.org", Policy::kNone, "p"},
      {"there.example.org", "example.org", Policy::kQuarantine, "sp"},
      {"mxonly.example.org", "example.org", Policy::kQuarantine, "sp"},
      {"missing.example.org", "example.org", Policy::kReject, "np"},
      {"slow.example.org", "example.org", Policy::kQuarantine, "sp"},
      {"agency.gov.test", "gov.test", Policy::kNone, "p"},
      {"missing.gov.test", "gov.test", Policy::kReject, "np"},
      {"gov.test", "gov.test", Policy::kNone, "p"},
  }));
  CAPTURE(row.author);
  const Result result = Run(zone, {row.author, {}});
  CHECK(result.code == ResultCode::kFail);
  CHECK(result.policy_domain == row.policy_domain);
  CHECK(result.policy == row.policy);
  CHECK(result.policy_tag == row.tag);
  CHECK(result.disposition == row.policy);
}

TEST_CASE("RFC 9989 §4.4: alignment", "[dmarc][unit]") {
  struct Row {
    std::string tags;
    std::vector<Identifier> identifiers;
    ResultCode code;
  };
  const Row row = GENERATE(values<Row>({
      {"", {Dkim("news.example.org")}, ResultCode::kPass},
      {"", {Dkim("example.org")}, ResultCode::kPass},
      {"", {Dkim("other.example.org")}, ResultCode::kPass},
      {"", {Dkim("example.com")}, ResultCode::kFail},
      {"", {Dkim("org")}, ResultCode::kFail},
      {"", {Dkim("own.example.org")}, ResultCode::kFail},  // psd=n: another organization
      {"", {Dkim("example.org", Outcome::kFail)}, ResultCode::kFail},
      {"", {Spf("bounces.example.org")}, ResultCode::kPass},
      {"", {Spf("example.com"), Dkim("example.com"), Dkim("example.org")}, ResultCode::kPass},
      {"adkim=s;", {Dkim("example.org")}, ResultCode::kFail},
      {"adkim=s;", {Spf("example.org")}, ResultCode::kPass},
      {"aspf=s;", {Spf("example.org")}, ResultCode::kFail},
      {"adkim=s;", {Dkim("news.example.org")}, ResultCode::kPass},
      {"", {Dkim("example.org", Outcome::kTempError)}, ResultCode::kTempError},
      {"", {Dkim("example.com", Outcome::kTempError)}, ResultCode::kFail},
      {"", {Dkim("example.org", Outcome::kTempError), Spf("example.org")}, ResultCode::kPass},
  }));
  testing::FakeZone zone(
      "_dmarc.own.example.org TXT \"v=DMARC1; psd=n\"\nnews.example.org A 192.0.2.1");
  zone.Add("_dmarc.example.org TXT \"v=DMARC1; " + row.tags + " p=reject\"");
  CAPTURE(row.tags, row.identifiers.size());
  const Result result = Run(zone, {"news.example.org", row.identifiers});
  CHECK(result.code == row.code);
  CHECK((result.disposition == Policy::kReject) == (row.code == ResultCode::kFail));
}

TEST_CASE("RFC 9989 §4.7: t=y asks for one level less", "[dmarc][unit]") {
  testing::FakeZone zone(
      "_dmarc.a.example TXT \"v=DMARC1; p=reject; t=y\"\n_dmarc.b.example TXT \"v=DMARC1; "
      "p=quarantine; t=y\"");
  CHECK(Run(zone, {"a.example", {}}).disposition == Policy::kQuarantine);
  CHECK(Run(zone, {"a.example", {}}).policy == Policy::kReject);
  CHECK(Run(zone, {"b.example", {}}).disposition == Policy::kNone);
}

TEST_CASE("RFC 9989 §4.10.1: no record, no answer, no usable record", "[dmarc][unit]") {
  testing::FakeZone zone("_dmarc.slow.example TEMPFAIL\n_dmarc.bad.example TXT \"v=DMARC1; p=x\"");
  CHECK(Run(zone, {"none.example", {}}).code == ResultCode::kNone);
  const Result slow = Run(zone, {"slow.example", {Dkim("slow.example")}});
  CHECK(slow.code == ResultCode::kTempError);
  CHECK(slow.disposition == Policy::kNone);
  CHECK(Run(zone, {"bad.example", {}}).code == ResultCode::kPermError);
}

TEST_CASE("RFC 9989 §5.3.2: what a temporary error could turn into", "[dmarc][unit]") {
  testing::FakeZone zone(
      "_dmarc.a.example TXT \"v=DMARC1; p=reject\"\n"
      "_dmarc.b.example TXT \"v=DMARC1; p=none\"\n"
      "_dmarc.t.example TXT \"v=DMARC1; p=reject; t=y\"\n"
      "_dmarc.slow.example TEMPFAIL");
  const auto worst = [&](const std::string& domain) {
    const Result result = Run(zone, {domain, {Dkim(domain, Outcome::kTempError)}});
    CHECK(result.code == ResultCode::kTempError);
    CHECK(result.disposition == Policy::kNone);
    return result.worst;
  };
  CHECK(worst("a.example") == Policy::kReject);
  CHECK(worst("b.example") == Policy::kNone);
  CHECK(worst("t.example") == Policy::kQuarantine);
  CHECK(worst("slow.example") == Policy::kReject);
  CHECK(Run(zone, {"a.example", {}}).worst == Policy::kNone);
}

TEST_CASE("A walk asks at most eight names, in one round", "[dmarc][unit]") {
  int asked = 0;
  Run(testing::FakeZone(), {"a.b.c.d.e.f.g.h.i.j.k.example", {}}, {}, &asked);
  CHECK(asked == 8);
  const auto step = Evaluate({"a.b.example", {}}, {}, {});
  CHECK(std::get<1>(step).size() == 3);
}

TEST_CASE("RFC 7489 §3.2, §6.6.3: the old way, by the list", "[dmarc][unit]") {
  CHECK(OrganizationalDomainByList("a.b.example.co.uk") == "example.co.uk");
  CHECK(OrganizationalDomainByList("co.uk") == "co.uk");
  Options options;
  options.mode = Mode::kPublicSuffixList;
  testing::FakeZone zone("_dmarc.example.co.uk TXT \"v=DMARC1; p=reject; sp=quarantine; pct=30\"");
  const Input input{"a.b.example.co.uk", {Dkim("example.com")}};
  CHECK(Run(zone, input, options).disposition == Policy::kQuarantine);
  CHECK(Run(zone, {"example.co.uk", {}}, options).disposition == Policy::kReject);
  // §6.6.4.
  options.sample = 30;
  CHECK(Run(zone, input, options).disposition == Policy::kNone);
  CHECK(Run(zone, {"example.co.uk", {}}, options).disposition == Policy::kQuarantine);
  CHECK(Run(zone, {"a.example.co.uk", {Spf("b.example.co.uk")}}, options).code ==
        ResultCode::kPass);
  CHECK(Run(zone, {"a.example.co.uk", {Spf("other.co.uk")}}, options).code == ResultCode::kFail);
}

}  // namespace
}  // namespace godwit::dmarc
