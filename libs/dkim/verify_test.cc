#include "libs/dkim/verify.h"

#include <catch2/catch.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "libs/base/encoding.h"
#include "libs/dkim/keys.h"
#include "libs/dkim/sign.h"
#include "libs/dkim/test_keys.h"
#include "libs/testing/fake_zone.h"
#include "libs/testing/split.h"

namespace godwit::dkim {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
constexpr std::string_view kHeader =
    "From: ann@example.org\r\nTo: bob@example.net\r\nSubject:  Hello\r\n  there\r\n";
constexpr std::string_view kBody = "Hi  Bob,\r\n\r\nsee you. \r\n\r\n\r\n";

PrivateKey Ed25519() { return PrivateKey::FromEd25519Seed(std::string(32, 'k')).value(); }
PrivateKey Rsa(int bits) { return PrivateKey::FromPem(TestRsaPem(bits)).value(); }

std::string Message() { return std::string(kHeader) + "\r\n" + std::string(kBody); }

struct Setup : SignOptions {
  std::vector<SigningKey> keys;
};

Setup Options(PrivateKey key) {
  Setup setup;
  setup.domain = "example.org";
  setup.keys = {{"s1", std::move(key)}};
  return setup;
}

std::string Signed(const Setup& setup, const std::string& message = Message()) {
  Signer signer(setup);
  signer.Feed(message);
  return signer.Finish(setup.keys).value() + message;
}

testing::FakeZone Zone(const std::string& record) {
  testing::FakeZone zone;
  base::DnsAnswer answer;
  answer.outcome = base::DnsOutcome::kOk;
  answer.texts = {record};
  zone.Override({"s1._domainkey.example.org", base::DnsType::kTxt}, answer);
  return zone;
}

std::vector<SignatureResult> VerifyAll(const testing::Chunks& chunks, const testing::FakeZone& zone,
                                       VerifyOptions options = {}) {
  Verifier verifier(options, kNow);
  for (const std::string_view chunk : chunks) verifier.Feed(chunk);
  return testing::Evaluate(zone, [&](const auto& answers) { return verifier.Finish(answers); });
}

SignatureResult VerifyOne(const std::string& message, const testing::FakeZone& zone,
                          VerifyOptions options = {}) {
  const auto results = VerifyAll({message}, zone, options);
  REQUIRE(results.size() == 1);
  return results[0];
}

std::string Replace(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("What we sign verifies, in every form and for every split", "[dkim][unit]") {
  const auto header = GENERATE(Canonicalization::kSimple, Canonicalization::kRelaxed);
  const auto body = GENERATE(Canonicalization::kSimple, Canonicalization::kRelaxed);
  const bool rsa = GENERATE(false, true);
  Setup options = Options(rsa ? Rsa(2048) : Ed25519());
  options.header_canonicalization = header;
  options.body_canonicalization = body;
  options.timestamp = kNow;
  options.expiration = kNow + absl::Hours(1);
  const testing::FakeZone zone = Zone(options.keys[0].key.PublicRecord());
  const std::string message = Signed(options);
  testing::ForEachSplit(message, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks), message);
    const auto results = VerifyAll(chunks, zone);
    REQUIRE(results.size() == 1);
    CHECK(results[0].reason.empty());
    CHECK(results[0].code == ResultCode::kPass);
    CHECK(results[0].key_bits == (rsa ? 2048 : 256));
  });
}

