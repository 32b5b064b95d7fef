#include "libs/dsn/parse.h"

#include <catch2/catch.hpp>

namespace godwit::dsn {
namespace {

// As Exchange, qmail's descendants and others write: no empty line between recipients, bare LF, a
// comment behind the status, no type, angle brackets.
constexpr char kCareless[] =
    "Reporting-MTA: mx.example.net (192.0.2.1)\n"
    "X-Unknown: 1\n"
    "\n\n\n"
    "Final-Recipient: <bob@example.net>\n"
    "Action: FAILED (permanently)\n"
    "Status: 5.1.1 (bad destination mailbox)\n"
    "Diagnostic-Code: smtp;550 5.1.1\n"
    "  no such\n"
    "\tuser\n"
    "Final-Recipient: RFC822 ; eve@example.net\n"
    "Action: delayed\n"
    "Status: 4.2.2\n"
    "Remote-MTA: dns; mx2.example.net (192.0.2.2)\n"
    "Will-Retry-Until: Mon, 21 Sep 2026 12:13:20 +0000\n";

TEST_CASE("Careless reports are understood", "[dsn][unit]") {
  const auto parsed = ParseReport(kCareless);
  REQUIRE(parsed);
  CHECK(parsed->complete);
  CHECK(parsed->report.reporting_mta == "mx.example.net");
  REQUIRE(parsed->report.recipients.size() == 2);
  const Recipient& bob = parsed->report.recipients[0];
  CHECK(bob.action == Action::kFailed);
  CHECK(bob.final_recipient == TypedAddress{"rfc822", "bob@example.net"});
  CHECK(bob.status == "5.1.1");
  CHECK(bob.diagnostic == "550 5.1.1  no such user");
  const Recipient& eve = parsed->report.recipients[1];
  CHECK(eve.action == Action::kDelayed);
  CHECK(eve.final_recipient == TypedAddress{"rfc822", "eve@example.net"});
  CHECK(eve.remote_mta == "mx2.example.net");
  CHECK(eve.will_retry_until == absl::FromUnixSeconds(1'789'992'800));
}

TEST_CASE("Recipients that say nothing are left out", "[dsn][unit]") {
  CHECK_FALSE(ParseReport(""));
  CHECK_FALSE(ParseReport("\n\n\n"));
  CHECK_FALSE(ParseReport("Reporting-MTA: dns; x\n\n"));
  CHECK_FALSE(ParseReport("Final-Recipient: rfc822; a@x\n"));
  CHECK_FALSE(ParseReport("Final-Recipient: rfc822;\nAction: failed\n"));
  CHECK_FALSE(ParseReport("Final-Recipient: rfc822; a@x\nAction: exploded\n"));
  CHECK_FALSE(ParseReport("Action: failed\nStatus: 5.0.0\n"));
}

TEST_CASE("Limits hold, and are told", "[dsn][unit]") {
  std::string many = "Reporting-MTA: dns; x\n";
  for (int i = 0; i < 50; ++i) {
    many += "\nFinal-Recipient: rfc822; " + std::to_string(i) + "@x\nAction: failed\n";
  }
  CHECK(ParseReport(many)->report.recipients.size() == 50);
  CHECK(ParseReport(many)->complete);
  const auto few = ParseReport(many, {.recipients = 7});
  CHECK(few->report.recipients.size() == 7);
  CHECK_FALSE(few->complete);
  CHECK(ParseReport(many, {.recipients = 50})->complete);
  const auto cut = ParseReport(many, {.report_bytes = 200});
  CHECK(cut->report.recipients.size() < 10);
  CHECK_FALSE(cut->complete);
  const auto field = ParseReport(
      "Final-Recipient: rfc822; a@x\nAction: failed\nDiagnostic-Code: smtp; 12345ü7890\n",
      {.field_bytes = 12});
  CHECK(field->report.recipients.at(0).diagnostic == "12345");
  CHECK_FALSE(field->complete);
}

std::string Multipart(const std::string& report_head, const std::string& report,
                      const std::string& third = "") {
  return "From: x@example.net\nContent-Type: multipart/mixed; boundary=o\n\n"
         "--o\nContent-Type: text/plain\n\nthe list's footer\n"
         "--o\nContent-Type: multipart/report; boundary=i\n\n"
         "--i\n\nsorry\n"
         "--i\nContent-Type: " +
         report_head + "\n\n" + report + "\n" + third + "--i--\n--o--\n";
}

TEST_CASE("The report is found at depth and in any encoding", "[dsn][unit]") {
  const std::string report = "Final-Recipient: rfc822; a@x\nAction: failed\n";
  const std::string third =
      "--i\nContent-Type: message/rfc822\n\nMessage-ID: <m@x>\nSubject: s\n\nbody\n";
  const auto plain = Parse(Multipart("message/delivery-status", report, third));
  REQUIRE(plain);
  CHECK(plain->report.recipients.at(0).final_recipient.address == "a@x");
  CHECK(plain->original_message_id == "m@x");
  CHECK(plain->original_header == "Message-ID: <m@x>\r\nSubject: s\r\n");

  const auto base64 =
      Parse(Multipart("message/delivery-status\nContent-Transfer-Encoding: base64",
                      "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGFAeApBY3Rpb246IGZhaWxlZAo="));
  REQUIRE(base64);
  CHECK(base64->report.recipients == plain->report.recipients);
  CHECK(base64->original_header == "");

  const auto headers = Parse(Multipart(
      "message/global-delivery-status", "Final-Recipient: utf-8; \xC3\xBC@x\nAction: failed\n",
      "--i\nContent-Type: text/rfc822-headers\nContent-Transfer-Encoding: quoted-printable\n\n"
      "Message-ID: =3Cq@x>\n"));
  REQUIRE(headers);
  CHECK(headers->report.recipients.at(0).final_recipient == TypedAddress{"utf-8", "ü@x"});
  CHECK(headers->original_message_id == "q@x");
}

// A user forwards a bounce he got: the message itself is none.
TEST_CASE("A report within an embedded message is not this message's", "[dsn][unit]") {
  const std::string bounce =
      Multipart("message/delivery-status", "Final-Recipient: rfc822; a@x\nAction: failed\n");
  REQUIRE(Parse(bounce));
  CHECK_FALSE(Parse("Content-Type: message/rfc822\n\n" + bounce));
  CHECK_FALSE(Parse("Content-Type: text/plain\n\n" + bounce));
  CHECK_FALSE(Parse(""));
}

}  // namespace
}  // namespace godwit::dsn
