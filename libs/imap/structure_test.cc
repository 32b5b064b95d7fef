#include <catch2/catch.hpp>
#include <string>

#include "libs/imap/cursor.h"
#include "libs/imap/fetch_items.h"
#include "libs/imap/section.h"
#include "libs/imap/structure_writer.h"
#include "libs/mime/parser.h"

namespace godwit::imap {
namespace {

std::string BodyStructure(std::string_view message, bool extended) {
  std::string out;
  AppendBodyStructure(&out, mime::ParseMessage(message).root, extended, TextMode::kAscii);
  return out;
}

TEST_CASE("ENVELOPE of the example of RFC 3501 section 8", "[imap][unit]") {
  const auto summary = mime::ParseMessage(
      "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
      "From: Terry Gray <gray@cac.washington.edu>\r\n"
      "Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
      "To: imap@cac.washington.edu\r\n"
      "Cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
      "Message-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n");
  std::string out;
  AppendEnvelope(&out, summary.envelope, TextMode::kAscii);
  CHECK(out ==
        "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" "
        "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
        "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
        "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
        "((NIL NIL \"imap\" \"cac.washington.edu\")) "
        "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
        "(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
        "\"<B27397-0100000@cac.washington.edu>\")");
}

TEST_CASE("ENVELOPE tells groups and incomplete addresses", "[imap][unit]") {
  const auto summary = mime::ParseMessage("To: friends: a@b.example;, nobody\r\nSubject:\r\n\r\n");
  std::string out;
  AppendEnvelope(&out, summary.envelope, TextMode::kAscii);
  CHECK(out ==
        "(NIL \"\" NIL NIL NIL ((NIL NIL \"friends\" NIL)(NIL NIL \"a\" \"b.example\")"
        "(NIL NIL NIL NIL)(NIL NIL \"nobody\" \"\")) NIL NIL NIL NIL)");
}

TEST_CASE("BODY and BODYSTRUCTURE of a plain text", "[imap][unit]") {
  const std::string message =
      "Content-Type: text/plain; charset=us-ascii\r\nContent-ID: <x@y>\r\n"
      "Content-Disposition: inline; filename=\"a b\"\r\nContent-Language: de, en\r\n\r\na\r\nb\r\n";
  CHECK(BodyStructure(message, false) ==
        "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") \"<x@y>\" NIL \"7BIT\" 6 2)");
  CHECK(BodyStructure(message, true) ==
        "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") \"<x@y>\" NIL \"7BIT\" 6 2 NIL "
        "(\"INLINE\" (\"FILENAME\" \"a b\")) (\"de\" \"en\") NIL)");
}

// The tree of RFC 3501 §6.4.5: parts 1, 2, 3 (a message with 3.1 and 3.2), 4 (multipart with 4.1).
const std::string kTree =
    "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
    "--o\r\n\r\none\r\n"
    "--o\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "dHdv\r\n"
    "--o\r\nContent-Type: message/rfc822\r\n\r\n"
    "Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
    "--i\r\n\r\nthree one\r\n"
    "--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i--\r\n"
    "--o\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
    "--a\r\nContent-Type: text/x\r\n\r\nfour one\r\n--a--\r\n"
    "--o--\r\n";

struct Row {
  std::string item;
  std::string want;
  bool missing = false;
};

TEST_CASE("BODY sections name the octets of RFC 9051 section 6.4.5.1", "[imap][unit]") {
  const std::string inner_header =
      "Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n";
  const std::string inner_text =
      "--i\r\n\r\nthree one\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i--";
  const std::string outer_header =
      "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n";
  const Row row = GENERATE_COPY(values<Row>({
      {"BODY[]", kTree},
      {"BODY[HEADER]", outer_header},
      {"BODY[TEXT]", kTree.substr(outer_header.size())},
      {"BODY[1]", "one"},
      {"BODY[1.MIME]", "\r\n"},
      {"BODY[2]", "dHdv"},
      {"BODY[2]<1.2>", "Hd"},
      {"BODY[2]<9.2>", ""},
      {"BODY[2.MIME]",
       "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"},
      {"BODY[3]", inner_header + inner_text},
      {"BODY[3.HEADER]", inner_header},
      {"BODY[3.HEADER.FIELDS (SUBJECT)]", "Subject: inner\r\n\r\n"},
      {"BODY[3.HEADER.FIELDS.NOT (SUBJECT)]", "Content-Type: multipart/mixed; boundary=i\r\n\r\n"},
      {"BODY[HEADER.FIELDS (X)]", "\r\n"},
      {"BODY[3.TEXT]", inner_text},
      {"BODY[3.1]", "three one"},
      {"BODY[3.2.MIME]", "Content-Type: text/html\r\n\r\n"},
      {"BODY[3.2]", "<p>"},
      {"BODY[4.1]", "four one"},
      {"BODY[4.HEADER]", "", true},
      {"BODY[1.1]", "", true},
      {"BODY[5]", "", true},
      {"BODY[4.1.1]", "", true},
      {"BODY[2.TEXT]", "", true},
  }));
  CAPTURE(row.item);
  const Limits limits;
  Cursor cursor(row.item, limits);
  const auto items = ParseFetchItems(&cursor);
  REQUIRE(items);
  const auto summary = mime::ParseMessage(kTree);
  const MessageSizes sizes{summary.header_size, kTree.size()};
  const FetchItem& item = items->front();
  const auto octets = LocateSection(summary.root, item.section, sizes);
  REQUIRE(octets.has_value() == !row.missing);
  if (!octets) return;
  std::string text = kTree.substr(octets->offset, octets->size);
  if (!item.section.fields.empty()) text = SelectFields(text, item.section);
  const Octets cut = CutPartial({0, text.size()}, item.partial);
  CHECK(text.substr(cut.offset, cut.size) == row.want);
}

