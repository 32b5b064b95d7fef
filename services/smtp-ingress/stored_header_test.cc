#include "services/smtp-ingress/stored_header.h"

#include <catch2/catch.hpp>

namespace godwit::smtp_ingress {
namespace {

HeaderFacts Facts() {
  HeaderFacts facts;
  facts.authserv_id = "mx.example";
  facts.authentication_results = "mx.example;\r\n\tspf=pass smtp.mailfrom=x.example";
  facts.received_spf = "pass (mx.example: ok)";
  facts.reason = "accepted";
  facts.received.greeting_name = "c.example";
  facts.received.client = *base::IpAddress::Parse("192.0.2.1");
  facts.received.by = "mx.example";
  facts.received.with.esmtp = true;
  facts.received.id = "id1";
  facts.received.time = absl::FromUnixSeconds(1136214245);
  return facts;
}

constexpr std::string_view kOurs =
    "Authentication-Results: mx.example;\r\n\tspf=pass smtp.mailfrom=x.example\r\n"
    "Received-SPF: pass (mx.example: ok)\r\n"
    "X-Godwit-Reason: accepted\r\n"
    "Received: from c.example ([192.0.2.1])\r\n\tby mx.example with ESMTP id id1;\r\n"
    "\tMon, 02 Jan 2006 15:04:05 +0000\r\n";

TEST_CASE("Our fields stand in front, and forged ones are gone (RFC 8601 §5)",
          "[smtp-ingress][unit]") {
  const std::string header = MakeStoredHeader(
      "Return-Path: <evil@x.example>\r\n"
      "Authentication-Results: MX.example; dmarc=pass\r\n"
      "Authentication-Results: other.example; dmarc=pass\r\n"
      "authentication-results:\r\n (comment) mx.example 1; dkim=pass\r\n"
      "Subject: a\r\n"
      "x-godwit-reason: trusted\r\n"
      "\r\n",
      Facts());
  CHECK(header == std::string(kOurs) +
                      "Authentication-Results: other.example; dmarc=pass\r\n"
                      "Subject: a\r\n"
                      "\r\n");
}

// A line that is no field by the letter was copied, and readers that are less strict about names
// saw our verdict in it.
TEST_CASE("Lines that some reader takes for our fields are gone too", "[smtp-ingress][unit]") {
  const std::string line = GENERATE(values<std::string>(
      {std::string("Authentication-Results\0: mx.example; dmarc=pass\r\n", 49),
       "Authentication-Results\xa0: mx.example; dmarc=pass\r\n",
       "Authentication-Results : mx.example; dmarc=pass\r\n",
       "Authentication-Results\t:\r\n\tmx.example; dmarc=pass\r\n",
       "Authentication-Results mx.example; dmarc=pass\r\n",
       "Authentication-Results: \" mx.example\"; dmarc=pass\r\n",
       "Return-Path\x7f: <x@y.example>\r\n", "X-Godwit-Reason\x01x: trusted\r\n"}));
  CAPTURE(line);
  const std::string header = MakeStoredHeader("A: b\r\n" + line + "C: d\r\n\r\n", Facts());
  CHECK(header == std::string(kOurs) + "A: b\r\nC: d\r\n\r\n");
}

TEST_CASE("Lines that are no fields, and no claims, stay", "[smtp-ingress][unit]") {
  const std::string junk =
      "From alice Mon Jan\r\n more of it\r\n: x\r\nAuthentication-Results\r\nReturn-Paths: a\r\n";
  CHECK(MakeStoredHeader(junk + "\r\n", Facts()) == std::string(kOurs) + junk + "\r\n");
}

TEST_CASE("A forged field behind thousands of others is removed too", "[smtp-ingress][unit]") {
  std::string fields;
  for (int i = 0; i < 5000; ++i) fields += "X: y\r\n";
  const std::string header =
      MakeStoredHeader(fields + "Authentication-Results: mx.example; dmarc=pass\r\n\r\n", Facts());
  CHECK(header == std::string(kOurs) + fields + "\r\n");
}

TEST_CASE("The stored header ends with an empty line, once", "[smtp-ingress][unit]") {
  CHECK(MakeStoredHeader("A: b\r\n\r\n", Facts()) == std::string(kOurs) + "A: b\r\n\r\n");
  CHECK(MakeStoredHeader("A: b\r\n", Facts()) == std::string(kOurs) + "A: b\r\n\r\n");
  CHECK(MakeStoredHeader("\r\n", Facts()) == std::string(kOurs) + "\r\n");
  CHECK(MakeStoredHeader("", Facts()) == std::string(kOurs) + "\r\n");
}

TEST_CASE("What a user submitted carries auth=pass", "[smtp-ingress][unit]") {
  HeaderFacts facts = Facts();
  facts.received_spf = "";
  facts.origin = smtp::Origin{smtp::OriginKind::kSubmission, 1, "", "alice@mx.example"};
  const std::string header = MakeStoredHeader("\r\n", facts);
  CHECK(header.find("auth=pass") != std::string::npos);
  CHECK(header.find("smtp.auth=alice@mx.example") != std::string::npos);
  CHECK(header.find("Received-SPF") == std::string::npos);
}

TEST_CASE("CountReceived counts all Received fields", "[smtp-ingress][unit]") {
  CHECK(CountReceived("Received: a\r\nX: b\r\nRECEIVED: c\r\n\r\n") == 2);
  CHECK(CountReceived("") == 0);
}

TEST_CASE("A copy begins with Return-Path and Delivered-To", "[smtp-ingress][unit]") {
  CHECK(MakeCopyPrefix({}, {"a", "y.example"}) ==
        "Return-Path: <>\r\nDelivered-To: a@y.example\r\n");
}

}  // namespace
}  // namespace godwit::smtp_ingress
