#include "libs/mailauth/message_verifier.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/dkim/keys.h"
#include "libs/dkim/sign.h"
#include "libs/testing/fake_zone.h"
#include "libs/testing/split.h"

namespace godwit::mailauth {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
constexpr std::string_view kMessage =
    "From: Ann <ann@example.org>\r\nTo: bob@godwit.test\r\nSubject: Hello\r\n\r\nHi Bob.\r\n";

dkim::PrivateKey Key() { return dkim::PrivateKey::FromEd25519Seed(std::string(32, 'k')).value(); }

testing::FakeZone Zone() {
  testing::FakeZone zone(R"(
    example.org             TXT "v=spf1 mx -all"
    example.org             MX 10 mail.example.org
    mail.example.org        A 192.0.2.1
    mail.example.org        TXT "v=spf1 a -all"
    _dmarc.example.org      TXT "v=DMARC1; p=reject"
    1.2.0.192.in-addr.arpa  PTR mail.example.org
  )");
  zone.Add("s1._domainkey.example.org TXT \"" + Key().PublicRecord() + "\"");
  return zone;
}

Options TestOptions() {
  Options options;
  options.authserv_id = "mx.godwit.test";
  options.now = kNow;
  return options;
}

Envelope TestEnvelope(const std::string& ip = "192.0.2.1") {
  return {base::IpAddress::Parse(ip).value(), "mail.example.org", "ann@example.org"};
}

std::string Signed(std::string_view message = kMessage) {
  dkim::SignOptions options;
  options.domain = "example.org";
  dkim::Signer signer(options);
  signer.Feed(message);
  return signer.Finish({{"s1", Key()}}).value() + std::string(message);
}

Verdict Verify(const testing::Chunks& chunks, const testing::FakeZone& zone, Envelope envelope,
               Options options = TestOptions()) {
  MessageVerifier verifier(std::move(options), std::move(envelope));
  for (const std::string_view chunk : chunks) verifier.Feed(chunk);
  return testing::Evaluate(zone, [&](const auto& answers) { return verifier.Finish(answers); });
}

TEST_CASE("A good message passes everything, for every split", "[mailauth][unit]") {
  const std::string message = Signed();
  const testing::FakeZone zone = Zone();
  testing::ForEachSplit(message, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    const Verdict verdict = Verify(chunks, zone, TestEnvelope());
    CHECK(verdict.iprev.code == IprevCode::kPass);
    CHECK(verdict.helo_spf.code == spf::ResultCode::kPass);
    CHECK(verdict.mail_from_spf.code == spf::ResultCode::kPass);
    REQUIRE(verdict.dkim.size() == 1);
    CHECK(verdict.dkim[0].code == dkim::ResultCode::kPass);
    CHECK(verdict.dmarc.code == dmarc::ResultCode::kPass);
    CHECK(verdict.dmarc.dkim_aligned);
    CHECK(verdict.dmarc.spf_aligned);
    CHECK(verdict.arc.code == arc::ResultCode::kNone);
    CHECK(verdict.author_domain == "example.org");
  });
}

TEST_CASE("RFC 8601 §2.2: the rendered field", "[mailauth][unit]") {
  const Verdict verdict = Verify({Signed()}, Zone(), TestEnvelope());
  std::string unfolded;
  for (const char c : verdict.authentication_results) {
    if (c == '\t')
      unfolded += ' ';
    else if (c != '\r' && c != '\n')
      unfolded += c;
  }
  CHECK(unfolded ==
        "mx.godwit.test; iprev=pass (mail.example.org) policy.iprev=192.0.2.1; "
        "spf=pass smtp.helo=mail.example.org; spf=pass smtp.mailfrom=ann@example.org; "
        "dkim=pass (256-bit key) header.d=example.org header.i=@example.org header.s=s1 "
        "header.a=ed25519-sha256 header.b=3N+K69fd; "
        "dmarc=pass (p=reject dis=none) header.from=example.org");
  CHECK(verdict.received_spf.starts_with("pass"));
}

