#include "libs/dns/idna.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::dns {
namespace {

TEST_CASE("ToAscii gives lower-case A-labels, non-transitionally", "[dns][unit]") {
  struct Row {
    std::string domain;
    std::string ascii;
  };
  const Row row = GENERATE(values<Row>({
      {"Example.ORG", "example.org"},
      {"example.org.", "example.org"},
      {"_dmarc.Example.org", "_dmarc.example.org"},
      {"B\xc3\x9c"
       "CHER.example",
       "xn--bcher-kva.example"},
      {"fa\xc3\x9f.example", "xn--fa-hia.example"},
      {"_dmarc.b\xc3\xbc"
       "cher.example",
       "_dmarc.xn--bcher-kva.example"},
      {"\xe4\xbe\x8b\xe3\x80\x82\xe4\xb8\xad\xe5\x9b\xbd", "xn--fsq.xn--fiqs8s"},
  }));
  CAPTURE(row.domain);
  const auto ascii = ToAscii(row.domain);
  REQUIRE(ascii.ok());
  CHECK(*ascii == row.ascii);
}

TEST_CASE("ToAscii refuses what is no domain", "[dns][unit]") {
  const std::string bad =
      GENERATE(std::string(), std::string("."), std::string("a..b"), std::string(".a"),
               std::string(64, 'a'), std::string("\xff\xfe.example"),
               std::string("\xc3\xbc\0x.example", 12), std::string("a..") + "\xc3\xbc");
  CAPTURE(bad);
  CHECK_FALSE(ToAscii(bad).ok());
  std::string too_long = "a";
  for (int i = 0; i < 127; ++i) too_long += ".a";
  CHECK_FALSE(ToAscii(too_long).ok());
}

TEST_CASE("ToUnicode shows U-labels and leaves the rest", "[dns][unit]") {
  CHECK(ToUnicode("xn--bcher-kva.example") ==
        "b\xc3\xbc"
        "cher.example");
  CHECK(ToUnicode("xn--\x80.example") == "xn--\x80.example");
  CHECK(ToUnicode("plain.example") == "plain.example");
}

}  // namespace
}  // namespace godwit::dns