TEST_CASE("RFC 6376 §3.4: what the forms let through", "[dkim][unit]") {
  struct Row {
    std::string from;
    std::string to;
    bool relaxed;  // passes in the relaxed form
    bool simple;
  };
  const Row row =
      GENERATE(values<Row>({{"Hi  Bob", "Hi Bob", true, false},
                            {"you. \r\n", "you.\r\n", true, false},
                            {"you. \r\n\r\n\r\n", "you. \r\n", true, true},
                            {"you. \r\n", "you. \r\n\r\n\r\n\r\n", true, true},
                            {"Hi  Bob", "HiBob", false, false},
                            {"Subject:  Hello\r\n  there", "subject: Hello there", true, false},
                            {"Hello\r\n  there", "Hello  there", true, false},
                            {"Hello", "Hallo", false, false},
                            {"Bob,\r\n\r\n", "Bob,\r\n", false, false}}));
  CAPTURE(row.from, row.to);
  const PrivateKey key = Ed25519();
  const testing::FakeZone zone = Zone(key.PublicRecord());
  for (const auto form : {Canonicalization::kSimple, Canonicalization::kRelaxed}) {
    Setup options = Options(key);
    options.header_canonicalization = form;
    options.body_canonicalization = form;
    const auto result = VerifyOne(Replace(Signed(options), row.from, row.to), zone);
    const bool pass = form == Canonicalization::kSimple ? row.simple : row.relaxed;
    CAPTURE(CanonicalizationName(form), result.reason);
    CHECK(result.code == (pass ? ResultCode::kPass : ResultCode::kFail));
  }
}

TEST_CASE("RFC 6376 §5.4: fields that are added", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  const testing::FakeZone zone = Zone(key.PublicRecord());
  const std::string message = Signed(Options(key));
  CHECK(VerifyOne("X-Other: 1\r\n" + message, zone).code == ResultCode::kPass);
  // Oversigned (§8.15).
  CHECK(VerifyOne("Subject: other\r\n" + message, zone).code == ResultCode::kFail);
  CHECK(VerifyOne("Cc: other\r\n" + message, zone).code == ResultCode::kFail);
  Setup loose = Options(key);
  loose.oversign.clear();
  // §5.4.2: fields count from the bottom, so one on top is not signed.
  CHECK(VerifyOne("Subject: other\r\n" + Signed(loose), zone).code == ResultCode::kPass);
}

TEST_CASE("RFC 6376 §6.1.2, RFC 8301: what the key decides", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  const std::string record = key.PublicRecord();
  const std::string p = record.substr(record.find("p="));
  struct Row {
    std::string record;
    ResultCode code;
    std::string reason;
  };
  const Row row = GENERATE_COPY(values<Row>(
      {{"k=ed25519; " + p, ResultCode::kPass, ""},
       {"k=ed25519; t=y; " + p, ResultCode::kPass, ""},
       {"k=ed25519; p=", ResultCode::kPermError, "key revoked"},
       {"k=ed25519; p=QUJD", ResultCode::kPermError, "key record: an Ed25519 key has 32 octets"},
       {p, ResultCode::kPermError, "key is of another type than the signature"},
       {"k=ed25519; h=sha1; " + p, ResultCode::kPermError, "key does not allow sha256"},
       {"k=ed25519; s=other; " + p, ResultCode::kPermError, "key is not for mail"},
       {"v=DKIM7; k=ed25519; " + p, ResultCode::kPermError, "key record: not a DKIM1 record"},
       {"k=ed25519; p=" + base::Base64Encode(std::string(32, 'x')), ResultCode::kFail,
        "signature did not verify"}}));
  CAPTURE(row.record);
  const SignatureResult result = VerifyOne(Signed(Options(key)), Zone(row.record));
  CHECK(result.code == row.code);
  CHECK(result.reason == row.reason);
  CHECK(result.testing == (row.record.find("t=y") != row.record.npos));
}

TEST_CASE("RFC 6376 §3.6.1: t=s wants i= in d= itself", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  const testing::FakeZone zone = Zone(key.PublicRecord() + "; t=s");
  CHECK(VerifyOne(Signed(Options(key)), zone).code == ResultCode::kPass);
  const std::string sub =
      Replace(Signed(Options(key)), "d=example.org;", "d=example.org; i=a@b.example.org;");
  CHECK(VerifyOne(sub, zone).reason == "key is not for subdomains");
}

