#include "libs/sasl/opaque_string.h"

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

namespace godwit::sasl {
namespace {

struct Row {
  std::string given;
  std::string want;  // "" when it is refused
};

TEST_CASE("PreparePassword follows RFC 8265 section 4.3 and its limits", "[sasl][unit]") {
  const Row row = GENERATE(values<Row>({
      {"correct horse battery staple", "correct horse battery staple"},
      {"Correct Horse Battery Staple", "Correct Horse Battery Staple"},
      {"πßå", "πßå"},
      {"Jack of ♦s", "Jack of ♦s"},
      {"foo\u1680bar", "foo bar"},  // OGHAM SPACE MARK becomes a space
      {"A\u0308", "\u00c4"},        // NFC
      {"\ufb01", "\ufb01"},         // no NFKC: the ligature stays
      {"", ""},                     // zero length
      {"my cat is a \x09 by", ""},  // a control
      {std::string("nul\0", 4), ""},
      {"\x7f", ""},
      {"caf\xe9", ""},                                           // not UTF-8
      {"a\u200bb", ""},                                          // default ignorable
      {"a\u200db", ""},                                          // ZWJ without a virama
      {"\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"},  // ZWJ after a virama
      {"\u1100", ""},                                            // old Hangul jamo
      {"\u0378", ""},                                            // unassigned
  }));
  CAPTURE(row.given);
  const auto prepared = PreparePassword(row.given);
  CHECK(prepared.ok() == !row.want.empty());
  if (prepared.ok()) CHECK(prepared->Reveal() == row.want);
}

TEST_CASE("PreparePassword refuses more than 1024 bytes", "[sasl][unit]") {
  CHECK(PreparePassword(std::string(1024, 'a')).ok());
  CHECK_FALSE(PreparePassword(std::string(1025, 'a')).ok());
}

}  // namespace
}  // namespace godwit::sasl
