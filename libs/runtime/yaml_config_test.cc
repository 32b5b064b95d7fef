#include "libs/runtime/yaml_config.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/runtime/test_config.pb.h"

namespace godwit::runtime {
namespace {

std::optional<std::string> TestEnvironment(const std::string& name) {
  if (name == "TEST_PASSWORD") return "geheim";
  if (name == "LONG") return "much too long";
  if (name == "SESSIONS") return "7";
  return std::nullopt;
}
std::optional<std::string> NoEnvironment(const std::string&) { return std::nullopt; }

std::vector<std::string> Errors(std::string_view text, test::Config* config,
                                const Environment& environment = TestEnvironment) {
  std::vector<std::string> lines;
  for (const ConfigError& error : LoadYaml(text, "f.yaml", environment, config)) {
    lines.push_back(error.ToString());
  }
  return lines;
}

std::vector<std::string> Errors(std::string_view text) {
  test::Config config;
  return Errors(text, &config);
}

using Lines = std::vector<std::string>;

TEST_CASE("An empty file gives the defaults", "[runtime][unit]") {
  const std::string text = GENERATE("", "# only a comment\n", "---\n", "limits:\ncommon: {}\n");
  CAPTURE(text);
  test::Config config;
  CHECK(Errors(text, &config) == Lines{});
  CHECK(config.limits().max_size() == 50u << 20);
  CHECK(config.limits().timeout().seconds() == 300);
  CHECK(config.limits().sessions() == 100);
  CHECK(config.mode() == test::MODE_STRICT);
  CHECK(config.ratio() == 0.5);
  CHECK(config.password() == "geheim");
  CHECK(config.common().log().level() == config::v1::Log::LEVEL_INFO);
  CHECK(config.common().drain().grace().seconds() == 20);
  CHECK_FALSE(config.has_extra());
  CHECK_FALSE(config.has_nested());
}

TEST_CASE("A full file fills every kind of field", "[runtime][unit]") {
  test::Config config;
  const Lines errors = Errors(R"(
common:
  metrics_listen: 127.0.0.1:9100
  log: {level: debug, file: /var/log/x}
  drain: {notice: 100ms}
listeners:
  - listen: "[::1]:25"
  - {listen: "0.0.0.0:587", tls: true}
limits:
  max_size: 64KiB
  timeout: 1m30s
  sessions: ${ENV:SESSIONS}
mode: very_lax
password: "x"
networks: [192.0.2.0/24, 10]
weights: {a: 1, b: 2}
extra: {name: 25}
one: "1"
ratio: 1e-1
offset: -7
verbose: true
)",
                              &config);
  CHECK(errors == Lines{});
  CHECK(config.common().metrics_listen() == "127.0.0.1:9100");
  CHECK(config.common().log().level() == config::v1::Log::LEVEL_DEBUG);
  CHECK(config.common().drain().notice().nanos() == 100000000);
  REQUIRE(config.listeners_size() == 2);
  CHECK(config.listeners(0).listen() == "[::1]:25");
  CHECK(config.listeners(1).tls());
  CHECK(config.limits().max_size() == 65536);
  CHECK(config.limits().timeout().seconds() == 90);
  CHECK(config.limits().sessions() == 7);
  CHECK(config.mode() == test::MODE_VERY_LAX);
  CHECK(config.password() == "x");
  CHECK(config.networks(1) == "10");
  CHECK(config.weights().at("b") == 2);
  CHECK(config.extra().name() == "25");
  CHECK(config.ratio() == 0.1);
  CHECK(config.offset() == -7);
}

TEST_CASE("Every error is reported at once, with its place", "[runtime][unit]") {
  CHECK(Errors("limits:\n"
               "  max_sise: 1MiB\n"
               "  timeout: 30\n"
               "  sessions: 0\n"
               "listeners:\n"
               "  - tls: yes\n"
               "  - listen: nowhere\n"
               "mode: loose\n"
               "mode: strict\n"
               "verbose: \"true\"\n"
               "offset: 2147483648\n"
               "networks: 10.0.0.0/8\n"
               "extra: 7\n"
               "one: a\n"
               "other: b\n") ==
        Lines{
            "f.yaml:2:3: limits.max_sise: unknown field; did you mean \"max_size\"?",
            "f.yaml:3:12: limits.timeout: \"30\": expected a duration such as \"30s\" or \"5m\"",
            "f.yaml:4:13: limits.sessions: \"0\": must be at least 1",
            "f.yaml:6:5: listeners[0].listen: required",
            "f.yaml:6:10: listeners[0].tls: \"yes\": expected true or false",
            "f.yaml:7:13: listeners[1].listen: \"nowhere\": expected HOST:PORT",
            "f.yaml:8:7: mode: \"loose\": expected one of strict, very_lax",
            "f.yaml:9:1: mode: duplicate key",
            "f.yaml:10:10: verbose: \"true\": expected true or false",
            "f.yaml:11:9: offset: \"2147483648\": expected a whole number",
            "f.yaml:12:11: networks: expected a list",
            "f.yaml:13:8: extra: expected a section (name: value)",
            "f.yaml:15:1: other: can't be together with one",
        });
}

TEST_CASE("Bounds are inclusive", "[runtime][unit]") {
  struct Row {
    std::string text;
    size_t errors;
  };
  const Row row = GENERATE(values<Row>({
      {"limits: {max_size: 1KiB}", 0},
      {"limits: {max_size: 1023}", 1},
      {"limits: {max_size: 1GiB}", 0},
      {"limits: {max_size: 1025MiB}", 1},
      {"limits: {timeout: 1h}", 0},
      {"limits: {timeout: 3601s}", 1},
      {"limits: {sessions: 4294967295}", 0},
      {"limits: {sessions: 4294967296}", 1},
      {"limits: {sessions: -1}", 1},
      {"limits: {sessions: 1.0}", 1},
      {"limits: {sessions: \"5\"}", 1},
      {"limits: {sessions: [5]}", 1},
      {"password: 12345678", 0},
      {"password: 123456789", 1},
      {"ratio: 1.01", 1},
      {"ratio: nan", 1},
      {"ratio: 0x1", 1},
      {"weights: {a: -1}", 1},
      {"weights: {a: 1, a: 2}", 1},
      {"? [a]\n: 1", 1},
      {"[]", 1},
      {"just text", 1},
      {"a: 1\n---\nb: 2", 1},
      {"limits: [", 1},
      {"limits: *nothing", 1},
  }));
  CAPTURE(row.text);
  CHECK(Errors(row.text).size() == row.errors);
}

TEST_CASE("Secrets come from the environment and are never shown", "[runtime][unit]") {
  CHECK(Errors("password: ${ENV:ABSENT}") ==
        Lines{"f.yaml:1:11: password: the variable ABSENT is not set"});
  CHECK(Errors("password: ${ENV:LONG}") ==
        Lines{"f.yaml:1:11: password: the value of LONG: must be at most 8 characters"});
  test::Config config;
  CHECK(Errors("", &config, NoEnvironment) == Lines{});
  CHECK(config.password() == "");
}

TEST_CASE("Anchors, aliases and merge keys work", "[runtime][unit]") {
  test::Config config;
  CHECK(Errors("listeners:\n"
               "  - &base {listen: '127.0.0.1:1', tls: true}\n"
               "  - {<<: *base, listen: '127.0.0.1:2'}\n"
               "  - {<<: [{tls: false}, *base]}\n"
               "  - *base\n",
               &config) == Lines{});
  REQUIRE(config.listeners_size() == 4);
  CHECK(config.listeners(1).listen() == "127.0.0.1:2");
  CHECK(config.listeners(1).tls());
  CHECK(config.listeners(2).listen() == "127.0.0.1:1");
  CHECK_FALSE(config.listeners(2).tls());
}

// Found by yaml_config_fuzz: yaml-cpp 0.7 never gets past a comma that stands where a document
// could begin. YAML::LoadAll made empty documents of it until the memory was gone; YAML::Load
// ignores it and all that follows, so a file with a stray comma would have given the defaults.
TEST_CASE("A stray comma is an error, not an endless or an empty file", "[runtime][unit]") {
  CHECK(Errors(",") == Lines{"f.yaml:1:1: more than one YAML document, or no YAML"});
  CHECK(Errors(", mode: strict").size() == 1);
  CHECK(Errors("}").size() == 1);
  CHECK(Errors("mode: strict\n...\n") == Lines{});
  CHECK(Errors("---\nmode: strict\n...\n# end\n") == Lines{});
  CHECK(Errors("%YAML 1.2\n---\nmode: strict\n") == Lines{});
}

TEST_CASE("A billion laughs and bottomless nesting are refused, quickly", "[runtime][unit]") {
  std::string laughs = "common: &a0 {<<: {}}\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "k" + std::to_string(i) + ": &a" + std::to_string(i) + " {<<: [" + before + ", " +
              before + ", " + before + "]}\n";
  }
  laughs += "limits: *a29\n";
  const Lines errors = Errors(laughs);
  REQUIRE_FALSE(errors.empty());
  CHECK(errors.size() <= 40);

  std::string lists = "networks: &a [x]\n";
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "nested: {";
  CHECK_FALSE(Errors(deep + std::string(100, '}')).empty());
  CHECK_FALSE(Errors(std::string(100000, '[')).empty());
  CHECK_FALSE(Errors("nested: &n {nested: *n}").empty());
  CHECK_FALSE(Errors(std::string((1 << 20) + 1, ' ')).empty());
}

}  // namespace
}  // namespace godwit::runtime
