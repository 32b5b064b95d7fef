#include "libs/outgoing/message_header.h"

#include <catch2/catch.hpp>

namespace godwit::outgoing {
namespace {

using Strings = std::vector<std::string>;

const absl::Time kNow = absl::FromUnixSeconds(1136214245);

HeaderFacts Facts(std::string_view header, bool smtputf8 = false) {
  CAPTURE(header);
  auto read = ReadHeader(header, smtputf8);
  REQUIRE(std::holds_alternative<HeaderFacts>(read));
  return std::get<HeaderFacts>(read);
}

std::string Refusal(std::string_view header, bool smtputf8 = false) {
  CAPTURE(header);
  auto read = ReadHeader(header, smtputf8);
  REQUIRE(std::holds_alternative<smtp::Reply>(read));
  const smtp::Reply& reply = std::get<smtp::Reply>(read);
  return std::to_string(reply.code) + " " + reply.enhanced + " " + reply.lines.at(0);
}

TEST_CASE("Who a message is from, in every spelling", "[outgoing][unit]") {
  CHECK(Facts("From: a@x.example\r\n").authors == Strings{"a@x.example"});
  CHECK(Facts("from:Alice <a@X.Example>\r\n\r\n").authors == Strings{"a@x.example"});
  CHECK(Facts("From: \"b@y.example\" <a@x.example> (c)\r\n").from == "a@x.example");
  CHECK(Facts("From: a@x.example, b@x.example\r\n").authors ==
        Strings{"a@x.example", "b@x.example"});
  const HeaderFacts facts =
      Facts("From: \"a b\"@x.example\r\nSender: c@y.example\r\nReceived: x\r\nReceived: y\r\n");
  CHECK(facts.from == "\"a b\"@x.example");
  CHECK(facts.authors == Strings{"a b@x.example", "c@y.example"});
  CHECK(facts.received == 2);
  CHECK(facts.ascii);
  CHECK(Facts("From: a@b\xc3\xbc"
              "cher.example\r\n",
              true)
            .from == "a@xn--bcher-kva.example");
}

TEST_CASE("A header that can be read in several ways does not leave", "[outgoing][unit]") {
  CHECK(Refusal("") == "550 5.6.0 From is missing");
  CHECK(Refusal("\r\n") == "550 5.6.0 From is missing");
  CHECK(Refusal("To: a@x.example\r\n") == "550 5.6.0 From is missing");
  CHECK(Refusal("From: a@x.example\r\nFROM : b@x.example\r\n") == "550 5.6.0 From stands twice");
  CHECK(Refusal("From: a@x.example\r\nSubject: a\r\nsubject: b\r\n") ==
        "550 5.6.0 Subject stands twice");
  // Two readers of two would see two messages; and many made a signature that was too large.
  CHECK(Refusal("From: a@x.example\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n") ==
        "550 5.6.0 Content-Type stands twice");
  CHECK(Refusal("From: a@x.example\r\nList-Id: a\r\nList-Id: b\r\n") ==
        "550 5.6.0 List-Id stands twice");
  CHECK(Refusal("From: a@x.example\r\nno field\r\n") ==
        "550 5.6.0 A line of the header is no field");
  CHECK(Refusal(" From: a@x.example\r\n") == "550 5.6.0 A line of the header is no field");
  CHECK(Refusal(std::string_view("From: a@x.example\0\r\n", 20)) == "550 5.6.0 NUL in the header");
  for (const char* from : {"", "undisclosed:;", "a", "a@", "@x.example", "<a@x.example",
                           "a@x.example b@y.example", "a@x.example <b@y.example>", "a@[192.0.2.1]",
                           "<a@x.example> b@y.example", "a@x..example"}) {
    CHECK(Refusal("From: " + std::string(from) + "\r\n") == "550 5.6.0 From can not be read");
  }
  CHECK(Refusal("From: a@x.example, b@y.example\r\n") == "550 5.6.0 From has several domains");
  CHECK(Refusal("From: a@x.example\r\nSender: a@x.example, b@x.example\r\n") ==
        "550 5.6.0 Sender can not be read");
  CHECK(Refusal("From: a@x.example\r\nSubject: \xff\r\n", true) ==
        "550 5.6.0 The header is not UTF-8");
  CHECK(Refusal("From: a@x.example\r\nSubject: \xc3\xa4\r\n") ==
        "550 5.6.9 Non-ASCII header needs SMTPUTF8");
}

std::string Complete(const std::string& header) {
  return CompleteHeader(header, Facts(header), kNow, "token");
}

TEST_CASE("What is missing is added, what is not for others goes (RFC 6409 §8)",
          "[outgoing][unit]") {
  CHECK(Complete("From: a@x.example\r\nbcc: b@y.example,\r\n\tc@z.example\r\nTo: d@x.example\r\n"
                 "Return-Path: <>\r\nResent-Bcc: e@x.example\r\n") ==
        "Date: Mon, 02 Jan 2006 15:04:05 +0000\r\n"
        "Message-ID: <token@x.example>\r\n"
        "From: a@x.example\r\nTo: d@x.example\r\n\r\n");
  const std::string good =
      "Date: now\r\nFrom: a@x.example\r\nMessage-Id: <1@x.example>\r\nSubject: a\r\n  b\r\n\r\n";
  CHECK(Complete(good) == good);
  CHECK(Complete("Date: \r\nMessage-ID:\r\n \r\nFrom: a@x.example\r\n\r\n") ==
        "Date: Mon, 02 Jan 2006 15:04:05 +0000\r\n"
        "Message-ID: <token@x.example>\r\n"
        "From: a@x.example\r\n\r\n");
}

}  // namespace
}  // namespace godwit::outgoing
