#include "libs/mime/parser.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "libs/mime/record.h"
#include "libs/testing/split.h"

namespace godwit::mime {
namespace {

// "text/plain 10+5" for a leaf, "(child child)mixed" for a multipart, "<child>" for a message.
std::string Show(const Part& part) {
  std::string out;
  for (const Part& child : part.children) out += (out.empty() ? "" : " ") + Show(child);
  if (part.kind == Part::Kind::kMultipart) return "(" + out + ")" + part.subtype;
  if (part.kind == Part::Kind::kMessage) return "<" + out + ">";
  return part.type + "/" + part.subtype;
}

// The content of every leaf between bars, in order.
void Leaves(const Part& part, std::string_view body, std::string* out) {
  if (part.kind == Part::Kind::kLeaf) {
    *out += std::string(body.substr(part.body_offset, part.body_size)) + "|";
  }
  for (const Part& child : part.children) Leaves(child, body, out);
}
std::string Leaves(const Summary& summary, std::string_view message) {
  std::string out;
  Leaves(summary.root, message.substr(summary.header_size), &out);
  return out;
}

Summary ParseChunks(const testing::Chunks& chunks, const Limits& limits = {}) {
  Parser parser(limits);
  for (const auto chunk : chunks) parser.Feed(chunk);
  return parser.Finish();
}

struct Row {
  std::string name;
  std::string message;
  std::string structure;
  std::string leaves;
};

const char kMixed[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";

TEST_CASE("Parser finds parts, the same for every split", "[mime][unit]") {
  const std::string mixed = kMixed;
  const Row row = GENERATE_COPY(values<Row>({
      {"nothing", "", "text/plain", "|"},
      {"header only", "A: b\r\n", "text/plain", "|"},
      {"body only", "\r\nbody", "text/plain", "body|"},
      {"two parts", mixed + "pre\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\nepi\r\n",
       "(text/plain text/plain)mixed", "one|two|"},
      {"LF line ends",
       "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n\n--b\n\ntwo\n--b--",
       "(text/plain text/plain)mixed", "one\n|two|"},
      {"no final boundary", mixed + "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n",
       "(text/plain text/plain)mixed", "one|two\r\n|"},
      {"ends within a delimiter", mixed + "--b\r\n\r\none\r\n--b", "(text/plain text/plain)mixed",
       "one||"},
      {"ends within a close delimiter", mixed + "--b\r\n\r\none\r\n--b--", "(text/plain)mixed",
       "one|"},
      {"white space after the boundary", mixed + "--b \t\r\n\r\none\r\n--b--  \r\n",
       "(text/plain)mixed", "one|"},
      {"text after the boundary", mixed + "--b\r\n\r\none\r\n--bc\r\n--b c\r\n--b--",
       "(text/plain)mixed", "one\r\n--bc\r\n--b c|"},
      {"empty parts", mixed + "--b\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b--",
       "(text/plain text/plain text/plain)mixed", "|||"},
      {"header without an empty line", mixed + "--b\r\nContent-Type: text/html\r\n--b--",
       "(text/html)mixed", "|"},
      {"no part at all", mixed + "nothing", "()mixed", ""},
      {"closed at once", mixed + "--b--\r\n--b\r\n\r\nx", "()mixed", ""},
      {"no boundary", "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx", "multipart/mixed",
       "--b\r\n\r\nx|"},
      {"empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx",
       "multipart/mixed", "--\r\n\r\nx|"},
      {"folded boundary",
       "Content-Type: multipart/mixed; boundary=\"foo\r\n bar\"\r\n\r\n--foo bar\r\n\r\nx",
       "(text/plain)mixed", "x|"},
      {"boundary in sections",
       "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n\r\nx",
       "(text/plain)mixed", "x|"},
      {"bare CR is text", mixed + "--b\r\n\r\none\r--b\rtwo\r\n--b--", "(text/plain)mixed",
       "one\r--b\rtwo|"},
      {"CR before CRLF", mixed + "--b\r\n\r\none\r\r\n--b--", "(text/plain)mixed", "one\r|"},
      {"prefix of another boundary",
       mixed + "--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n"
               "--bb\r\n\r\none\r\n--bb\r\n\r\ntwo\r\n--bb--\r\n--b\r\n\r\nthree\r\n--b--\r\n",
       "((text/plain text/plain)alternative text/plain)mixed", "one|two|three|"},
      {"a boundary that ends with two dashes",
       mixed + "--b\r\nContent-Type: multipart/alternative; boundary=\"b--\"\r\n\r\n"
               "--b--\r\n\r\none\r\n--b----\r\n--b--\r\n",
       "((text/plain)alternative)mixed", "one|"},
      {"outer delimiter ends the inner parts",
       mixed + "--b\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"
               "--i\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--i\r\nx\r\n--b--\r\n",
       "((text/plain)alternative text/plain)mixed", "one|two\r\n--i\r\nx|"},
      {"the same boundary twice: the inner one counts",
       mixed + "--b\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
               "--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
       "((text/plain)alternative text/plain)mixed", "one|two|"},
      {"digest",
       "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\nhi\r\n"
       "--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--b--",
       "(<text/plain> text/plain)digest", "hi|two|"},
      {"message in a part",
       mixed + "--b\r\nContent-Type: message/rfc822\r\n\r\n"
               "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\none\r\n--b--\r\n",
       "(<(text/plain)mixed>)mixed", "one|"},
      {"message at the top", "Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nhi", "<text/plain>",
       "hi|"},
      {"message without anything", "Content-Type: message/rfc822\r\n", "<text/plain>", "|"},
      {"message of a message that ends at a delimiter",
       mixed + "--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n--b--",
       "(<<text/plain>>)mixed", "|"},
      {"encoded message",
       "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==",
       "message/rfc822", "QQ==|"},
      {"message/global", "Content-Type: message/global\r\n\r\nA: b\r\n\r\nhi", "<text/plain>",
       "hi|"},
      {"a type nobody understands", "Content-Type: what\r\n\r\nx", "text/plain", "x|"},
  }));
  CAPTURE(row.name, row.message);
  const Summary whole = ParseMessage(row.message);
  CHECK(Show(whole.root) == row.structure);
  CHECK(Leaves(whole, row.message) == row.leaves);
  CHECK(whole.header_size + whole.body_size == row.message.size());
  testing::ForEachSplit(row.message, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(ParseChunks(chunks) == whole);
  });
  const auto decoded = Decode(Encode(whole));
  REQUIRE(decoded.ok());
  CHECK(*decoded == whole);
}

TEST_CASE("Parser counts octets and lines from the start of the body", "[mime][unit]") {
  const std::string message =
      std::string("Subject: x\r\n") + kMixed +
      "pre\r\n--b\r\nContent-ID: <i>\r\n\r\none\r\ntwo\r\n\r\n--b\r\n\r\nthree\r\n--b--\r\n";
  const Summary summary = ParseMessage(message);
  const std::string body = message.substr(summary.header_size);
  REQUIRE(summary.root.children.size() == 2);
  const Part& one = summary.root.children[0];
  CHECK(body.substr(one.header_offset, one.header_size) == "Content-ID: <i>\r\n\r\n");
  CHECK(body.substr(one.body_offset, one.body_size) == "one\r\ntwo\r\n");
  CHECK(one.lines == 2);
  CHECK(summary.root.children[1].lines == 1);
  CHECK(summary.root.lines == 11);
  CHECK(summary.root.body_offset == 0);
  CHECK(summary.root.body_size == body.size());
  CHECK(ParseMessage("\r\na").root.lines == 1);
  CHECK(ParseMessage("\r\na\r\n").root.lines == 1);
  CHECK(ParseMessage("\r\n").root.lines == 0);
}

TEST_CASE("Parser keeps the depth limit", "[mime][unit]") {
  std::string message;
  for (int i = 0; i < 5; ++i) {
    const std::string boundary = "b" + std::to_string(i);
    message +=
        "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n";
  }
  message += "\r\nend";
  const Summary summary = ParseMessage(message, {.max_depth = 3});
  CHECK(Show(summary.root) == "((multipart/mixed)mixed)mixed");
  CHECK(summary.limited);
  CHECK_FALSE(ParseMessage(message).limited);
}

TEST_CASE("Parser keeps the part limit", "[mime][unit]") {
  std::string message = kMixed;
  for (int i = 0; i < 9; ++i) message += "--b\r\n\r\n" + std::to_string(i) + "\r\n";
  message += "--b--\r\n";
  const Limits limits{.max_parts = 4};
  const Summary summary = ParseMessage(message, limits);
  CHECK(Show(summary.root) == "(text/plain text/plain text/plain)mixed");
  CHECK(summary.limited);
  CHECK(Leaves(summary, message).find("2\r\n--b\r\n\r\n3\r\n") != std::string::npos);
  testing::ForEachSplit(message, [&](const testing::Chunks& chunks) {
    CHECK(ParseChunks(chunks, limits) == summary);
  });
}

TEST_CASE("Parser keeps the header limits", "[mime][unit]") {
  const std::string message =
      "Subject: x\r\nX: " + std::string(200, 'y') + "\r\nContent-Type: text/html\r\n\r\nbody";
  const Limits limits{.max_header_bytes = 100, .max_part_header_bytes = 40};
  const Summary summary = ParseMessage(message, limits);
  CHECK(summary.limited);
  CHECK(summary.envelope.subject == "x");
  CHECK(summary.root.subtype == "plain");
  CHECK(summary.header_size == message.size() - 4);
  const std::string parts =
      std::string(kMixed) +
      "--b\r\nContent-Type: text/html\r\n\r\n1\r\n--b\r\nContent-Type: text/html\r\n\r\n2\r\n";
  const Summary second = ParseMessage(parts, limits);
  CHECK(Show(second.root) == "(text/html text/plain)mixed");
  testing::ForEachSplit(
      parts, [&](const testing::Chunks& chunks) { CHECK(ParseChunks(chunks, limits) == second); });
}

TEST_CASE("Parser notes 8-bit and NUL octets", "[mime][unit]") {
  struct Flags {
    std::string message;
    bool header_8bit, body_8bit, smtputf8, nul;
  };
  const std::string mixed = kMixed;
  const Flags row = GENERATE_COPY(values<Flags>({
      {"A: b\r\n\r\nc", false, false, false, false},
      {"A: \xc3\xa9\r\n\r\nc", true, false, true, false},
      {"A: b\r\n\r\n\xc3\xa9", false, true, false, false},
      {mixed + "--b\r\nA: \xc3\xa9\r\n\r\nx\r\n--b--", false, true, true, false},
      {mixed + "--b\r\nContent-Type: message/rfc822\r\n\r\nA: \xc3\xa9\r\n\r\nx\r\n--b--", false,
       true, false, false},
      {std::string("A: b\r\n\r\nc\0", 10), false, false, false, true},
      {std::string("A: \0\r\n\r\nc", 9), false, false, false, true},
  }));
  CAPTURE(row.message);
  const Summary summary = ParseMessage(row.message);
  CHECK(summary.header_8bit == row.header_8bit);
  CHECK(summary.body_8bit == row.body_8bit);
  CHECK(summary.needs_smtputf8 == row.smtputf8);
  CHECK(summary.has_nul == row.nul);
}

TEST_CASE("Parser chooses a preview", "[mime][unit]") {
  struct Preview {
    std::string message;
    std::string want;
  };
  const std::string mixed = kMixed;
  const Preview row = GENERATE_COPY(values<Preview>({
      {"A: b\r\n\r\n  hello\r\n world\r\n", "hello world"},
      {"Content-Type: text/html\r\n\r\n<p>hello <b>you</b></p>", "hello you"},
      {mixed + "--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--b\r\n\r\nplain\r\n--b--",
       "plain"},
      {mixed + "--b\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--b--", "html"},
      {mixed + "--b\r\nContent-Disposition: attachment\r\n\r\nfile\r\n--b\r\n\r\nplain\r\n--b--",
       "plain"},
      {mixed + "--b\r\nContent-Type: message/rfc822\r\n\r\n\r\ninner\r\n--b--", ""},
      {mixed + "pre\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\nepilogue", "one"},
      {mixed + "--b\r\n\r\n-- dashes\r\n-\r\n--\r\n--b--", "-- dashes - --"},
      {"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=", "hello"},
      {"Content-Type: text/plain; charset=koi8-r\r\n\r\n\xcd\xc9\xd2", "\xd0\xbc\xd0\xb8\xd1\x80"},
      {"Content-Type: image/png\r\n\r\nx", ""},
  }));
  CAPTURE(row.message);
  const Summary summary = ParseMessage(row.message);
  CHECK(summary.preview == row.want);
  testing::ForEachSplit(
      row.message, [&](const testing::Chunks& chunks) { CHECK(ParseChunks(chunks) == summary); });
}

TEST_CASE("Parser tells what threading needs", "[mime][unit]") {
  const Summary summary = ParseMessage(
      "Subject: =?utf-8?q?Re=3A_caf=C3=A9?=\r\nMessage-ID: <c@x>\r\nIn-Reply-To: <b@x>\r\n"
      "References: <a@x>\r\n <b@x>\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n\r\n");
  CHECK(summary.base_subject == "caf\xc3\xa9");
  CHECK(summary.is_reply);
  CHECK(summary.message_id == "c@x");
  CHECK(summary.in_reply_to == std::vector<std::string>{"b@x"});
  CHECK(summary.references == std::vector<std::string>{"a@x", "b@x"});
  REQUIRE(summary.sent.has_value());
  CHECK(summary.sent->offset_minutes == -360);
  CHECK(summary.envelope.subject == "=?utf-8?q?Re=3A_caf=C3=A9?=");
}

TEST_CASE("Parser gives the top header while it reads", "[mime][unit]") {
  Parser parser;
  parser.Feed("A: b\r\n");
  CHECK_FALSE(parser.header_complete());
  CHECK(parser.header() == "A: b\r\n");
  parser.Feed("\r\nbody\r\n");
  CHECK(parser.header_complete());
  CHECK(parser.header() == "A: b\r\n\r\n");
}

// The time for `message`, which must be that of its octets, not of octets times parts.
double Seconds(const std::string& message) {
  const auto start = std::chrono::steady_clock::now();
  ParseMessage(message);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST_CASE("Parser takes linear time whatever the nesting", "[mime][unit]") {
  std::string nested;
  for (int i = 0; i < 10000; ++i) {
    const std::string boundary = "boundary" + std::to_string(i);
    nested +=
        "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n";
  }
  CHECK(Seconds(nested) < 5);
  // A hundred open boundaries, and a million lines that look like delimiters.
  std::string dashes;
  for (int i = 0; i < 99; ++i) {
    const std::string boundary = std::string(60, 'x') + std::to_string(i);
    dashes +=
        "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n";
  }
  dashes += "\r\n";
  for (int i = 0; i < 1000000; ++i) dashes += "--y\r\n";
  CHECK(Seconds(dashes) < 10);
  std::string messages;
  for (int i = 0; i < 10000; ++i) messages += "Content-Type: message/rfc822\r\n\r\n";
  CHECK(Seconds(messages) < 5);
  std::string parts = kMixed;
  for (int i = 0; i < 200000; ++i) parts += "--b\r\n\r\n\r\n";
  CHECK(Seconds(parts) < 5);
}

}  // namespace
}  // namespace godwit::mime
