#include "libs/spf/evaluate.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/spf/received_spf.h"
#include "libs/testing/fake_zone.h"

namespace godwit::spf {
namespace {

// RFC 7208 Appendix A.
constexpr std::string_view kZone = R"(
  example.com          MX 10 mail-a.example.com
  example.com          MX 20 mail-b.example.com
  example.com          A 192.0.2.10
  example.com          A 192.0.2.11
  amy.example.com      A 192.0.2.65
  bob.example.com      A 192.0.2.66
  mail-a.example.com   A 192.0.2.129
  mail-b.example.com   A 192.0.2.130
  www.example.com      CNAME example.com
  mail-c.example.org   A 192.0.2.140
  example.org          MX 10 mail-c.example.org
  10.2.0.192.in-addr.arpa  PTR example.com
  11.2.0.192.in-addr.arpa  PTR example.com
  65.2.0.192.in-addr.arpa  PTR amy.example.com
  66.2.0.192.in-addr.arpa  PTR bob.example.com
  129.2.0.192.in-addr.arpa PTR mail-a.example.com
  130.2.0.192.in-addr.arpa PTR mail-b.example.com
  140.2.0.192.in-addr.arpa PTR mail-c.example.org
  0.0.0.10.in-addr.arpa    PTR bob.example.com
  4.0.0.10.in-addr.arpa    PTR bob.example.com
)";

Query MailFrom(const std::string& ip, const std::string& sender) {
  Query query;
  query.ip = base::IpAddress::Parse(ip).value();
  query.helo = "helo.example.net";
  query.mail_from = sender;
  return query;
}

Result Run(const testing::FakeZone& zone, const Query& query, int* asked = nullptr) {
  return testing::Evaluate(
      zone, [&](const auto& answers) { return Evaluate(query, answers); }, asked);
}

testing::FakeZone With(const std::string& record) {
  testing::FakeZone zone(kZone);
  zone.Add("example.com TXT \"" + record + "\"");
  return zone;
}

TEST_CASE("RFC 7208 A.1: simple examples", "[spf][unit]") {
  struct Row {
    std::string record;
    std::string ip;
    ResultCode code;
  };
  const Row row = GENERATE(values<Row>({
      {"v=spf1 +all", "203.0.113.1", ResultCode::kPass},
      {"v=spf1 a -all", "192.0.2.10", ResultCode::kPass},
      {"v=spf1 a -all", "192.0.2.11", ResultCode::kPass},
      {"v=spf1 a -all", "192.0.2.12", ResultCode::kFail},
      {"v=spf1 a:example.org -all", "192.0.2.10", ResultCode::kFail},
      {"v=spf1 mx -all", "192.0.2.129", ResultCode::kPass},
      {"v=spf1 mx -all", "192.0.2.130", ResultCode::kPass},
      {"v=spf1 mx:example.org -all", "192.0.2.140", ResultCode::kPass},
      {"v=spf1 mx mx:example.org -all", "192.0.2.140", ResultCode::kPass},
      {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.131", ResultCode::kPass},
      {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.143", ResultCode::kPass},
      {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.132", ResultCode::kFail},
      {"v=spf1 ptr -all", "192.0.2.10", ResultCode::kPass},
      {"v=spf1 ptr -all", "192.0.2.65", ResultCode::kPass},
      {"v=spf1 ptr -all", "192.0.2.140", ResultCode::kFail},
      {"v=spf1 ptr -all", "10.0.0.4", ResultCode::kFail},
      {"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.65", ResultCode::kFail},
      {"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.129", ResultCode::kPass},
  }));
  CAPTURE(row.record, row.ip);
  CHECK(Run(With(row.record), MailFrom(row.ip, "x@example.com")).code == row.code);
}

TEST_CASE("RFC 7208 A.2: one record for several domains", "[spf][unit]") {
  testing::FakeZone zone = With("v=spf1 redirect=_spf.example.net");
  zone.Add("_spf.example.net TXT \"v=spf1 mx:example.com include:example.org -all\"");
  zone.Add("example.org TXT \"v=spf1 ip4:203.0.113.7 ?all\"");
  CHECK(Run(zone, MailFrom("192.0.2.129", "a@example.com")).code == ResultCode::kPass);
  CHECK(Run(zone, MailFrom("203.0.113.7", "a@example.com")).code == ResultCode::kPass);
  const Result fail = Run(zone, MailFrom("203.0.113.8", "a@example.com"));
  CHECK(fail.code == ResultCode::kFail);
  CHECK(fail.mechanism == "-all");
  CHECK(fail.lookups == 3);
}

TEST_CASE("RFC 7208 A.4: multiple requirements", "[spf][unit]") {
  testing::FakeZone zone = With("v=spf1 -include:ip4._spf.%{d} -include:ptr._spf.%{d} +all");
  zone.Add("ip4._spf.example.com TXT \"v=spf1 -ip4:192.0.2.0/24 +all\"");
  zone.Add("ptr._spf.example.com TXT \"v=spf1 -ptr:example.com +all\"");
  CHECK(Run(zone, MailFrom("192.0.2.65", "a@example.com")).code == ResultCode::kPass);
  CHECK(Run(zone, MailFrom("192.0.2.140", "a@example.com")).code == ResultCode::kFail);
  CHECK(Run(zone, MailFrom("10.0.0.4", "a@example.com")).code == ResultCode::kFail);
}

TEST_CASE("RFC 7208 §4.6.4: eleven terms that ask DNS", "[spf][unit]") {
  const auto chain = [](int terms) {
    std::string record = "v=spf1";
    for (int i = 0; i < terms; ++i) record += " a:bob.example.com";
    return With(record + " -all");
  };
  const Result ten = Run(chain(10), MailFrom("192.0.2.1", "a@example.com"));
  CHECK(ten.code == ResultCode::kFail);
  CHECK(ten.lookups == 10);
  const Result eleven = Run(chain(11), MailFrom("192.0.2.1", "a@example.com"));
  CHECK(eleven.code == ResultCode::kPermError);
  CHECK(eleven.problem == "more than 10 terms that ask DNS");
}

TEST_CASE("RFC 7208 §4.6.4: a record that includes itself ends", "[spf][unit]") {
  int asked = 0;
  const Result result =
      Run(With("v=spf1 include:example.com -all"), MailFrom("192.0.2.1", "a@example.com"), &asked);
  CHECK(result.code == ResultCode::kPermError);
  CHECK(asked == 1);
  CHECK(Run(With("v=spf1 redirect=example.com"), MailFrom("192.0.2.1", "a@example.com")).code ==
        ResultCode::kPermError);
}

TEST_CASE("RFC 7208 §4.6.4: three void lookups", "[spf][unit]") {
  const Query query = MailFrom("192.0.2.1", "a@example.com");
  const Result two = Run(With("v=spf1 a:no1.example a:no2.example -all"), query);
  CHECK(two.code == ResultCode::kFail);
  CHECK(two.void_lookups == 2);
  CHECK(Run(With("v=spf1 a:no1.example a:no2.example exists:no3.example -all"), query).code ==
        ResultCode::kPermError);
}

TEST_CASE("RFC 7208 §4.6.4: eleven MX names, eleven PTR names", "[spf][unit]") {
  testing::FakeZone zone = With("v=spf1 mx:many.example ~all");
  for (int i = 0; i < 11; ++i) {
    const std::string host = "h" + std::to_string(i) + ".many.example";
    zone.Add("many.example MX 10 " + host);
    zone.Add(host + " A 192.0.2.7");
    zone.Add("7.2.0.192.in-addr.arpa PTR " + (i < 10 ? "x" + host : host));
  }
  CHECK(Run(zone, MailFrom("192.0.2.7", "a@example.com")).code == ResultCode::kPermError);
  testing::FakeZone names = With("v=spf1 ptr:many.example ~all");
  for (int i = 0; i < 11; ++i) {
    const std::string host = "h" + std::to_string(i) + ".many.example";
    names.Add("7.2.0.192.in-addr.arpa PTR " + host);
    if (i == 10) names.Add(host + " A 192.0.2.7");
  }
  CHECK(Run(names, MailFrom("192.0.2.7", "a@example.com")).code == ResultCode::kSoftFail);
}

TEST_CASE("RFC 7208 §2.4, §4.3: identities", "[spf][unit]") {
  testing::FakeZone zone = With("v=spf1 exists:%{l}.%{o}.ok.example -all");
  zone.Add("postmaster.example.com.ok.example A 127.0.0.2");
  Query null_sender = MailFrom("192.0.2.1", "");
  null_sender.helo = "example.com";
  CHECK(Run(zone, null_sender).code == ResultCode::kPass);
  CHECK(Run(zone, null_sender).sender == "postmaster@example.com");
  Query helo = MailFrom("192.0.2.1", "x@elsewhere.example");
  helo.identity = Identity::kHelo;
  helo.helo = "EXAMPLE.com.";
  CHECK(Run(zone, helo).code == ResultCode::kPass);
  CHECK(Run(zone, MailFrom("192.0.2.1", "@example.com")).code == ResultCode::kPass);
  for (const char* name : {"", "localhost", "[192.0.2.1]", "a..b", "bad name"}) {
    CAPTURE(name);
    helo.helo = name;
    CHECK(Run(zone, helo).code == ResultCode::kNone);
  }
}

TEST_CASE("RFC 8616 §3: domains are A-labels, other local parts match nothing", "[spf][unit]") {
  testing::FakeZone zone;
  zone.Add("xn--bcher-kva.example TXT \"v=spf1 exists:%{l}.x.example ip4:192.0.2.1 -all\"");
  const Result result = Run(zone, MailFrom("192.0.2.1",
                                           "j\xc3\xbcrgen@b\xc3\xbc"
                                           "cher.example"));
  CHECK(result.code == ResultCode::kPass);
  CHECK(result.domain == "xn--bcher-kva.example");
  CHECK(result.mechanism == "ip4:192.0.2.1");
}

TEST_CASE("RFC 7208 §5: an IPv4-mapped client is IPv4", "[spf][unit]") {
  CHECK(
      Run(With("v=spf1 ip4:192.0.2.1 -all"), MailFrom("::ffff:192.0.2.1", "a@example.com")).code ==
      ResultCode::kPass);
}

TEST_CASE("RFC 7208 §6.2: explanations", "[spf][unit]") {
  testing::FakeZone zone = With("v=spf1 -all exp=explain._spf.%{d}");
  zone.Add("explain._spf.example.com TXT \"%{i} is not one of %{d}'s %{r} %{t}\"");
  Query query = MailFrom("192.0.2.1", "a@example.com");
  query.receiver = "mx.us.example";
  query.now = absl::FromUnixSeconds(1234);
  CHECK(Run(zone, query).explanation == "192.0.2.1 is not one of example.com's mx.us.example 1234");
  zone.Add("explain._spf.example.com TXT \"a second one\"");
  CHECK(Run(zone, query).explanation.empty());
  testing::FakeZone broken = With("v=spf1 -all exp=explain._spf.%{d}");
  broken.Add("explain._spf.example.com TEMPFAIL");
  CHECK(Run(broken, query).code == ResultCode::kFail);
  CHECK(Run(broken, query).explanation.empty());
}

TEST_CASE("RFC 7208 §6.2: an explanation can't carry control characters", "[spf][unit]") {
  testing::FakeZone zone = With("v=spf1 -all exp=e.example.com");
  zone.Add("e.example.com TXT \"%{h} says\"");
  Query query = MailFrom("192.0.2.1", "a@example.com");
  query.helo = "x\r\n250 ok\xff";
  CHECK(Run(zone, query).explanation == "x??250 ok? says");
}

TEST_CASE("RFC 7208 §2.6: DNS that does not answer", "[spf][unit]") {
  testing::FakeZone zone("example.com TEMPFAIL\n");
  CHECK(Run(zone, MailFrom("192.0.2.1", "a@example.com")).code == ResultCode::kTempError);
  testing::FakeZone host = With("v=spf1 a:broken.example -all");
  host.Add("broken.example TEMPFAIL");
  CHECK(Run(host, MailFrom("192.0.2.1", "a@example.com")).code == ResultCode::kTempError);
}

TEST_CASE("A record with several includes is resolved in three rounds", "[spf][unit]") {
  testing::FakeZone zone =
      With("v=spf1 mx include:a.example include:b.example a:bob.example.com -all");
  zone.Add("a.example TXT \"v=spf1 ip4:198.51.100.1 ~all\"");
  zone.Add("b.example TXT \"v=spf1 ip4:198.51.100.2 ~all\"");
  const Query query = MailFrom("203.0.113.9", "a@example.com");
  base::DnsAnswers answers;
  int rounds = 0;
  for (;; ++rounds) {
    const auto step = Evaluate(query, answers);
    if (step.index() == 0) break;
    for (const auto& question : std::get<1>(step)) answers[question] = zone.Lookup(question);
  }
  CHECK(rounds == 3);
}

TEST_CASE("RFC 7208 §9.1: Received-SPF", "[spf][unit]") {
  const Query query = MailFrom("192.0.2.1", "my name@example.com");
  const Result result = Run(With("v=spf1 ip4:192.0.2.1 -all"), query);
  const std::string value = FormatReceivedSpf(result, query, "mx.example.net");
  CHECK(value ==
        "pass\r\n (mx.example.net: domain of my name@example.com designates 192.0.2.1 as permitted "
        "sender)\r\n client-ip=192.0.2.1; envelope-from=\"my name@example.com\";\r\n"
        " helo=helo.example.net; receiver=mx.example.net; identity=mailfrom;\r\n"
        " mechanism=\"ip4:192.0.2.1\"");
}

TEST_CASE("RFC 7208 §9.1: the peer's text stays inside its quotes", "[spf][unit]") {
  Query query = MailFrom("192.0.2.1", "a)(\"\r\nX: y@example.com");
  query.helo = "\"; receiver=evil\\";
  const std::string value =
      FormatReceivedSpf(Run(With("v=spf1 -all"), query), query, "mx.example.net");
  CHECK(value.find("\r\nX") == value.npos);
  CHECK(value.find("helo=\"\\\"; receiver=evil\\\\\"") != value.npos);
}

}  // namespace
}  // namespace godwit::spf