TEST_CASE("RFC 8301 §3.2: short and very long RSA keys", "[dkim][unit]") {
  const PrivateKey key = Rsa(1024);
  const testing::FakeZone zone = Zone(key.PublicRecord());
  const std::string message = Signed(Options(key));
  CHECK(VerifyOne(message, zone).code == ResultCode::kPass);
  VerifyOptions options;
  options.min_rsa_bits = 2048;
  const SignatureResult result = VerifyOne(message, zone, options);
  CHECK(result.code == ResultCode::kPolicy);
  CHECK(result.reason == "RSA key of 1024 bits");
  options.min_rsa_bits = 512;
  options.max_rsa_bits = 1000;
  CHECK(VerifyOne(message, zone, options).code == ResultCode::kPolicy);
  CHECK_FALSE(PrivateKey::FromPem(TestRsaPem(768)).ok());
}

TEST_CASE("RFC 6376 §6.1.1: what the signature field decides", "[dkim][unit]") {
  struct Row {
    std::string from;
    std::string to;
    ResultCode code;
    std::string reason;
  };
  const Row row = GENERATE(values<Row>({
      {"a=ed25519-sha256", "a=rsa-sha1", ResultCode::kPermError, "rsa-sha1 is not acceptable"},
      {"a=ed25519-sha256", "a=dsa-md5", ResultCode::kPermError, "unknown algorithm"},
      {"v=1;", "v=2;", ResultCode::kNeutral, "bad value of v="},
      {"v=1;", "", ResultCode::kNeutral, "no v= tag"},
      {"d=example.org", "d=", ResultCode::kNeutral, "bad value of d="},
      {"s=s1;", "", ResultCode::kNeutral, "no s= tag"},
      {"s=s1;", "s=s1; s=s2;", ResultCode::kNeutral, "duplicate tag \"s\""},
      {"s=s1;", "s=s1; q=dns/foo;", ResultCode::kPermError, "unknown query method"},
      {"s=s1;", "s=s1; i=a@example.com;", ResultCode::kPermError, "i= is not in the domain of d="},
      {"s=s1;", "s=s1; i=example.org;", ResultCode::kNeutral, "bad value of i="},
      {"s=s1;", "s=s1; x=1600000000;", ResultCode::kPolicy, "signature expired"},
      {"s=s1;", "s=s1; t=1800000000;", ResultCode::kPolicy, "signature is from the future"},
      {"s=s1;", "s=s1; t=5; x=5;", ResultCode::kNeutral, "x= is not after t="},
      {"s=s1;", "s=s1; l=-1;", ResultCode::kNeutral, "bad value of l="},
      {"c=relaxed/relaxed", "c=loose", ResultCode::kNeutral, "bad value of c="},
      {"h=From:From;", "h=Subject;", ResultCode::kPermError, "From field not signed"},
      {"bh=", "bh=AAAA; y=", ResultCode::kPermError, "bh= is not a SHA-256 hash"},
      {"bh=", "bh=!; y=", ResultCode::kNeutral, "bad value of bh="},
  }));
  CAPTURE(row.from, row.to);
  Setup options = Options(Ed25519());
  options.headers = {"From"};
  options.oversign = {"From"};
  const SignatureResult result =
      VerifyOne(Replace(Signed(options), row.from, row.to), testing::FakeZone());
  CHECK(result.code == row.code);
  CHECK(result.reason == row.reason);
}

TEST_CASE("RFC 6376 §6.1.2: keys that DNS does not give", "[dkim][unit]") {
  const std::string message = Signed(Options(Ed25519()));
  CHECK(VerifyOne(message, testing::FakeZone()).code == ResultCode::kPermError);
  const testing::FakeZone broken("s1._domainkey.example.org TEMPFAIL\n");
  CHECK(VerifyOne(message, broken).code == ResultCode::kTempError);
}

