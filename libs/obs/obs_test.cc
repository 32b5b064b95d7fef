#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/obs/json.h"
#include "libs/obs/log.h"
#include "libs/obs/metrics.h"

namespace godwit::obs {
namespace {

// What was logged while `fn` ran, line by line.
template <typename Fn>
std::vector<std::string> Logged(Fn fn) {
  char path[] = "/tmp/godwit-log-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  unlink(path);
  SetDescriptor(fd);
  fn();
  SetDescriptor(STDERR_FILENO);
  std::string text(static_cast<size_t>(lseek(fd, 0, SEEK_END)), '\0');
  REQUIRE(pread(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  close(fd);
  std::vector<std::string> lines;
  for (std::string_view line : base::Split(text, '\n')) {
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

TEST_CASE("A JSON string is escaped, and bad UTF-8 replaced", "[obs][unit]") {
  struct Row {
    std::string text;
    std::string json;
  };
  const Row row = GENERATE(values<Row>({
      {"plain", "\"plain\""},
      {"a\"b\\c\n\r\t", "\"a\\\"b\\\\c\\n\\r\\t\""},
      {std::string("\0\x1f\x7f", 3), "\"\\u0000\\u001f\\u007f\""},
      {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
      {"\xf0\x9f\x93\xa7", "\"\xf0\x9f\x93\xa7\""},
      {"a\xc3", "\"a\xef\xbf\xbd\""},
      {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
      {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
  }));
  std::string json;
  AppendJsonString(row.text, &json);
  CHECK(json == row.json);
}

TEST_CASE("A line has time, level, daemon, event and fields of every type", "[obs][unit]") {
  SetDaemon("test");
  const auto lines = Logged([] {
    Log(Level::kInfo, "message \"x\"",
        {{"trace", "t1"},
         {"bytes", size_t{18446744073709551615u}},
         {"left", -3},
         {"ok", true},
         {"took", absl::Milliseconds(1500)},
         {"nan", 0.0 / 0.0},
         {"error", base::Unavailable("no \n route")}});
  });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with("{\"time\":\"20"));
  CHECK(lines[0].ends_with(
      "Z\",\"level\":\"info\",\"daemon\":\"test\",\"event\":\"message \\\"x\\\"\",\"trace\":\"t1\","
      "\"bytes\":18446744073709551615,\"left\":-3,\"ok\":true,\"took\":1.5,\"nan\":null,"
      "\"error\":\"UNAVAILABLE: no \\n route\"}"));
}

TEST_CASE("The level is changed at run time", "[obs][unit]") {
  const auto lines = Logged([] {
    Log(Level::kDebug, "hidden");
    CHECK(SetLevel("debug").ok());
    Log(Level::kDebug, "shown");
    CHECK(SetLevel("error").ok());
    Log(Level::kWarning, "hidden too");
    SetLevel(Level::kInfo);
    CHECK_FALSE(SetLevel("loud").ok());
  });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("shown") != std::string::npos);
}

TEST_CASE("Repeated errors are counted instead of written; information is not", "[obs][unit]") {
  const auto lines = Logged([] {
    for (int i = 0; i < 500; ++i) Log(Level::kError, "database gone", {{"i", i}});
    for (int i = 0; i < 500; ++i) Log(Level::kInfo, "delivered", {{"i", i}});
  });
  CHECK(lines.size() >= 520);
  CHECK(lines.size() <= 540 + 20);  // the loop may run into the next second
}

TEST_CASE("A huge value does not make a huge line, and the line stays JSON", "[obs][unit]") {
  const auto lines = Logged([] {
    const std::string huge(100000, '\1');
    Log(Level::kInfo, "x", {{"huge", huge}, {"after", 1}});
  });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].size() < 17000);
  CHECK(lines[0].ends_with("\"after\":1}"));
}

TEST_CASE("Lines of many threads do not mix", "[obs][unit]") {
  const auto lines = Logged([] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 200; ++i) Log(Level::kInfo, "event", {{"i", i}});
      });
    }
    for (auto& thread : threads) thread.join();
  });
  CHECK(lines.size() == 800);
  for (const std::string& line : lines) REQUIRE((line.front() == '{' && line.back() == '}'));
}

TEST_CASE("Families start at 0 for every combination of labels", "[obs][unit]") {
  CounterFamily messages("godwit_test_messages_total", "Messages.",
                         {{"outcome", {"accepted", "rejected"}}, {"tls", {"yes", "no"}}});
  messages.At({"accepted", "yes"}).Add();
  messages.At({"accepted", "yes"}).Add(2);
  const std::string text = ExposeMetrics();
  CHECK(text.find("# HELP godwit_test_messages_total Messages.") != std::string::npos);
  CHECK(text.find("godwit_test_messages_total{outcome=\"accepted\",tls=\"yes\"} 3") !=
        std::string::npos);
  CHECK(text.find("godwit_test_messages_total{outcome=\"rejected\",tls=\"no\"} 0") !=
        std::string::npos);
}

TEST_CASE("Two objects of one name are one metric; gauges and histograms work", "[obs][unit]") {
  Gauge first("godwit_test_sessions", "Sessions.");
  Gauge second("godwit_test_sessions", "Sessions.");
  first.Add();
  second.Add(2);
  first.Add(-1);
  CHECK(second.value() == 2);
  HistogramFamily seconds("godwit_test_seconds", "Time.", {{"kind", {"a"}}}, kSeconds);
  seconds.At({"a"}).Observe(0.002);
  CHECK(ExposeMetrics().find("godwit_test_seconds_bucket{kind=\"a\",le=\"0.0025\"} 1") !=
        std::string::npos);
}

TEST_CASE("The process's own metrics are there and plausible", "[obs][unit]") {
  const std::string text = ExposeMetrics();
  for (const char* name :
       {"\nprocess_cpu_seconds_total ", "\nprocess_resident_memory_bytes ", "\nprocess_open_fds ",
        "\nprocess_max_fds ", "\nprocess_start_time_seconds "}) {
    CAPTURE(name);
    CHECK(text.find(name) != std::string::npos);
  }
  const std::string key = "\nprocess_start_time_seconds ";
  const double start = std::stod(text.substr(text.find(key) + key.size()));
  CHECK(start == Approx(static_cast<double>(time(nullptr))).margin(600));
}

}  // namespace
}  // namespace godwit::obs