TEST_CASE("A forged message fails and is to be rejected", "[mailauth][unit]") {
  const Verdict verdict = Verify({kMessage}, Zone(), TestEnvelope("198.51.100.1"));
  CHECK(verdict.iprev.code == IprevCode::kPermError);
  CHECK(verdict.mail_from_spf.code == spf::ResultCode::kFail);
  CHECK(verdict.dkim.empty());
  CHECK(verdict.dmarc.code == dmarc::ResultCode::kFail);
  CHECK(verdict.dmarc.disposition == dmarc::Policy::kReject);
  CHECK(verdict.authentication_results.find("dkim=none") != std::string::npos);
}

TEST_CASE("RFC 7208 §2.4: the null sender stands for HELO in DMARC too", "[mailauth][unit]") {
  Envelope envelope = TestEnvelope();
  envelope.mail_from.clear();
  const Verdict verdict = Verify({kMessage}, Zone(), envelope);
  CHECK(verdict.mail_from_spf.domain == "mail.example.org");
  CHECK(verdict.dmarc.code == dmarc::ResultCode::kPass);
  CHECK(verdict.authentication_results.find("smtp.mailfrom") == std::string::npos);
}

// Once a forger had only to write From twice, or wrongly, and p=reject was not looked at: the
// verdict was "none", like that of a domain without policy. Now it says that the author is
// unusable.
TEST_CASE("RFC 9989 §5.3.1: without one From that can be read, the author is unusable",
          "[mailauth][unit]") {
  struct Row {
    std::string header;
    std::string why;
  };
  const Row row = GENERATE(values<Row>({
      {"From: a@example.org\r\nFrom: b@example.com\r\n\r\n", "more than one From field"},
      {"From: b@example.com\r\nfrom : a@example.org\r\n\r\n", "more than one From field"},
      {"To: b@example.com\r\n\r\n", "no From field"},
      {"\r\nFrom: a@example.org\r\n\r\n", "no From field"},
      {"", "no From field"},
      {"From: <a@example.org> junk\r\n\r\n", "text behind >"},
  }));
  CAPTURE(row.header);
  const Verdict verdict = Verify({row.header}, Zone(), TestEnvelope());
  CHECK(verdict.dmarc.code == dmarc::ResultCode::kNone);
  CHECK(verdict.author_unusable == row.why);
  CHECK(verdict.dmarc.reason == row.why);
  CHECK(verdict.author_domain.empty());
}

TEST_CASE("A From that names nobody is no error, and nothing for DMARC", "[mailauth][unit]") {
  const Verdict verdict = Verify({"From: Undisclosed:;\r\n\r\n"}, Zone(), TestEnvelope());
  CHECK(verdict.dmarc.code == dmarc::ResultCode::kNone);
  CHECK(verdict.author_unusable.empty());
}

// The second bypass: an address of one's own beside the forged one.
TEST_CASE("RFC 9989 §11.5: of several author domains the strictest result counts",
          "[mailauth][unit]") {
  struct Row {
    std::string from;
    dmarc::ResultCode code;
    std::string domain;
  };
  testing::FakeZone zone = Zone();
  zone.Add("_dmarc.soft.example TXT \"v=DMARC1; p=quarantine\"");
  zone.Add("_dmarc.open.example TXT \"v=DMARC1; p=none\"");
  zone.Add("_dmarc.slow.example TEMPFAIL");
  const Row row = GENERATE(values<Row>({
      {"a@example.org, x@probe.example", dmarc::ResultCode::kFail, "example.org"},
      {"x@probe.example, a@example.org", dmarc::ResultCode::kFail, "example.org"},
      {"x@soft.example, a@slow.example, a@example.org", dmarc::ResultCode::kFail, "example.org"},
      {"x@soft.example, a@slow.example", dmarc::ResultCode::kTempError, "slow.example"},
      {"x@open.example, x@soft.example", dmarc::ResultCode::kFail, "soft.example"},
      {"x@open.example, x@probe.example", dmarc::ResultCode::kFail, "open.example"},
      {"a@example.org.", dmarc::ResultCode::kFail, "example.org"},
  }));
  CAPTURE(row.from);
  const Verdict verdict =
      Verify({"From: " + row.from + "\r\n\r\n"}, zone, TestEnvelope("198.51.100.1"));
  CHECK(verdict.dmarc.code == row.code);
  CHECK(verdict.author_domain == row.domain);
  CHECK(verdict.dmarc.author_domain == row.domain);
  CHECK(verdict.author_unusable.empty());
}