TEST_CASE("RFC 6376 §6.1.2: of several key records the one that fits is taken", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  testing::FakeZone zone;
  base::DnsAnswer answer;
  answer.outcome = base::DnsOutcome::kOk;
  answer.texts = {"v=spf1 -all", key.PublicRecord()};
  zone.Override({"s1._domainkey.example.org", base::DnsType::kTxt}, answer);
  CHECK(VerifyOne(Signed(Options(key)), zone).code == ResultCode::kPass);
}

// With tags that the signer never writes, as another signer would. The header only: a body of
// `body` is to follow.
std::string SignedByHand(const PrivateKey& key, const std::string& tags,
                         std::optional<uint64_t> length, const std::string& body) {
  BodyHashes hashes;
  const int request = hashes.Request(Canonicalization::kRelaxed, length);
  hashes.Feed(body);
  hashes.End();
  std::string field = "DKIM-Signature: v=1; c=relaxed/relaxed; h=From; a=" +
                      std::string(AlgorithmName(key.type())) + "; " + tags +
                      "; bh=" + base::Base64Encode(hashes.Get(request).sha256) + "; b=";
  const auto header = HeaderBlock::Parse(std::string(kHeader));
  const auto signature = ParseSignature(field.substr(15) + "AAAA", SignatureForm::kDkim);
  field += base::Base64Encode(key.Sign(SignedHeaderData(header, *signature, field)).value());
  return field + "\r\n" + std::string(kHeader) + "\r\n";
}

std::string SignedWithLength(const PrivateKey& key, uint64_t length, const std::string& body) {
  return SignedByHand(key, "d=example.org; s=s1; l=" + std::to_string(length), length, body);
}

TEST_CASE("RFC 8616 §4: U-labels in d=, s= and i= are the A-labels of the DNS", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  testing::FakeZone zone;
  base::DnsAnswer answer;
  answer.outcome = base::DnsOutcome::kOk;
  answer.texts = {key.PublicRecord() + "; t=s"};
  zone.Override({"xn--l1aa._domainkey.xn--bcher-kva.example", base::DnsType::kTxt}, answer);
  const std::string u_domain =
      "b\xc3\xbc"
      "cher.example";
  const std::string u_selector = "\xd0\xbc\xd0\xbc";  // two Cyrillic letters
  for (const std::string& identity :
       {std::string(), "; i=j\xc3\xbcrgen@" + u_domain, std::string("; i=@xn--bcher-kva.example"),
        "; i=j=C3=BCrgen@" + u_domain}) {
    CAPTURE(identity);
    const SignatureResult result = VerifyOne(
        SignedByHand(key, "d=" + u_domain + "; s=" + u_selector + identity, std::nullopt, ""),
        zone);
    CAPTURE(result.reason);
    CHECK(result.code == ResultCode::kPass);
    CHECK(result.domain == "xn--bcher-kva.example");
    CHECK(result.selector == "xn--l1aa");
  }
}

TEST_CASE("RFC 8301 §3.2: RSA keys of 1024 to 4096 bits", "[dkim][unit]") {
  const int bits = GENERATE(1024, 2048, 4096);
  CAPTURE(bits);
  const PrivateKey key = Rsa(bits);
  const SignatureResult result = VerifyOne(Signed(Options(key)), Zone(key.PublicRecord()));
  CHECK(result.code == ResultCode::kPass);
  CHECK(result.key_bits == bits);
}

