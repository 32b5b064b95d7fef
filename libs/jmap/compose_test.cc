#include "libs/jmap/compose.h"

#include <catch2/catch.hpp>

#include "libs/jmap/email_body.h"
#include "libs/jmap/submission.h"
#include "libs/mime/header.h"
#include "libs/mime/parser.h"

namespace godwit::jmap {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1414649520);

std::variant<ComposedEmail, SetError> Compose(std::string_view text) {
  auto value = ParseJson(text);
  INFO(text);
  REQUIRE(value.ok());
  return ComposeEmail(value->get_object(), {"id@x.example", kNow, "=_b_"});
}

std::string TextOf(std::string_view json_text) {
  auto composed = Compose(json_text);
  if (auto* error = std::get_if<SetError>(&composed)) {
    std::string bad = error->type;
    for (const std::string& name : error->properties) bad += " " + name;
    return bad;
  }
  std::string text;
  for (const Piece& piece : std::get<ComposedEmail>(composed).pieces) {
    text += piece.blob_id.empty() ? piece.text : "{" + piece.blob_id + "}";
  }
  return text;
}

TEST_CASE("A plain message", "[jmap][unit]") {
  CHECK(TextOf(R"({"mailboxIds":{"m1":true},"keywords":{"$Draft":true},
      "from":[{"name":"J\u00fcrgen","email":"j@x.example"}],"to":[{"email":"a@y.example"}],
      "subject":"Hi","bodyValues":{"t":{"value":"one\ntwo"}},
      "textBody":[{"partId":"t","type":"text/plain"}]})") ==
        "From: =?UTF-8?Q?J=C3=BCrgen?= <j@x.example>\r\n"
        "To: a@y.example\r\nSubject: Hi\r\n"
        "Message-ID: <id@x.example>\r\nDate: Thu, 30 Oct 2014 06:12:00 +0000\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 7bit\r\n\r\none\r\ntwo");
}

TEST_CASE("What can not be composed is named (RFC 8621 4.6)", "[jmap][unit]") {
  struct Row {
    std::string_view json;
    std::string_view error;
  };
  const Row row = GENERATE(values<Row>(
      {{R"({})", "invalidProperties mailboxIds"},
       {R"({"mailboxIds":{}})", "invalidProperties mailboxIds"},
       {R"({"mailboxIds":{"m1":false}})", "invalidProperties mailboxIds"},
       {R"({"mailboxIds":{"m1":true},"id":"e1"})", "invalidProperties id"},
       {R"({"mailboxIds":{"m1":true},"subject":"a","header:Subject:all":["b"]})",
        "invalidProperties header:Subject:all"},
       {R"({"mailboxIds":{"m1":true},"header:sender:asAddresses:all":[[{"email":"a@x.example"}],
           [{"email":"b@x.example"}]]})",
        "invalidProperties header:sender:asAddresses:all"},
       {R"({"mailboxIds":{"m1":true},"keywords":{"a b":true}})", "invalidProperties keywords"},
       {R"({"mailboxIds":{"m1":true},"from":[{"email":"nobody"}]})", "invalidProperties from"},
       {R"({"mailboxIds":{"m1":true},"from":[{"email":"a@b.example\r\nBcc: x@y.example"}]})",
        "invalidProperties from"},
       {R"({"mailboxIds":{"m1":true},"subject":"a","header:Subject:asText":"b"})",
        "invalidProperties header:Subject:asText"},
       {R"({"mailboxIds":{"m1":true},"header:Content-Type":"x"})",
        "invalidProperties header:Content-Type"},
       {R"({"mailboxIds":{"m1":true},"textBody":[{"partId":"t"}]})",
        "invalidProperties bodyValues"},
       {R"({"mailboxIds":{"m1":true},"textBody":[{"type":"text/html"}]})",
        "invalidProperties textBody"},
       {R"({"mailboxIds":{"m1":true},"messageId":["a b"]})", "invalidProperties messageId"},
       {R"({"mailboxIds":{"m1":true},"bodyStructure":{"type":"multipart/mixed"}})",
        "invalidProperties bodyStructure"},
       {R"({"mailboxIds":{"m1":true},"attachments":[{"blobId":"U1","type":"a/b\r\nX: y"}]})",
        "invalidProperties bodyValues"}}));
  CAPTURE(row.json);
  CHECK(TextOf(row.json) == row.error);
}

TEST_CASE("Nothing that a client gives ends a line of the header", "[jmap][unit]") {
  const std::string text = TextOf(
      R"({"mailboxIds":{"m1":true},"subject":"a\r\nBcc: x@y.example","header:X-Raw":"a\r\nBcc: b",
          "from":[{"name":"n\r\nBcc: c","email":"a@x.example"}]})");
  const mime::HeaderBlock header = mime::SplitHeader(text);
  CHECK(header.Find("bcc") == nullptr);
  CHECK(header.Find("subject") != nullptr);
}

