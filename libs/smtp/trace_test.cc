#include "libs/smtp/trace.h"

#include <catch2/catch.hpp>

namespace godwit::smtp {
namespace {

ReceivedField Field() {
  ReceivedField field;
  field.greeting_name = "client.example";
  field.reverse_name = "host.x.example";
  field.client = *base::IpAddress::Parse("192.0.2.7");
  field.by = "mx.example";
  field.with = {true, true, false, false};
  field.id = "abc123";
  field.tls = "TLSv1.3 TLS_AES_128_GCM_SHA256 X25519";
  field.recipient = Address{"a b", "y.example"};
  field.time = absl::FromUnixSeconds(1136214245);
  return field;
}

TEST_CASE("WriteReceived has all clauses of RFC 5321 §4.4", "[smtp][unit]") {
  CHECK(WriteReceived(Field()) ==
        "Received: from client.example (host.x.example [192.0.2.7])\r\n"
        "\tby mx.example with ESMTPS id abc123\r\n"
        "\t(TLSv1.3 TLS_AES_128_GCM_SHA256 X25519)\r\n"
        "\tfor <\"a b\"@y.example>;\r\n"
        "\tMon, 02 Jan 2006 15:04:05 +0000\r\n");
}

TEST_CASE("WriteReceived tells nothing of a client that is hidden", "[smtp][unit]") {
  ReceivedField field = Field();
  field.hide_client = true;
  field.with.auth = true;
  CHECK(WriteReceived(field) ==
        "Received: by mx.example with ESMTPSA id abc123\r\n"
        "\t(TLSv1.3 TLS_AES_128_GCM_SHA256 X25519)\r\n"
        "\tfor <\"a b\"@y.example>;\r\n"
        "\tMon, 02 Jan 2006 15:04:05 +0000\r\n");
}

TEST_CASE("WriteReceived leaves out what there is not", "[smtp][unit]") {
  ReceivedField field = Field();
  field.greeting_name = field.reverse_name = field.tls = "";
  field.client = *base::IpAddress::Parse("2001:db8::7");
  field.with = {};
  field.recipient.reset();
  CHECK(WriteReceived(field) ==
        "Received: from [IPv6:2001:db8::7] ([IPv6:2001:db8::7])\r\n"
        "\tby mx.example with SMTP id abc123;\r\n"
        "\tMon, 02 Jan 2006 15:04:05 +0000\r\n");
}

// The owner of an address writes its PTR record, and DNS takes any octets: one client's name closed
// the comment and went on with clauses of its own.
TEST_CASE("A reverse name that is no host name stays out of Received", "[smtp][unit]") {
  ReceivedField field = Field();
  field.reverse_name = GENERATE(as<std::string>(), "x) by trusted.example (", "a b", "x\\", "x;y",
                                "x\r\nX-Evil: 1", "b\xc3\xbc.example", "x\"");
  CHECK(WriteReceived(field).starts_with("Received: from client.example ([192.0.2.7])\r\n"));
}

TEST_CASE("A UTF-8 recipient stands in Received only with UTF8SMTP (RFC 6531 §3.7.3)",
          "[smtp][unit]") {
  ReceivedField field = Field();
  field.recipient = Address{"j\xc3\xb6rg", "y.example"};
  CHECK(WriteReceived(field).find("for") == std::string::npos);
  field.with.utf8 = true;
  CHECK(WriteReceived(field).find("\tfor <j\xc3\xb6rg@y.example>;") != std::string::npos);
}

TEST_CASE("The protocol names are those of RFC 3848 and RFC 6531 §4.3", "[smtp][unit]") {
  CHECK(WithProtocolName({false, false, false, false}) == "SMTP");
  CHECK(WithProtocolName({true, false, false, false}) == "ESMTP");
  CHECK(WithProtocolName({true, true, true, false}) == "ESMTPSA");
  CHECK(WithProtocolName({true, false, true, false}) == "ESMTPA");
  CHECK(WithProtocolName({true, true, false, true}) == "UTF8SMTPS");
}

TEST_CASE("Return-Path and Delivered-To are one line each", "[smtp][unit]") {
  CHECK(WriteReturnPath({}) == "Return-Path: <>\r\n");
  CHECK(WriteReturnPath({"a", "x.example"}) == "Return-Path: <a@x.example>\r\n");
  CHECK(WriteDeliveredTo({"b", "y.example"}) == "Delivered-To: b@y.example\r\n");
}

}  // namespace
}  // namespace godwit::smtp
