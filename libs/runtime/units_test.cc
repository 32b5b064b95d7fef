#include "libs/runtime/units.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::runtime {
namespace {

TEST_CASE("Durations have units", "[runtime][unit]") {
  struct Row {
    std::string text;
    std::optional<absl::Duration> duration;
  };
  const Row row = GENERATE(values<Row>({
      {"0", absl::ZeroDuration()},
      {"0s", absl::ZeroDuration()},
      {"100ms", absl::Milliseconds(100)},
      {"30s", absl::Seconds(30)},
      {"5m", absl::Minutes(5)},
      {"1h30m", absl::Minutes(90)},
      {"7d", absl::Hours(168)},
      {"1d1h1m1s1ms1us", absl::Hours(25) + absl::Seconds(61) + absl::Microseconds(1001)},
      {"", std::nullopt},
      {"30", std::nullopt},
      {"s", std::nullopt},
      {"-5s", std::nullopt},
      {"1.5s", std::nullopt},
      {"5 s", std::nullopt},
      {"5S", std::nullopt},
      {"30m1h", std::nullopt},
      {"1s1s", std::nullopt},
      {"101y", std::nullopt},
      {"36501d", std::nullopt},
      {"18446744073709551616s", std::nullopt},
      {"9999999999999999d", std::nullopt},
  }));
  CAPTURE(row.text);
  CHECK(ParseDuration(row.text) == row.duration);
}

TEST_CASE("Sizes have units", "[runtime][unit]") {
  CHECK(ParseSize("512") == 512);
  CHECK(ParseSize("64KiB") == 65536);
  CHECK(ParseSize("50MiB") == 50u << 20);
  CHECK(ParseSize("1GiB") == uint64_t{1} << 30);
  CHECK(ParseSize("3kB") == 3000);
  CHECK(ParseSize("1B") == 1);
  for (const char* bad : {"", "KiB", "1kb", "1 KiB", "1KiB2", "-1", "1.5MiB", "99999999999TiB"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseSize(bad).has_value());
  }
}

TEST_CASE("Endpoints are host and port", "[runtime][unit]") {
  CHECK(ParseEndpoint("127.0.0.1:25")->host == "127.0.0.1");
  CHECK(ParseEndpoint("[::1]:25")->host == "::1");
  CHECK(ParseEndpoint("[::1]:25")->port == 25);
  CHECK(ParseEndpoint(":25")->host == "");
  CHECK(ParseEndpoint("mail-1.example:0")->port == 0);
  for (const char* bad :
       {"", "25", "a", "a:", "a:65536", "::1:25", "[127.0.0.1]:25", "[::1:25", "a b:25", "a:25x"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseEndpoint(bad).has_value());
  }
}

}  // namespace
}  // namespace godwit::runtime