TEST_CASE("Text and HTML with attachments is a tree that reads back", "[jmap][unit]") {
  std::string text = TextOf(
      R"({"mailboxIds":{"m1":true},"bodyValues":{"t":{"value":"gr\u00fcn"},"h":{"value":"<p>x"}},
          "textBody":[{"partId":"t","type":"text/plain"}],
          "htmlBody":[{"partId":"h","type":"text/html"}],
          "attachments":[{"blobId":"U1","type":"application/pdf","name":"\u00fc.pdf"}]})");
  const size_t at = text.find("{U1}");
  REQUIRE(at != std::string::npos);
  text.replace(at, 4, "AAAA\r\n");
  const mime::Summary summary = mime::ParseMessage(text);
  const BodyPart tree = MakeBodyTree(summary.root);
  const BodyLists lists = ListBodies(tree);
  REQUIRE(lists.text.size() == 1);
  REQUIRE(lists.html.size() == 1);
  REQUIRE(lists.attachments.size() == 1);
  CHECK(lists.text[0]->type() == "text/plain");
  CHECK(lists.html[0]->type() == "text/html");
  CHECK(lists.attachments[0]->name() == "\xc3\xbc.pdf");
  const mime::Part& part = *lists.text[0]->part;
  const std::string octets = text.substr(summary.header_size + part.body_offset, part.body_size);
  CHECK(*FindString(BodyValueToJson(part, octets, false, 0), "value") == "gr\xc3\xbcn");
}

TEST_CASE("A message is attached as it is (RFC 2046 5.2.1)", "[jmap][unit]") {
  auto composed = Compose(R"({"mailboxIds":{"m1":true},
      "attachments":[{"blobId":"Ua","type":"Message/RFC822"},{"blobId":"Ub","type":"image/png"}]})");
  REQUIRE(std::holds_alternative<ComposedEmail>(composed));
  const auto& pieces = std::get<ComposedEmail>(composed).pieces;
  REQUIRE(pieces.size() == 5);
  CHECK(pieces[1].as_it_is);
  CHECK_FALSE(pieces[3].as_it_is);
  CHECK(pieces[0].text.ends_with("\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
  // RFC 2045 §6.4: the whole says so, too.
  std::string text = pieces[0].text + "Subject: gr\xc3\xbcn\r\n\r\nbody\r\n" + pieces[2].text;
  const mime::Summary summary = mime::ParseMessage(text);
  const mime::HeaderBlock block = mime::SplitHeader(text);
  CHECK(block.FindAll("Content-Transfer-Encoding").size() == 1);
  CHECK(summary.root.children.size() == 3);
}

TEST_CASE("Long lines and odd characters survive quoted-printable", "[jmap][unit]") {
  const std::string line = GENERATE(std::string(1200, 'x'), std::string("=\xc3\xbc= \t"),
                                    std::string("a \nb\t\n\n"), std::string(500, '\xc3'));
  std::string value = line;
  if (value.size() == 500) {
    value.clear();
    for (int i = 0; i < 500; ++i) value += "\xc3\xbc";
  }
  json::object email = {{"mailboxIds", {{"m1", true}}},
                        {"bodyValues", {{"t", {{"value", value}}}}},
                        {"textBody", json::array{{{"partId", "t"}, {"type", "text/plain"}}}}};
  auto composed = ComposeEmail(email, {"id@x.example", kNow, "=_b_"});
  REQUIRE(std::holds_alternative<ComposedEmail>(composed));
  const std::string text = std::get<ComposedEmail>(composed).pieces[0].text;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find("\r\n", at), text.size());
    CHECK(end - at <= 998);
    at = end + 2;
  }
  const mime::Summary summary = mime::ParseMessage(text);
  const std::string body = text.substr(summary.header_size);
  CHECK(*FindString(BodyValueToJson(summary.root, body, false, 0), "value") == value);
}

TEST_CASE("Submissions (RFC 8621 7)", "[jmap][unit]") {
  struct Row {
    std::string_view json;
    bool good;
  };
  const Row row = GENERATE(values<Row>(
      {{R"({"identityId":"i1","emailId":"#m"})", true},
       {R"({"identityId":"i1","emailId":"e1","envelope":null})", true},
       {R"({"identityId":"i1","emailId":"e1","envelope":{"mailFrom":{"email":"a@x.example"},
            "rcptTo":[{"email":"b@y.example","parameters":null}]}})",
        true},
       {R"({"emailId":"e1"})", false},
       {R"({"identityId":"i1"})", false},
       {R"({"identityId":"i1","emailId":"e1","sendAt":"2030-01-01T00:00:00Z"})", false},
       {R"({"identityId":"i1","emailId":"e1","envelope":{"mailFrom":{"email":"a@x.example",
            "parameters":{"HOLDFOR":"5"}},"rcptTo":[]}})",
        false},
       {R"({"identityId":"i1","emailId":"e1","envelope":{"mailFrom":{"email":"a> SIZE=1"},
            "rcptTo":[]}})",
        false}}));
  CAPTURE(row.json);
  CHECK(std::holds_alternative<SubmissionRequest>(ReadSubmission(*ParseJson(row.json))) ==
        row.good);
}

TEST_CASE("Recipients are those of To, Cc and Bcc, each once", "[jmap][unit]") {
  const mime::Summary summary = mime::ParseMessage(
      "From: a@x.example\r\nTo: b@y.example, G: c@y.example;\r\nCc: B@Y.example\r\n"
      "Bcc: d@y.example\r\n\r\n");
  CHECK(RecipientsOf(summary.envelope) ==
        std::vector<std::string>{"b@y.example", "c@y.example", "d@y.example"});
}

}  // namespace
}  // namespace godwit::jmap
