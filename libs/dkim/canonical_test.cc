#include "libs/dkim/canonical.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/testing/split.h"

namespace godwit::dkim {
namespace {

std::string Field(Canonicalization canonicalization, std::string_view raw) {
  std::string out;
  AppendCanonicalField(canonicalization, raw, &out);
  return out;
}

std::string Body(Canonicalization canonicalization, const testing::Chunks& chunks) {
  BodyCanonicalizer canonicalizer(canonicalization);
  std::string out;
  const auto emit = [&](std::string_view bytes) { out += bytes; };
  for (const std::string_view chunk : chunks) canonicalizer.Feed(chunk, emit);
  canonicalizer.End(emit);
  return out;
}

TEST_CASE("RFC 6376 §3.4.5: the example", "[dkim][unit]") {
  CHECK(Field(Canonicalization::kRelaxed, "A: X\r\n") == "a:X");
  CHECK(Field(Canonicalization::kRelaxed, "B : Y\t\r\n\tZ  \r\n") == "b:Y Z");
  CHECK(Field(Canonicalization::kSimple, "B : Y\t\r\n\tZ  \r\n") == "B : Y\t\r\n\tZ  ");
  CHECK(Body(Canonicalization::kRelaxed, {" C \r\nD \t E\r\n\r\n\r\n"}) == " C\r\nD E\r\n");
  CHECK(Body(Canonicalization::kSimple, {" C \r\nD \t E\r\n\r\n\r\n"}) == " C \r\nD \t E\r\n");
}

TEST_CASE("RFC 6376 §3.4.2: relaxed header fields", "[dkim][unit]") {
  struct Row {
    std::string raw;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({{"Subject:\r\n", "subject:"},
                                        {"Subject:   \r\n", "subject:"},
                                        {"SUBJECT \t:a", "subject:a"},
                                        {"S: a  b\t\tc\r\n", "s:a b c"},
                                        {"S:\r\n a\r\n", "s:a"},
                                        {"S: a\r\n \r\n b\r\n", "s:a b"},
                                        {"S: a:b\r\n", "s:a:b"}}));
  CAPTURE(row.raw);
  CHECK(Field(Canonicalization::kRelaxed, row.raw) == row.want);
}

TEST_CASE("RFC 6376 §3.4.3 and §3.4.4: bodies, for every split", "[dkim][unit]") {
  struct Row {
    std::string body;
    std::string simple;
    std::string relaxed;
  };
  const Row row = GENERATE(values<Row>({
      {"", "\r\n", ""},
      {"\r\n", "\r\n", ""},
      {"\r\n\r\n\r\n", "\r\n", ""},
      {" \r\n\t\r\n", " \r\n\t\r\n", ""},
      {"a", "a\r\n", "a\r\n"},
      {"a \t", "a \t\r\n", "a\r\n"},
      {"a\r\n", "a\r\n", "a\r\n"},
      {"a\r\n\r\n", "a\r\n", "a\r\n"},
      {"\r\na\r\n", "\r\na\r\n", "\r\na\r\n"},
      {"a\r\n \r\nb\r\n \r\n", "a\r\n \r\nb\r\n \r\n", "a\r\n\r\nb\r\n"},
      {" a  b \r\n\r\n c\r\n", " a  b \r\n\r\n c\r\n", " a b\r\n\r\n c\r\n"},
      {"a\rb\nc\r\r\nd\r\n", "a\rb\nc\r\r\nd\r\n", "a\rb\nc\r\r\nd\r\n"},
      {"a\r", "a\r\r\n", "a\r\r\n"},
      {"a \r b\r\n", "a \r b\r\n", "a \r b\r\n"},
  }));
  CAPTURE(row.body);
  testing::ForEachSplit(row.body, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(Body(Canonicalization::kSimple, chunks) == row.simple);
    CHECK(Body(Canonicalization::kRelaxed, chunks) == row.relaxed);
  });
}

TEST_CASE("A long run of empty lines is counted, not kept", "[dkim][unit]") {
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "\r\n";
  BodyCanonicalizer canonicalizer(Canonicalization::kRelaxed);
  size_t largest = 0;
  size_t total = 0;
  const auto emit = [&](std::string_view bytes) {
    largest = std::max(largest, bytes.size());
    total += bytes.size();
  };
  canonicalizer.Feed(lines, emit);
  CHECK(total == 0);
  canonicalizer.Feed("x", emit);
  canonicalizer.End(emit);
  CHECK(total == lines.size() + 3);
  CHECK(largest <= 32 * 1024);
}

}  // namespace
}  // namespace godwit::dkim
