#include "libs/mime/date.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::mime {
namespace {

TEST_CASE("ParseDate reads what mailers write", "[mime][unit]") {
  struct Row {
    std::string value;
    int64_t seconds;
    int offset;
  };
  const Row row = GENERATE(values<Row>({
      {"Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360},
      {"21 Nov 97 09:55:06 CST", 880127706, -360},
      {"21 Nov 097 09:55:06 CST", 880127706, -360},
      {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 0, 1 << 20},  // spaces in the time: no
      {"Fri (x), 21 Nov 1997 09:55 -0600 (CST)", 880127700, -360},
      {"Mon, 1 Jan 2024 00:00:00 +0545", 1704046500, 345},
      {"1 January 2024 00:00:00 GMT", 1704067200, 0},
      {"1 Jan 2024 00:00:00", 1704067200, 0},
      {"1 Jan 2024 00:00:00 Z", 1704067200, 0},
      {"1 Jan 2024 00:00:00 A", 1704067200, 0},
      {"1 Jan 2024 00:00:00 +99999", 1704067200, 0},
      {"29 Feb 2024 00:00:00 +0000", 1709164800, 0},
      {"29 Feb 2023 00:00:00 +0000", 0, 1 << 20},
      {"31 Dec 2016 23:59:60 +0000", 1483228800, 0},
      {"32 Jan 2024 00:00:00", 0, 1 << 20},
      {"0 Jan 2024 00:00:00", 0, 1 << 20},
      {"1 Foo 2024 00:00:00", 0, 1 << 20},
      {"1 Jan 2024", 0, 1 << 20},
      {"1 Jan 1899 00:00:00", 0, 1 << 20},
      {"1 Jan 2024 24:00:00", 0, 1 << 20},
      {"1 Jan 2024 1:2:3:4", 0, 1 << 20},
      {"", 0, 1 << 20},
      {"((((", 0, 1 << 20},
      {"1 Jan 99999999999999999999 00:00:00", 0, 1 << 20},
  }));
  CAPTURE(row.value);
  const auto date = ParseDate(row.value);
  if (row.offset == 1 << 20) {
    CHECK_FALSE(date.has_value());
    return;
  }
  REQUIRE(date.has_value());
  CHECK(absl::ToUnixSeconds(date->time) == row.seconds);
  CHECK(date->offset_minutes == row.offset);
}

TEST_CASE("FormatDate writes what ParseDate reads", "[mime][unit]") {
  const absl::Time time = absl::FromUnixSeconds(880127706);
  CHECK(FormatDate(time, -360) == "Fri, 21 Nov 1997 09:55:06 -0600");
  CHECK(FormatDate(time, -1) == "Fri, 21 Nov 1997 15:54:06 -0001");
  const int offset = GENERATE(0, 1, -719, 840, 345);
  CHECK(ParseDate(FormatDate(time, offset)) == DateTime{time, offset});
}

}  // namespace
}  // namespace godwit::mime