TEST_CASE("RFC 8301 §3.1: rsa-sha1 never passes, whatever else is right", "[dkim][unit]") {
  const PrivateKey key = Rsa(2048);
  const std::string by_hand = SignedByHand(key, "d=example.org; s=s1", std::nullopt, "");
  REQUIRE(VerifyOne(by_hand, Zone(key.PublicRecord())).code == ResultCode::kPass);
  const std::string sha1 = Replace(by_hand, "a=rsa-sha256", "a=rsa-sha1");
  CHECK(VerifyOne(sha1, Zone(key.PublicRecord() + "; h=sha1")).code == ResultCode::kPermError);
  CHECK(VerifyOne(by_hand, Zone(key.PublicRecord() + "; h=sha1")).code == ResultCode::kPermError);
  CHECK(VerifyOne(by_hand, Zone(key.PublicRecord() + "; h=sha1:sha256")).code == ResultCode::kPass);
}

TEST_CASE("RFC 6376 §8.4: a thousand signatures cost the DNS ten questions", "[dkim][unit]") {
  std::string message;
  const std::string hash = base::Base64Encode(std::string(32, 'h'));
  for (int i = 0; i < 1000; ++i) {
    message += "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s" + std::to_string(i) +
               "; h=From; bh=" + hash + "; b=AAAA\r\n";
  }
  message += Message();
  Verifier verifier({}, kNow);
  verifier.Feed(message);
  CHECK(verifier.Questions().size() == 10);
  CHECK(VerifyAll({message}, testing::FakeZone()).size() == 100);
}

TEST_CASE("RFC 6376 §8.2: l= that leaves out a part of the body", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  const testing::FakeZone zone = Zone(key.PublicRecord());
  const std::string body = "one\r\ntwo\r\n";
  CHECK(VerifyOne(SignedWithLength(key, 10, body) + body, zone).code == ResultCode::kPass);
  const std::string message = SignedWithLength(key, 5, body) + body;
  SignatureResult result = VerifyOne(message, zone);
  CHECK(result.code == ResultCode::kPolicy);
  CHECK(result.partial_body);
  VerifyOptions lenient;
  lenient.allow_partial_body = true;
  result = VerifyOne(message, zone, lenient);
  CHECK(result.code == ResultCode::kPass);
  CHECK(result.partial_body);
  // §3.5: more than there is.
  result = VerifyOne(SignedWithLength(key, 11, body) + body, zone, lenient);
  CHECK(result.code == ResultCode::kFail);
  CHECK(result.reason == "body is shorter than l=");
}

TEST_CASE("RFC 8460 §3: which signatures prove a TLS report", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  const std::string record = key.PublicRecord();
  const std::string message = Signed(Options(key));
  struct Row {
    std::string tags;  // of the key record
    ResultCode code;   // as mail
    bool for_tls_report;
  };
  const Row row = GENERATE(values<Row>({
      {"", ResultCode::kPass, true},
      {"; s=*", ResultCode::kPass, true},
      {"; s=tlsrpt", ResultCode::kPermError, true},
      {"; s=email:tlsrpt", ResultCode::kPass, true},
      {"; s=email", ResultCode::kPass, false},
      {"; s=other", ResultCode::kPermError, false},
      {"; s=tlsrpt; t=y", ResultCode::kPermError, false},
      {"; s=tlsrpt; h=sha1", ResultCode::kPermError, false},
  }));
  CAPTURE(row.tags);
  const testing::FakeZone zone = Zone(record + row.tags);
  const SignatureResult result = VerifyOne(message, zone);
  CHECK((result.code == row.code && result.for_tls_report == row.for_tls_report));
  if (row.code == ResultCode::kPermError && row.for_tls_report) {
    CHECK(result.reason == "key is not for mail");
  }
  // What is wrong for mail is wrong for a report.
  CHECK(!VerifyOne(Replace(message, "Hi  Bob", "Hi Rob"), zone).for_tls_report);
  CHECK(!VerifyOne(Replace(message, "Hello", "Hallo"), zone).for_tls_report);
}