TEST_CASE("Mail of a trusted listener has no connection to check", "[mailauth][unit]") {
  Options options = TestOptions();
  options.check_connection = false;
  const Verdict verdict = Verify({Signed()}, Zone(), TestEnvelope(), options);
  CHECK(verdict.dmarc.code == dmarc::ResultCode::kPass);
  CHECK(verdict.authentication_results.find("spf") == std::string::npos);
  CHECK(verdict.received_spf.empty());
}

TEST_CASE("A header beyond the limit still has a verdict", "[mailauth][unit]") {
  Options options = TestOptions();
  options.dkim.max_header_bytes = 20;
  const Verdict verdict = Verify({kMessage}, Zone(), TestEnvelope(), options);
  CHECK(verdict.header_too_large);
  REQUIRE(verdict.dkim.size() == 1);
  CHECK(verdict.dkim[0].code == dkim::ResultCode::kPermError);
  CHECK(verdict.dmarc.code == dmarc::ResultCode::kNone);
  CHECK(verdict.author_unusable == "header too large");
}

TEST_CASE("Everything is asked before the end of the message", "[mailauth][unit]") {
  const testing::FakeZone zone = Zone();
  MessageVerifier verifier(TestOptions(), TestEnvelope());
  base::DnsAnswers answers;
  const auto resolve = [&] {
    int rounds = 0;
    for (auto questions = verifier.Questions(answers); !questions.empty();
         questions = verifier.Questions(answers)) {
      ++rounds;
      for (const auto& question : questions) {
        REQUIRE_FALSE(answers.contains(question));
        answers[question] = zone.Lookup(question);
      }
    }
    return rounds;
  };
  CHECK(resolve() == 2);  // PTR, TXT; then MX and addresses
  const std::string message = Signed();
  const size_t header = message.find("\r\n\r\n") + 4;
  verifier.Feed(std::string_view(message).substr(0, header));
  REQUIRE(verifier.header_done());
  CHECK(resolve() == 1);  // keys and DMARC together
  verifier.Feed(std::string_view(message).substr(header));
  const auto step = verifier.Finish(answers);
  REQUIRE(step.index() == 0);
  CHECK(std::get<Verdict>(step).dmarc.code == dmarc::ResultCode::kPass);
}

TEST_CASE("RFC 8601 §3: iprev", "[mailauth][unit]") {
  struct Row {
    std::string zone;
    IprevCode code;
    std::string name;
  };
  const Row row = GENERATE(values<Row>({
      {"", IprevCode::kPermError, ""},
      {"1.2.0.192.in-addr.arpa TEMPFAIL", IprevCode::kTempError, ""},
      {"1.2.0.192.in-addr.arpa PTR a.example", IprevCode::kFail, "a.example"},
      {"1.2.0.192.in-addr.arpa PTR a.example\na.example TEMPFAIL", IprevCode::kTempError,
       "a.example"},
      {"1.2.0.192.in-addr.arpa PTR a.example\na.example A 192.0.2.1", IprevCode::kPass,
       "a.example"},
      {"1.2.0.192.in-addr.arpa PTR a.example\n1.2.0.192.in-addr.arpa PTR b.example\nb.example A "
       "192.0.2.1",
       IprevCode::kPass, "b.example"},
      // DNS carries any octets, and this name once stood in Received as it was.
      {"1.2.0.192.in-addr.arpa PTR x([127.0.0.1])\nx([127.0.0.1]) A 192.0.2.1",
       IprevCode::kPermError, ""},
      {"1.2.0.192.in-addr.arpa PTR x;y.example\n1.2.0.192.in-addr.arpa PTR b_1.example\n"
       "b_1.example A 192.0.2.1",
       IprevCode::kPass, "b_1.example"},
  }));
  CAPTURE(row.zone);
  const testing::FakeZone zone(row.zone);
  const auto ip = base::IpAddress::Parse("::ffff:192.0.2.1").value();
  const IprevResult result =
      testing::Evaluate(zone, [&](const auto& answers) { return CheckIprev(ip, answers); });
  CHECK(result.code == row.code);
  CHECK(result.name == row.name);
}

}  // namespace
}  // namespace godwit::mailauth
