#include "libs/mailauth/message_verifier.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/arc/seal.h"
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

// `text` with one more ARC set, by a forwarder who found `results`.
std::string Sealed(const std::string& domain, const std::string& results, const std::string& text) {
  testing::FakeZone zone;
  zone.Add("s._domainkey.list.example TXT \"" + Key().PublicRecord() + "\"");
  zone.Add("s._domainkey.next.example TXT \"" + Key().PublicRecord() + "\"");
  arc::ChainChecker chain({}, kNow);
  arc::Sealer sealer({.domain = domain, .selector = "s", .key = Key()});
  dkim::MessageStream stream(64 * 1024, [&](const auto& header, auto& body) {
    chain.OnHeader(header, body);
    sealer.OnHeader(header, body);
  });
  stream.Feed(text);
  stream.End();
  const arc::Result result =
      testing::Evaluate(zone, [&](const auto& answers) { return chain.Evaluate(stream, answers); });
  return sealer.Seal(stream, chain, result, domain + "; " + results).value() + text;
}

Verdict VerifyForwarded(const std::string& text, const std::vector<std::string>& trusted,
                        const std::string& more_zone = "") {
  testing::FakeZone zone = Zone();
  zone.Add("s._domainkey.list.example TXT \"" + Key().PublicRecord() + "\"");
  zone.Add("s._domainkey.next.example TXT \"" + Key().PublicRecord() + "\"");
  zone.Add(more_zone);
  Options options = TestOptions();
  options.trusted_sealers = trusted;
  return Verify({text}, zone, TestEnvelope("198.51.100.1"), options);
}

TEST_CASE("RFC 8617 §7.2: what a trusted forwarder found is a reason to override DMARC",
          "[mailauth][unit]") {
  struct Row {
    std::string results;
    bool overridden;
  };
  const Row row = GENERATE(values<Row>({
      {"dmarc=pass header.from=example.org", true},
      {"spf=pass smtp.mailfrom=ann@example.org; dkim=fail", true},
      {"dkim=pass header.d=example.org header.s=s1", true},
      {"dkim=fail header.d=example.org; dkim=pass header.i=@sub.example.org", true},
      {"dkim=pass (2048-bit key) reason=\"a;b\" header.d=EXAMPLE.org", true},
      {"dmarc=pass header.from=other.example", false},
      // A pass of somebody else says nothing about the author.
      {"dkim=pass header.d=spammer.example", false},
      {"spf=pass smtp.mailfrom=bounces@spammer.example", false},
      {"spf=pass smtp.helo=example.org", false},
      {"dmarc=fail header.from=example.org", false},
      {"arc=pass", false},
      {"none", false},
      {"dmarc=pass header.from=example.org; broken", false},
      {"x-dmarc=pass header.from=example.org", false},
  }));
  CAPTURE(row.results);
  const std::string text = Sealed("list.example", row.results, std::string(kMessage));
  const Verdict verdict = VerifyForwarded(text, {"list.example"});
  CHECK(verdict.dmarc.code == dmarc::ResultCode::kFail);
  CHECK(verdict.arc_trusted);
  CHECK(verdict.policy_override.type == (row.overridden ? "trusted_forwarder" : ""));
  const bool shown = verdict.authentication_results.find("dis=none override=trusted_forwarder") !=
                     std::string::npos;
  CHECK(shown == row.overridden);
  // From a forwarder who is not trusted it is worth nothing.
  CHECK(VerifyForwarded(text, {"example"}).policy_override.type.empty());
  CHECK(VerifyForwarded(text, {}).policy_override.type.empty());
}

TEST_CASE("RFC 8617 §7.2.2: the override names the seals", "[mailauth][unit]") {
  const std::string one =
      Sealed("list.example", "dmarc=pass header.from=example.org", std::string(kMessage));
  const std::string two =
      Sealed("next.example", "dmarc=fail header.from=example.org; arc=pass", one);
  const Verdict verdict = VerifyForwarded(two, {"list.example", "next.example"});
  CHECK(verdict.policy_override.comment ==
        "arc=pass as[2].d=next.example as[2].s=s as[1].d=list.example as[1].s=s");
  // A chain is as good as its newest seals: who is not trusted may have made up what is below.
  CHECK(VerifyForwarded(two, {"list.example"}).policy_override.type.empty());
  CHECK(VerifyForwarded(two, {"next.example"}).policy_override.type.empty());
}

TEST_CASE("RFC 8617 §7.2: a chain that does not pass overrides nothing", "[mailauth][unit]") {
  std::string text =
      Sealed("list.example", "dmarc=pass header.from=example.org", std::string(kMessage));
  CHECK(VerifyForwarded(text, {"list.example"}).policy_override.type == "trusted_forwarder");
  CHECK(VerifyForwarded(text + "x", {"list.example"}).policy_override.type.empty());
  // Of several authors nobody vouched for all.
  const std::string both = Sealed("list.example", "dmarc=pass header.from=example.org",
                                  "From: ann@example.org, bob@soft.example\r\n\r\nHi.\r\n");
  CHECK(VerifyForwarded(both, {"list.example"}).policy_override.type.empty());
}

TEST_CASE("RFC 8617 §7.2: a trusted forwarder is enough where DNS has no answer for now",
          "[mailauth][unit]") {
  const std::string text =
      Sealed("list.example", "dmarc=pass header.from=slow.example", "From: a@slow.example\r\n\r\n");
  const Verdict verdict = VerifyForwarded(text, {"list.example"}, "_dmarc.slow.example TEMPFAIL");
  CHECK(verdict.dmarc.code == dmarc::ResultCode::kTempError);
  CHECK(verdict.policy_override.type == "trusted_forwarder");
}

TEST_CASE("RFC 5782: lists are asked about client, sender and author", "[mailauth][unit]") {
  Options options = TestOptions();
  options.lists.resize(2);
  options.lists[0].zone = "bl.example";
  options.lists[0].domains = true;
  options.lists[1].zone = "wl.example";
  options.lists[1].kind = dnsbl::Kind::kAllow;
  testing::FakeZone zone = Zone();
  zone.Add("evil.example.bl.example A 127.0.0.2");
  zone.Add("1.2.0.192.wl.example A 127.0.5.2");
  Envelope envelope = TestEnvelope();
  envelope.mail_from = "x@Evil.example";
  const Verdict verdict = Verify({kMessage}, zone, envelope, options);
  std::vector<std::string> seen;
  for (const dnsbl::Result& list : verdict.lists) {
    seen.push_back(list.list + " " + list.subject + " " +
                   std::string(dnsbl::OutcomeName(list.outcome)));
  }
  CHECK(seen == std::vector<std::string>{
                    "bl.example 192.0.2.1 not-listed", "bl.example evil.example listed",
                    "bl.example example.org not-listed", "wl.example 192.0.2.1 listed"});
  // RFC 8904.
  CHECK(verdict.authentication_results.find("dnswl=pass dns.zone=wl.example policy.ip=127.0.5.2") !=
        std::string::npos);
  options.check_connection = false;
  CHECK(Verify({kMessage}, zone, envelope, options).lists.empty());
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
