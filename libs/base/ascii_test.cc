#include "libs/base/ascii.h"

#include <catch2/catch.hpp>
#include <map>

namespace godwit::base {
namespace {

using namespace std::string_view_literals;

TEST_CASE("Only ASCII letters change case", "[base][unit]") {
  CHECK(Lower("MAIL From:<Ä@[\\]^_`{Z>") == "mail from:<Ä@[\\]^_`{z>");
  CHECK(Upper("mail from:<ä@[\\]^_`{z>") == "MAIL FROM:<ä@[\\]^_`{Z>");
}

TEST_CASE("Comparison without case sees every byte and both lengths", "[base][unit]") {
  CHECK(EqualsIgnoreCase("", ""));
  CHECK(EqualsIgnoreCase("StartTLS", "sTARTtls"));
  CHECK_FALSE(EqualsIgnoreCase("STARTTLS", "STARTTL"));
  // '@' and '`', '[' and '{' differ in the bit that makes the case of letters.
  CHECK_FALSE(EqualsIgnoreCase("@", "`"));
  CHECK_FALSE(EqualsIgnoreCase("[", "{"));
  CHECK_FALSE(EqualsIgnoreCase("a\0b"sv, "a\0c"sv));
}

TEST_CASE("Prefixes and suffixes are compared without case", "[base][unit]") {
  CHECK(StartsWithIgnoreCase("From:<a>", "FROM:"));
  CHECK(StartsWithIgnoreCase("x", ""));
  CHECK_FALSE(StartsWithIgnoreCase("FRO", "FROM"));
  CHECK(EndsWithIgnoreCase("mx.Example.ORG", ".example.org"));
  CHECK(EndsWithIgnoreCase("x", ""));
  CHECK_FALSE(EndsWithIgnoreCase("org", "example.org"));
}

TEST_CASE("Trim takes space, tab, CR and LF and nothing else", "[base][unit]") {
  CHECK(Trim(" \t\r\n a b \r\n\t ") == "a b");
  CHECK(Trim(" \r\n").empty());
  CHECK(Trim("").empty());
  CHECK(Trim("\v\fa\0"sv) == "\v\fa\0"sv);
}

TEST_CASE("Split gives one piece more than there are separators", "[base][unit]") {
  using Pieces = std::vector<std::string_view>;
  CHECK(Split("", ';') == Pieces{""});
  CHECK(Split("a", ';') == Pieces{"a"});
  CHECK(Split(";", ';') == Pieces{"", ""});
  CHECK(Split("a;;b;", ';') == Pieces{"a", "", "b", ""});
}

TEST_CASE("Join puts the separator between pieces only", "[base][unit]") {
  CHECK(Join({}, ", ").empty());
  CHECK(Join({"a"}, ", ") == "a");
  CHECK(Join({"a", "", "b"}, ", ") == "a, , b");
}

TEST_CASE("ParseDecimal takes digits that fit in 64 bits", "[base][unit]") {
  CHECK(ParseDecimal("0") == 0);
  CHECK(ParseDecimal("007") == 7);
  CHECK(ParseDecimal("18446744073709551615") == UINT64_MAX);
  const std::string_view bad = GENERATE(as<std::string_view>{}, "", "-1", "+1", " 1", "1 ", "1a",
                                        "0x1", "1.0", "18446744073709551616");
  CAPTURE(bad);
  CHECK(ParseDecimal(bad) == std::nullopt);
}

TEST_CASE("IsAscii refuses every byte above 127", "[base][unit]") {
  CHECK(IsAscii(""));
  CHECK(IsAscii("\0\x7f"sv));
  CHECK_FALSE(IsAscii("a\x80"sv));
  CHECK_FALSE(IsAscii("\xff"sv));
}

TEST_CASE("IsUtf8 takes the first and last code point of each length", "[base][unit]") {
  const std::string_view good =
      GENERATE(as<std::string_view>{}, "", "\x7f", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80",
               "\xEC\xBF\xBF", "\xED\x80\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
               "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "h\xC3\xA9llo \xF0\x9F\x90\xA6");
  CAPTURE(good);
  CHECK(IsUtf8(good));
}

TEST_CASE("IsUtf8 refuses overlong forms, surrogates, and what is cut short", "[base][unit]") {
  const std::string_view bad = GENERATE(as<std::string_view>{},
                                        "\x80",              // a continuation byte alone
                                        "\xBF",              //
                                        "\xC0\x80",          // U+0000 in two bytes
                                        "\xC1\xBF",          // U+007F in two bytes
                                        "\xE0\x9F\xBF",      // U+07FF in three bytes
                                        "\xF0\x8F\xBF\xBF",  // U+FFFF in four bytes
                                        "\xED\xA0\x80",      // U+D800
                                        "\xED\xBF\xBF",      // U+DFFF
                                        "\xF4\x90\x80\x80",  // U+110000
                                        "\xF5\x80\x80\x80",  //
                                        "\xFE", "\xFF",      //
                                        "\xC3", "\xE2\x82", "\xF0\x9F\x90",  // cut short
                                        "\xC3(", "\xE2\x82(", "\xE2(\xA1", "\xF0\x9F\x90(");
  CAPTURE(bad);
  CHECK_FALSE(IsUtf8(bad));
  CHECK_FALSE(IsUtf8("valid " + std::string(bad)));
}

TEST_CASE("A map keyed without case finds any spelling by string_view", "[base][unit]") {
  const std::map<std::string, int, LessIgnoreCase> headers = {{"Subject", 1}, {"FROM", 2}};
  CHECK(headers.find("subject"sv) != headers.end());
  CHECK(headers.find("From"sv)->second == 2);
  CHECK(headers.count("Fro"sv) == 0);
}

}  // namespace
}  // namespace godwit::base
