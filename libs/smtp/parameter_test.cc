#include "libs/smtp/parameter.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/smtp/xtext.h"

namespace godwit::smtp {
namespace {

constexpr ExtensionSet kAll = {Extension::kSize, Extension::k8BitMime, Extension::kSmtpUtf8,
                               Extension::kDsn,  Extension::kAuth,     Extension::kOrigin};

int MailCode(const std::string& text, ExtensionSet offered = kAll) {
  const auto result = ParseMailParameters(text, offered);
  const auto* reply = std::get_if<Reply>(&result);
  return reply == nullptr ? 250 : reply->code;
}

int RcptCode(const std::string& text, ExtensionSet offered = kAll) {
  const auto result = ParseRcptParameters(text, offered);
  const auto* reply = std::get_if<Reply>(&result);
  return reply == nullptr ? 250 : reply->code;
}

TEST_CASE("ParseMailParameters reads every parameter", "[smtp][unit]") {
  const auto result = ParseMailParameters(
      " size=1234 BODY=8bitmime SMTPUTF8 AUTH=a+2Bb@c.example RET=HDRS ENVID=x+20y"
      " XORIGIN=submission;account:42;client:192.0.2.1;user:al+3Bice@x.example",
      kAll);
  REQUIRE(std::holds_alternative<MailParameters>(result));
  const auto& mail = std::get<MailParameters>(result);
  CHECK(mail.size == 1234u);
  CHECK(mail.body == BodyType::k8BitMime);
  CHECK(mail.smtputf8);
  CHECK(mail.auth == "a+b@c.example");
  CHECK(mail.ret == DsnReturn::kHeaders);
  CHECK(mail.envid == "x y");
  CHECK(mail.origin == Origin{OriginKind::kSubmission, 42, "192.0.2.1", "al;ice@x.example"});
}

TEST_CASE("ParseRcptParameters reads every parameter", "[smtp][unit]") {
  const auto result =
      ParseRcptParameters(" NOTIFY=success,DELAY ORCPT=RFC822;a+2Bb@c.example", kAll);
  REQUIRE(std::holds_alternative<RcptParameters>(result));
  const auto& rcpt = std::get<RcptParameters>(result);
  CHECK(rcpt.notify == DsnNotify{true, false, true, false, true});
  CHECK(rcpt.orcpt_type == "rfc822");
  CHECK(rcpt.orcpt_address == "a+b@c.example");
}

TEST_CASE("A parameter is 555 when unknown or not offered, 501 when wrong (RFC 5321 §4.1.1.11)",
          "[smtp][unit]") {
  CHECK(MailCode("") == 250);
  CHECK(MailCode("  ") == 250);
  CHECK(MailCode(" FOO=bar") == 555);
  CHECK(MailCode(" RET=FULL", {Extension::kSize}) == 555);
  CHECK(MailCode(" XORIGIN=dsn", {Extension::kSize}) == 555);
  CHECK(MailCode("SIZE=1") == 501);
  CHECK(MailCode(" SIZE") == 501);
  CHECK(MailCode(" SIZE=") == 501);
  CHECK(MailCode(" SIZE=-1") == 501);
  CHECK(MailCode(" SIZE=1 SIZE=1") == 501);
  CHECK(MailCode(" SIZE=99999999999999999999") == 501);
  CHECK(MailCode(" BODY=BINARYMIME") == 501);
  CHECK(MailCode(" SMTPUTF8=1") == 501);
  CHECK(MailCode(" AUTH=<>") == 250);
  CHECK(MailCode(" AUTH=+2b") == 501);
  CHECK(MailCode(" RET=SOME") == 501);
  CHECK(MailCode(" ENVID=" + std::string(101, 'x')) == 501);
  // RFC 3461 §4.4, §4.2: what xtext hides is printable ASCII.
  CHECK(MailCode(" ENVID=+20+7E") == 250);
  CHECK(MailCode(" ENVID=x+FF") == 501);
  CHECK(MailCode(" ENVID=x+00") == 501);
  CHECK(MailCode(" -X=1") == 501);
  CHECK(MailCode(" X=1=2") == 501);
  CHECK(RcptCode(" NOTIFY=NEVER") == 250);
  CHECK(RcptCode(" NOTIFY=NEVER,DELAY") == 501);
  CHECK(RcptCode(" NOTIFY=") == 501);
  CHECK(RcptCode(" NOTIFY=MAYBE") == 501);
  CHECK(RcptCode(" ORCPT=rfc822") == 501);
  CHECK(RcptCode(" ORCPT=;a") == 501);
  CHECK(RcptCode(" ORCPT=rfc822;+C3+A9@x.example") == 501);
  CHECK(RcptCode(" ORCPT=rfc822;a+0D+0Ab@x.example") == 501);
  CHECK(RcptCode(" ORCPT=utf-8;j\xc3\xb6rg@x.example") == 250);
  CHECK(RcptCode(" NOTIFY=NEVER", {}) == 555);
  CHECK(RcptCode(" SIZE=1") == 555);
}

TEST_CASE("REQUIRETLS, HOLDFOR and HOLDUNTIL (RFC 8689 §4.2, RFC 4865 §4)", "[smtp][unit]") {
  const ExtensionSet offered = {Extension::kRequireTls, Extension::kFutureRelease};
  const auto parse = [&](std::string_view text) { return ParseMailParameters(text, offered); };
  const auto good = parse(" REQUIRETLS HOLDFOR=3600");
  REQUIRE(std::holds_alternative<MailParameters>(good));
  CHECK(std::get<MailParameters>(good).requiretls);
  CHECK(std::get<MailParameters>(good).hold_for == absl::Hours(1));
  const auto until = parse(" HOLDUNTIL=2026-01-02T03:04:05+01:00");
  REQUIRE(std::holds_alternative<MailParameters>(until));
  CHECK(std::get<MailParameters>(until).hold_until == absl::FromUnixSeconds(1767319445));
  for (const char* bad :
       {" REQUIRETLS=YES", " HOLDFOR", " HOLDFOR=-1", " HOLDFOR=1234567890", " HOLDUNTIL=tomorrow",
        " HOLDUNTIL=infinite-future", " HOLDFOR=1 HOLDUNTIL=2026-01-02T03:04:05Z"}) {
    CAPTURE(bad);
    CHECK(std::holds_alternative<Reply>(parse(bad)));
  }
}

TEST_CASE("Xtext decodes what it encoded, for every octet (RFC 3461 §4)", "[smtp][unit]") {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  CHECK(XtextDecode(XtextEncode(all)) == all);
  CHECK(XtextEncode("a+b=c d") == "a+2Bb+3Dc+20d");
  CHECK_FALSE(XtextDecode("+2b"));
  CHECK_FALSE(XtextDecode("+2"));
  CHECK_FALSE(XtextDecode("a b"));
  CHECK_FALSE(XtextDecode("a=b"));
}

TEST_CASE("XORIGIN reads what it wrote and nothing else", "[smtp][unit]") {
  const Origin origin{OriginKind::kForward, 9007199254740993, "2001:db8::1", "a;b=c+d e@x.example"};
  CHECK(ParseOrigin(WriteOrigin(origin)) == origin);
  CHECK(ParseOrigin("dsn") == Origin{OriginKind::kDsn, 0, "", ""});
  for (const char* bad :
       {"", "guess", "dsn;", "dsn;account:0", "dsn;account:x", "dsn;account:1;account:2",
        "dsn;account:9223372036854775808", "dsn;client:nowhere", "dsn;color:red",
        "dsn;user:", "dsn;user:a;user:b", "DSN;user"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseOrigin(bad));
  }
}

}  // namespace
}  // namespace godwit::smtp
