#include "libs/jmap/email.h"

#include <catch2/catch.hpp>

#include "libs/mime/parser.h"

namespace godwit::jmap {
namespace {

TEST_CASE("Header properties (RFC 8621 4.1.3)", "[jmap][unit]") {
  struct Row {
    std::string_view property;
    bool good;
  };
  const Row row = GENERATE(values<Row>({{"header:Subject", true},
                                        {"header:Subject:asText", true},
                                        {"header:Subject:asText:all", true},
                                        {"header:Subject:all", true},
                                        {"header:From:asGroupedAddresses", true},
                                        {"header:X-Thing:asDate", true},
                                        {"header:List-Post:asURLs:all", true},
                                        {"header:Subject:asAddresses", false},
                                        {"header:From:asText", false},
                                        {"header:Date:asURLs", false},
                                        {"header:Received:asText", false},
                                        {"header:X:asNothing", false},
                                        {"header:X:all:asText", false},
                                        {"header:X:all:all", false},
                                        {"header::asText", false},
                                        {"header:", false},
                                        {"subject", false}}));
  CAPTURE(row.property);
  CHECK(ParseHeaderProperty(row.property).has_value() == row.good);
}

constexpr std::string_view kHeader =
    "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n"
    "From: \"A, B\" <a@x.example>, c@x.example\r\n"
    "To: Friends: d@x.example, E <e@x.example>;, f@x.example\r\n"
    "X-Two: one\r\n"
    "X-Two:  two\r\n  folded \r\n"
    "Date: Thu, 30 Oct 2014 14:12:00 +0800\r\n"
    "References: <1@x.example> <2@x.example>\r\n"
    "List-Unsubscribe: <https://x.example/u>, <mailto:u@x.example>\r\n"
    "X-Bad: \xff\r\n"
    "\r\n";

TEST_CASE("Forms of header fields (RFC 8621 4.1.2)", "[jmap][unit]") {
  struct Row {
    std::string_view property;
    std::string_view value;
  };
  const Row row = GENERATE(values<Row>(
      {{"header:Subject:asText",
        "\"Gr\xc3\xbc\xc3\x9f"
        "e\""},
       {"header:Subject", "\" =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\""},
       {"header:From:asAddresses",
        R"([{"name":"A, B","email":"a@x.example"},{"name":null,"email":"c@x.example"}])"},
       {"header:To:asAddresses",
        R"([{"name":null,"email":"d@x.example"},{"name":"E","email":"e@x.example"},)"
        R"({"name":null,"email":"f@x.example"}])"},
       {"header:To:asGroupedAddresses",
        R"([{"name":"Friends","addresses":[{"name":null,"email":"d@x.example"},)"
        R"({"name":"E","email":"e@x.example"}]},)"
        R"({"name":null,"addresses":[{"name":null,"email":"f@x.example"}]}])"},
       {"header:X-Two:asText", "\"two  folded\""},
       {"header:X-Two:asText:all", R"(["one","two  folded"])"},
       {"header:X-Two", "\"  two\\r\\n  folded \""},
       {"header:Date:asDate", "\"2014-10-30T14:12:00+08:00\""},
       {"header:References:asMessageIds", R"(["1@x.example","2@x.example"])"},
       {"header:List-Unsubscribe:asURLs", R"(["https://x.example/u","mailto:u@x.example"])"},
       {"header:X-None:asText", "null"},
       {"header:X-None:asText:all", "[]"},
       {"header:X-Bad", "\" \xc3\xbf\""}}));
  CAPTURE(row.property);
  const auto property = ParseHeaderProperty(row.property);
  REQUIRE(property.has_value());
  CHECK(Serialize(HeaderValue(mime::SplitHeader(kHeader), *property)) == row.value);
}

// A structure as "mixed(text/plain, text/html*, image/png)": * is an attachment, + has a name.
mime::Part Structure(std::string_view* text) {
  mime::Part part;
  const size_t end = text->find_first_of("(),");
  std::string_view name = text->substr(0, end);
  text->remove_prefix(std::min(end, text->size()));
  while (name.starts_with(' ')) name.remove_prefix(1);
  if (text->starts_with('(')) {
    part.kind = mime::Part::Kind::kMultipart;
    part.type = "multipart";
    part.subtype = name;
    do {
      text->remove_prefix(1);
      part.children.push_back(Structure(text));
    } while (text->starts_with(','));
    text->remove_prefix(1);
    return part;
  }
  if (name.ends_with('*')) {
    part.disposition = mime::Disposition{"attachment", {}};
    name.remove_suffix(1);
  }
  if (name.ends_with('+')) {
    part.params.push_back({"name", "x"});
    name.remove_suffix(1);
  }
  part.type = name.substr(0, name.find('/'));
  part.subtype = name.substr(name.find('/') + 1);
  return part;
}

std::string Ids(const std::vector<const BodyPart*>& parts) {
  std::string ids;
  for (const BodyPart* part : parts) ids += (ids.empty() ? "" : " ") + part->id;
  return ids;
}

TEST_CASE("textBody, htmlBody and attachments (RFC 8621 4.1.4)", "[jmap][unit]") {
  struct Row {
    std::string_view structure, text, html, attachments;
  };
  const Row row = GENERATE(values<Row>(
      {{"text/plain", "1", "1", ""},
       {"text/html", "1", "1", ""},
       {"application/pdf", "", "", "1"},
       {"alternative(text/plain, text/html)", "1", "2", ""},
       {"alternative(text/plain, text/calendar)", "1", "1", "2"},
       {"mixed(text/plain, application/pdf)", "1", "1", "2"},
       {"mixed(text/plain, text/plain+)", "1", "1", "2"},
       {"mixed(text/plain, text/plain*)", "1", "1", "2"},
       {"mixed(text/plain, image/png, text/plain)", "1 2 3", "1 2 3", ""},
       {"related(text/html, image/png)", "1", "1", "2"},
       {"mixed(alternative(text/plain, related(text/html, image/png)), application/pdf)", "1.1",
        "1.2.1", "1.2.2 2"},
       // The example of the RFC.
       {"mixed(text/plain, mixed(alternative(mixed(text/plain, image/jpeg, text/plain), "
        "related(text/html, image/jpeg)), image/jpeg*, application/x-excel, message/rfc822), "
        "text/plain)",
        "1 2.1.1.1 2.1.1.2 2.1.1.3 3", "1 2.1.2.1 3", "2.1.1.2 2.1.2.2 2.2 2.3 2.4"}}));
  CAPTURE(row.structure);
  std::string_view rest = row.structure;
  const mime::Part root = Structure(&rest);
  const BodyPart tree = MakeBodyTree(root);
  const BodyLists lists = ListBodies(tree);
  CHECK(Ids(lists.text) == row.text);
  CHECK(Ids(lists.html) == row.html);
  CHECK(Ids(lists.attachments) == row.attachments);
  for (const BodyPart* part : lists.text) CHECK(FindBodyPart(tree, part->id) == part);
}

TEST_CASE("Texts of parts", "[jmap][unit]") {
  struct Row {
    std::string_view encoding, charset, subtype, octets;
    bool cut;
    uint64_t max;
    std::string_view value;
    bool problem, truncated;
  };
  const Row row = GENERATE(values<Row>(
      {{"7bit", "utf-8", "plain", "a\r\nb", false, 0, "a\nb", false, false},
       {"quoted-printable", "utf-8", "plain", "=C3=BC=\r\nx", false, 0, "\xc3\xbcx", false, false},
       {"base64", "iso-8859-1", "plain", "/A==", false, 0, "\xc3\xbc", false, false},
       {"7bit", "utf-8", "plain", "abcdef", false, 3, "abc", false, true},
       {"8bit", "utf-8", "plain", "a\xc3\xbc", false, 2, "a", false, true},
       {"7bit", "utf-8", "html", "<b>x</b>", false, 6, "<b>x", false, true},
       {"7bit", "utf-8", "plain", "abc", true, 0, "abc", false, true},
       {"7bit", "x-nothing", "plain", "abc", false, 0, "abc", true, false}}));
  CAPTURE(row.octets, row.max);
  mime::Part part;
  part.encoding = row.encoding;
  part.subtype = row.subtype;
  part.params.push_back({"charset", std::string(row.charset)});
  const json::object value = BodyValueToJson(part, row.octets, row.cut, row.max);
  CHECK(*FindString(value, "value") == row.value);
  CHECK(value.at("isEncodingProblem").get_bool() == row.problem);
  CHECK(value.at("isTruncated").get_bool() == row.truncated);
}

TEST_CASE("An email with what is asked for", "[jmap][unit]") {
  const std::string text =
      "From: A <a@x.example>\r\nSubject: s\r\nMessage-ID: <m@x.example>\r\n"
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
      "--b\r\n\r\nhello\r\n--b\r\nContent-Type: application/pdf; name=\"f.pdf\"\r\n"
      "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\nAAAA\r\n--b--\r\n";
  const mime::Summary summary = mime::ParseMessage(text);
  const std::optional<std::vector<std::string>> properties =
      std::vector<std::string>{"subject",  "from",        "messageId", "cc",
                               "keywords", "attachments", "textBody",  "header:X:asText"};
  const json::object none;
  Arguments arguments(none);
  auto get = TakeEmailGet(properties, &arguments);
  REQUIRE(std::holds_alternative<EmailGet>(get));
  EmailSource source;
  source.id = 7;
  source.keywords = {"$seen"};
  source.summary = &summary;
  source.header = std::string_view(text).substr(0, summary.header_size);
  const json::object email = EmailToJson(source, std::get<EmailGet>(get));
  CHECK(*FindString(email, "id") == "e7");
  CHECK(*FindString(email, "subject") == "s");
  CHECK(Serialize(email.at("messageId")) == R"(["m@x.example"])");
  CHECK(email.at("cc").is_null());
  CHECK(email.at("header:X:asText").is_null());
  CHECK(Serialize(email.at("keywords")) == R"({"$seen":true})");
  const json::array& attachments = email.at("attachments").get_array();
  REQUIRE(attachments.size() == 1);
  CHECK(*FindString(attachments[0].get_object(), "name") == "f.pdf");
  CHECK(*FindString(attachments[0].get_object(), "blobId") == "P7-2");
  CHECK(attachments[0].get_object().at("size").as_uint64() == 6);
  CHECK_FALSE(email.contains("preview"));
}

TEST_CASE("Unknown properties are refused", "[jmap][unit]") {
  const json::object none;
  for (const char* name : {"nothing", "header:From:asText", "Subject"}) {
    CAPTURE(name);
    Arguments arguments(none);
    CHECK(std::holds_alternative<MethodError>(
        TakeEmailGet(std::vector<std::string>{name}, &arguments)));
  }
}

TEST_CASE("Keywords (RFC 8621 4.1.1)", "[jmap][unit]") {
  for (const char* good : {"$seen", "x", "a!b"}) CHECK(IsKeyword(good));
  for (const char* bad : {"", "a b", "a(b", "a]b", "a%b", "a\\b", "\x7f", "\xc3\xbc"}) {
    CAPTURE(bad);
    CHECK_FALSE(IsKeyword(bad));
  }
}

}  // namespace
}  // namespace godwit::jmap
