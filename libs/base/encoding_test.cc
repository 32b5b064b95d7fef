#include "libs/base/encoding.h"

#include <catch2/catch.hpp>

namespace godwit::base {
namespace {

std::string AllBytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}

TEST_CASE("Base 64 has the vectors of RFC 4648 section 10", "[base][unit]") {
  struct Row {
    std::string plain, text, url;
  };
  const Row row = GENERATE(values<Row>({{"", "", ""},
                                        {"f", "Zg==", "Zg"},
                                        {"fo", "Zm8=", "Zm8"},
                                        {"foo", "Zm9v", "Zm9v"},
                                        {"foob", "Zm9vYg==", "Zm9vYg"},
                                        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
                                        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                                        {"\xfb\xff\xbf", "+/+/", "-_-_"}}));
  CAPTURE(row.plain);
  CHECK(Base64Encode(row.plain) == row.text);
  CHECK(Base64UrlEncode(row.plain) == row.url);
  CHECK(Base64Decode(row.text).value() == row.plain);
}

TEST_CASE("Base 64 gives back what it was given, at every length", "[base][unit]") {
  const std::string bytes = AllBytes();
  for (size_t length = 0; length <= bytes.size(); ++length) {
    const std::string part = bytes.substr(bytes.size() - length);
    CAPTURE(length);
    CHECK(Base64Decode(Base64Encode(part)).value() == part);
    CHECK(HexDecode(HexEncode(part)).value() == part);
  }
}

TEST_CASE("Base64Decode takes the canonical form only", "[base][unit]") {
  const std::string_view bad =
      GENERATE(as<std::string_view>{}, "Zg", "Zg=", "Z", "=", "====", "Z===",  // padding and length
               "Zg==Zg==", "Zm=v", "Z=g=",                                     // padding too early
               "Zh==", "Zm9=",  // non-zero trailing bits
               "Zm9v\n", "Zm\r\n", "Z m9", "-_-_", "Zm9\x80");
  CAPTURE(bad);
  const auto decoded = Base64Decode(bad);
  REQUIRE_FALSE(decoded.ok());
  CHECK(decoded.status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("Hexadecimal is written in lower case and read in both", "[base][unit]") {
  CHECK(HexEncode(std::string("\x00\x0f\xa0\xff", 4)) == "000fa0ff");
  CHECK(HexDecode("000FA0fF").value() == std::string("\x00\x0f\xa0\xff", 4));
  CHECK(HexDecode("").value().empty());
  const std::string_view bad = GENERATE(as<std::string_view>{}, "0", "0g", "g0", " 0", "0x", "00 ");
  CAPTURE(bad);
  CHECK_FALSE(HexDecode(bad).ok());
}

}  // namespace
}  // namespace godwit::base