TEST_CASE("A header that grew in front moves the parts", "[imap][unit]") {
  const auto summary = mime::ParseMessage(kTree);
  const std::string grown = "Received: x\r\n" + kTree;
  Section section;
  section.part = {3, 2};
  const auto octets =
      LocateSection(summary.root, section, {summary.header_size + 13, grown.size()});
  REQUIRE(octets);
  CHECK(grown.substr(octets->offset, octets->size) == "<p>");
}

TEST_CASE("Part 1 of a message without parts is its body", "[imap][unit]") {
  const std::string message = "Subject: x\r\n\r\nbody";
  const auto summary = mime::ParseMessage(message);
  Section section;
  section.part = {1};
  CHECK(LocateSection(summary.root, section, {14, 18}) == Octets{14, 4});
  section.text = Section::Text::kMime;
  CHECK(LocateSection(summary.root, section, {14, 18}) == Octets{0, 14});
  section.part = {1, 1};
  CHECK(LocateSection(summary.root, section, {14, 18}) == std::nullopt);
}

TEST_CASE("BODYSTRUCTURE of a tree", "[imap][unit]") {
  CHECK(BodyStructure(kTree, false) ==
        "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3 1)"
        "(\"APPLICATION\" \"OCTET-STREAM\" NIL NIL NIL \"BASE64\" 4)"
        "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 121 "
        "(NIL \"inner\" NIL NIL NIL NIL NIL NIL NIL NIL) "
        "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 9 1)"
        "(\"TEXT\" \"HTML\" NIL NIL NIL \"7BIT\" 3 1) \"MIXED\") 11)"
        "((\"TEXT\" \"X\" NIL NIL NIL \"7BIT\" 8 1) \"ALTERNATIVE\") \"MIXED\")");
  CHECK(BodyStructure("Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts", false) ==
        "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0) \"MIXED\")");
  CHECK(BodyStructure("Content-Type: multipart/mixed\r\n\r\nno boundary", false) ==
        "(\"APPLICATION\" \"OCTET-STREAM\" NIL NIL NIL \"7BIT\" 11)");
}

struct Name {
  std::string item;
  std::string want;
};

TEST_CASE("Fetch items name their answers", "[imap][unit]") {
  const Name row = GENERATE(values<Name>({
      {"body.peek[]", "BODY[]"},
      {"BODY[1.2.MIME]<10.20>", "BODY[1.2.MIME]<10>"},
      {"BODY.PEEK[HEADER.FIELDS (From \"X Y\")]", "BODY[HEADER.FIELDS (From \"X Y\")]"},
      {"rfc822.header", "RFC822.HEADER"},
      {"BINARY.PEEK[1]<0.5>", "BINARY[1]<0>"},
      {"BINARY.SIZE[2]", "BINARY.SIZE[2]"},
      {"BODY", "BODY"},
  }));
  CAPTURE(row.item);
  const Limits limits;
  Cursor cursor(row.item, limits);
  const auto items = ParseFetchItems(&cursor);
  REQUIRE(items);
  CHECK(items->front().ResponseName() == row.want);
}

TEST_CASE("Fetch items that are wrong are refused", "[imap][unit]") {
  const std::string text = GENERATE(values<std::string>(
      {"", "FOO", "()", "(ALL)", "BODY[", "BODY[MIME]", "BODY[0]", "BODY[1.]",
       "BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]", "BODY[]<1>", "BODY[]<1.0>", "BINARY[TEXT]",
       "BINARY.SIZE[1]<0.1>", "BODY.PEEK", "(FLAGS", "(FLAGS  UID)", "BODY[HEADER.FIELDS (a:b)]"}));
  CAPTURE(text);
  const Limits limits;
  Cursor cursor(text, limits);
  CHECK_FALSE((ParseFetchItems(&cursor) && cursor.ExpectEnd()));
}

}  // namespace
}  // namespace godwit::imap
