// Any text as a configuration: never throws, always ends, every error has a place, and what loads
// without an error keeps its bounds.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "libs/base/check.h"
#include "libs/runtime/test_config.pb.h"
#include "libs/runtime/yaml_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit;
  if (size > 64 * 1024) return 0;
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    if (name.empty()) return std::nullopt;
    return name;
  };
  runtime::test::Config config;
  const auto errors =
      runtime::LoadYaml({reinterpret_cast<const char*>(data), size}, "f", environment, &config);
  for (const auto& error : errors) {
    GODWIT_CHECK(error.line >= 1 && error.column >= 1 && !error.reason.empty());
  }
  if (!errors.empty()) return 0;
  GODWIT_CHECK(config.limits().max_size() >= 1024 && config.limits().max_size() <= 1 << 30);
  GODWIT_CHECK(config.limits().sessions() >= 1);
  GODWIT_CHECK(config.password().size() <= 8);
  GODWIT_CHECK(config.ratio() >= 0 && config.ratio() <= 1);
  for (const auto& listener : config.listeners()) GODWIT_CHECK(!listener.listen().empty());
  return 0;
}