TEST_CASE("RFC 8460 §3: a signature with l= proves no TLS report, even of the whole body",
          "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  const std::string body = "one\r\ntwo\r\n";
  const testing::FakeZone zone = Zone(key.PublicRecord());
  const std::string whole = SignedByHand(key, "d=example.org; s=s1", std::nullopt, body) + body;
  CHECK(VerifyOne(whole, zone).for_tls_report);
  const SignatureResult result = VerifyOne(SignedWithLength(key, 10, body) + body, zone);
  CHECK((result.code == ResultCode::kPass && !result.for_tls_report));
}

TEST_CASE("Signatures beyond the limit are not verified", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  std::string message = Message();
  for (int i = 0; i < 12; ++i) message = Signed(Options(key), message);
  const auto results = VerifyAll({message}, Zone(key.PublicRecord()));
  REQUIRE(results.size() == 12);
  for (size_t i = 0; i < results.size(); ++i) {
    CHECK(results[i].code == (i < 10 ? ResultCode::kPass : ResultCode::kPolicy));
  }
}

TEST_CASE("RFC 6008 §4: header.b grows until signatures differ", "[dkim][unit]") {
  const std::string common = "From: a@b.example\r\n\r\n";
  const auto field = [](const std::string& b) {
    return "DKIM-Signature: v=1; a=rsa-sha256; d=e.example; s=x; h=From; bh=" +
           base::Base64Encode(std::string(32, 'h')) + "; b=" + b + "\r\n";
  };
  const auto results = VerifyAll({field("AAAAAAAAAAAABBBB") + field("AAAAAAAAAAAACCCC") + common},
                                 testing::FakeZone());
  REQUIRE(results.size() == 2);
  CHECK(results[0].b_prefix == "AAAAAAAAAAAABBBB");
}

TEST_CASE("A header beyond the limit gives one permerror", "[dkim][unit]") {
  VerifyOptions options;
  options.max_header_bytes = 64;
  const std::string message = Message();
  testing::ForEachSplit(message, [&](const testing::Chunks& chunks) {
    const auto results = VerifyAll(chunks, testing::FakeZone(), options);
    REQUIRE(results.size() == 1);
    CHECK(results[0].reason == "header too large");
  });
  options.max_header_bytes = kHeader.size();
  CHECK(VerifyAll({message}, testing::FakeZone(), options).empty());
}

TEST_CASE("Messages without body, without header, without anything", "[dkim][unit]") {
  CHECK(VerifyAll({""}, testing::FakeZone()).empty());
  CHECK(VerifyAll({"\r\nbody"}, testing::FakeZone()).empty());
  CHECK(VerifyAll({"From: a@b"}, testing::FakeZone()).empty());
  const PrivateKey key = Ed25519();
  const std::string no_body = "From: a@example.org\r\n";
  CHECK(VerifyOne(Signed(Options(key), no_body), Zone(key.PublicRecord())).code ==
        ResultCode::kPass);
}

TEST_CASE("RFC 6376 §3.7: b= is removed wherever it stands", "[dkim][unit]") {
  CHECK(WithoutSignatureValue("DKIM-Signature: v=1; b=abc\r\n def ; d=x\r\n") ==
        "DKIM-Signature: v=1; b=; d=x");
  CHECK(WithoutSignatureValue("DKIM-Signature: b = abc ;bh=b") == "DKIM-Signature: b =;bh=b");
  CHECK(WithoutSignatureValue("DKIM-Signature: bh=zz; b=abc\r\n") == "DKIM-Signature: bh=zz; b=");
}

