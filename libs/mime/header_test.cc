#include "libs/mime/header.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::mime {
namespace {

TEST_CASE("SplitHeader lists fields with their octets", "[mime][unit]") {
  const std::string text =
      "From: a@b.example\r\nSubject : one\r\n two\r\nX-Empty:\r\nbroken line\r\n of junk\r\n"
      "To:c\n\r\nbody: no";
  const HeaderBlock block = SplitHeader(text);
  CHECK(block.complete);
  CHECK_FALSE(block.truncated);
  CHECK(text.substr(block.size) == "body: no");
  REQUIRE(block.fields.size() == 4);
  CHECK(block.fields[1].name == "Subject");
  CHECK(block.fields[1].value == " one\r\n two");
  CHECK(text.substr(block.fields[1].offset, block.fields[1].size) == "Subject : one\r\n two\r\n");
  CHECK(block.fields[2].value.empty());
  CHECK(block.fields[3].name == "To");
  CHECK(block.fields[3].value == "c");
  CHECK(block.Find("SUBJECT") == &block.fields[1]);
  CHECK(block.Find("Cc") == nullptr);
}

TEST_CASE("SplitHeader takes every text", "[mime][unit]") {
  struct Row {
    std::string text;
    size_t size;
    bool complete;
    size_t fields;
  };
  const Row row = GENERATE(values<Row>({
      {"", 0, false, 0},
      {"\r\nx", 2, true, 0},
      {"\nA: b\n", 1, true, 0},
      {"A: b", 4, false, 1},
      {"A: b\r\n", 6, false, 1},
      {" A: b\r\nC: d\r\n\r\n", 15, true, 1},  // nothing to continue: junk
      {"From alice Mon Jan 1 10:00:00\nA: b\n\n", 36, true, 1},
      {"A: b\r\n \r\nC: d\r\n\r\n", 17, true, 2},  // a line of white space is a continuation
      {"A: b\rC: d\n\n", 11, true, 1},             // a bare CR ends nothing
      {": b\r\n\r\n", 7, true, 0},
      {"N\xc3\xa9: b\r\n\r\n", 10, true, 0},
  }));
  CAPTURE(row.text);
  const HeaderBlock block = SplitHeader(row.text);
  CHECK(block.size == row.size);
  CHECK(block.complete == row.complete);
  CHECK(block.fields.size() == row.fields);
}

TEST_CASE("SplitHeader keeps its limits and still finds the end", "[mime][unit]") {
  const std::string text = "A: 1\r\nB: 2\r\nC: 3\r\n\r\nbody";
  const HeaderBlock by_count = SplitHeader(text, {.max_fields = 2});
  CHECK(by_count.truncated);
  CHECK(by_count.fields.size() == 2);
  CHECK(by_count.size == 20);
  const HeaderBlock by_size = SplitHeader(text, {.max_bytes = 11});
  CHECK(by_size.truncated);
  CHECK(by_size.fields.size() == 1);
  CHECK(by_size.size == 20);
}

TEST_CASE("Unfold makes one line", "[mime][unit]") {
  CHECK(Unfold(" a\r\n b\n\tc ") == "a b\tc");
  CHECK(Unfold("a\r\nb") == "a b");
  CHECK(Unfold("a\rb\nc") == "a b c");
  CHECK(Unfold(std::string("a\0b", 3)) == "a b");
  CHECK(Unfold("\r\n").empty());
}

// The field as lines, for the length rules.
std::vector<std::string> Lines(const std::string& field) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < field.size()) {
    const size_t end = field.find("\r\n", at);
    REQUIRE(end != std::string::npos);
    lines.push_back(field.substr(at, end - at));
    at = end + 2;
  }
  return lines;
}

TEST_CASE("AppendField folds at white space", "[mime][unit]") {
  std::string out;
  AppendField(&out, "Subject", "short");
  CHECK(out == "Subject: short\r\n");
  out.clear();
  AppendField(&out, "X-Empty", "");
  CHECK(out == "X-Empty:\r\n");
  out.clear();
  std::string value;
  for (int i = 0; i < 60; ++i) value += "word" + std::to_string(i) + " ";
  AppendField(&out, "References", value);
  const auto lines = Lines(out);
  CHECK(lines.size() > 4);
  for (const auto& line : lines) CHECK(line.size() <= 78);
  const HeaderBlock block = SplitHeader(out);
  REQUIRE(block.fields.size() == 1);
  value.pop_back();
  CHECK(Unfold(block.fields[0].value) == value);
}

TEST_CASE("AppendField never writes a line above 998 octets", "[mime][unit]") {
  std::string value(5000, 'x');
  for (size_t i = 0; i + 1 < 2000; i += 2) value.replace(i, 2, "\xc3\xa9");
  value += std::string(3000, ' ') + "end";
  std::string out;
  AppendField(&out, "X-Long", value);
  for (const auto& line : Lines(out)) {
    CHECK(line.size() <= 998);
    CHECK(line.find_first_not_of(" \t") != std::string::npos);
    CHECK((static_cast<unsigned char>(line[line.front() == ' ' ? 1 : 0]) & 0xC0) != 0x80);
  }
  CHECK(SplitHeader(out).fields.size() == 1);
}

// A value from a peer must not add a field of its own.
TEST_CASE("AppendField lets no field in with a value", "[mime][unit]") {
  const auto value = GENERATE(values<std::string>(
      {"a\r\nBcc: x@y", "a\nBcc: x", "a\rBcc: x", "a\r\n\r\nbody", "a\r\n \r\n \r\nb", "\r\nBcc: x",
       std::string("a\0\r\nBcc: x", 11), "a\r\n", " \r\n"}));
  CAPTURE(value);
  std::string out;
  AppendField(&out, "Subject", value);
  const HeaderBlock block = SplitHeader(out);
  CHECK(block.fields.size() == 1);
  CHECK_FALSE(block.complete);
  CHECK(block.size == out.size());
}

TEST_CASE("AppendField keeps the caller's folds", "[mime][unit]") {
  std::string out;
  AppendField(&out, "Received", "from a\r\n\tby b;\r\n\tFri, 21 Nov 1997 09:55:06 -0600");
  CHECK(out == "Received: from a\r\n\tby b;\r\n\tFri, 21 Nov 1997 09:55:06 -0600\r\n");
}

// Found by the fuzzer: a caller's fold before a word that does not fit its line was followed by a
// fold of our own. The empty line between them ended the header, and the rest became body.
TEST_CASE("AppendField never writes an empty line", "[mime][unit]") {
  std::string field;
  AppendField(&field, "X-Field", "a\r\n " + std::string(82, 'b'));
  CHECK(field == "X-Field: a\r\n " + std::string(82, 'b') + "\r\n");
}

}  // namespace
}  // namespace godwit::mime
