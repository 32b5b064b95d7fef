#include "libs/runtime/config_summary.h"

#include <catch2/catch.hpp>
#include <map>

#include "libs/runtime/test_config.pb.h"
#include "libs/runtime/yaml_config.h"

namespace godwit::runtime {
namespace {

std::map<std::string, std::string> Summary(std::string_view yaml) {
  test::Config config;
  const auto errors = LoadYaml(
      yaml, "test.yaml", [](const std::string&) { return std::nullopt; }, &config);
  REQUIRE(errors.empty());
  std::map<std::string, std::string> values;
  for (const Setting& setting : SummarizeConfig(config)) values[setting.path] = setting.value;
  return values;
}

TEST_CASE("A summary has every setting, defaults included", "[runtime][unit]") {
  const auto values = Summary(
      "listeners: [{listen: '127.0.0.1:25', tls: true}]\n"
      "mode: very_lax\nnetworks: [a, b]\nweights: {x: 3}\noffset: -4\n");
  const std::map<std::string, std::string> expected = {{"listeners[0].listen", "127.0.0.1:25"},
                                                       {"listeners[0].tls", "true"},
                                                       {"mode", "very_lax"},
                                                       {"networks[1]", "b"},
                                                       {"weights[0].key", "x"},
                                                       {"weights[0].value", "3"},
                                                       {"offset", "-4"},
                                                       {"limits.max_size", "52428800"},
                                                       {"limits.timeout", "5m"},
                                                       {"verbose", "false"},
                                                       {"common.log.level", "info"}};
  for (const auto& [path, value] : expected) {
    CAPTURE(path);
    REQUIRE(values.count(path) == 1);
    CHECK(values.at(path) == value);
  }
  // A section that stayed away has no settings.
  CHECK(values.count("extra.name") == 0);
}

TEST_CASE("A summary shows no secret", "[runtime][unit]") {
  CHECK(Summary("password: hunter2\n").at("password") == "(secret)");
  CHECK(Summary("password: ''\n").at("password").empty());
}

}  // namespace
}  // namespace godwit::runtime