TEST_CASE("A message that can't be signed says why", "[dkim][unit]") {
  const auto sign = [](const Setup& setup, std::string_view message) {
    Signer signer(setup);
    signer.Feed(message);
    return signer.Finish(setup.keys).status().code();
  };
  CHECK(sign(Options(Ed25519()), "To: x\r\n\r\n") == absl::StatusCode::kFailedPrecondition);
  CHECK(sign(Options(Ed25519()), "From: x\r\nFrom: y\r\n\r\n") ==
        absl::StatusCode::kFailedPrecondition);
  Setup bad = Options(Ed25519());
  bad.domain = "Example.org";
  CHECK(sign(bad, Message()) == absl::StatusCode::kInvalidArgument);
  Setup small = Options(Ed25519());
  small.max_header_bytes = 10;
  CHECK(sign(small, Message()) == absl::StatusCode::kResourceExhausted);
  Setup none = Options(Ed25519());
  none.keys.clear();
  CHECK(sign(none, Message()) == absl::StatusCode::kInvalidArgument);
  Setup selector = Options(Ed25519());
  selector.keys[0].selector = "S 1";
  CHECK(sign(selector, Message()) == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("RFC 8463 §3: several keys sign one pass over the message", "[dkim][unit]") {
  const auto rsa = PrivateKey::Generate(KeyType::kRsa);
  const auto ed25519 = PrivateKey::Generate(KeyType::kEd25519);
  REQUIRE((rsa.ok() && ed25519.ok()));
  Setup options = Options(*rsa);
  options.keys.push_back({"s2", *ed25519});
  const std::string message = Signed(options);
  testing::FakeZone zone = Zone(rsa->PublicRecord());
  base::DnsAnswer answer;
  answer.outcome = base::DnsOutcome::kOk;
  answer.texts = {ed25519->PublicRecord()};
  zone.Override({"s2._domainkey.example.org", base::DnsType::kTxt}, answer);
  for (const bool damaged : {false, true}) {
    const std::string sent = damaged ? Replace(message, "see you", "see them") : message;
    const auto results = VerifyAll({sent}, zone);
    REQUIRE(results.size() == 2);
    CHECK((results[0].selector == "s1" && results[0].algorithm == "rsa-sha256"));
    CHECK((results[1].selector == "s2" && results[1].algorithm == "ed25519-sha256"));
    for (const auto& result : results) {
      CHECK(result.code == (damaged ? ResultCode::kFail : ResultCode::kPass));
    }
  }
}

TEST_CASE("RFC 6376 §8.15: none of the fields that matter can be added", "[dkim][unit]") {
  const PrivateKey key = Ed25519();
  const testing::FakeZone zone = Zone(key.PublicRecord());
  const std::string message = Signed(Options(key));
  for (const std::string name :
       {"From", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
        "Reply-To", "In-Reply-To", "References", "Sender"}) {
    CAPTURE(name);
    CHECK(VerifyOne(name + ": x@example.net\r\n" + message, zone).code != ResultCode::kPass);
    const std::string below = Replace(message, "\r\n\r\n", "\r\n" + name + ": x\r\n\r\n");
    CHECK(VerifyOne(below, zone).code != ResultCode::kPass);
  }
}

TEST_CASE("A key goes to PKCS #8 and back", "[dkim][unit]") {
  const KeyType type = GENERATE(KeyType::kRsa, KeyType::kEd25519);
  const auto made = PrivateKey::Generate(type);
  REQUIRE(made.ok());
  const base::Secret der = made->Pkcs8();
  const auto read = PrivateKey::FromPkcs8(der.Reveal());
  REQUIRE(read.ok());
  CHECK(read->type() == type);
  CHECK(read->bits() == (type == KeyType::kRsa ? 2048 : 256));
  CHECK(read->PublicRecord() == made->PublicRecord());
  CHECK(FormatKeyRecord(type, made->PublicBytes()) == made->PublicRecord());
  const std::string text(der.Reveal());
  for (const std::string& bad : {std::string(), text.substr(1), text + "x", std::string("abc")}) {
    CHECK_FALSE(PrivateKey::FromPkcs8(bad).ok());
  }
}

TEST_CASE("RFC 8301 §3.2: no short key is made", "[dkim][unit]") {
  for (const int bits : {0, 512, 1024, 2047, 1 << 20}) {
    CHECK(PrivateKey::Generate(KeyType::kRsa, bits).status().code() ==
          absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace godwit::dkim
