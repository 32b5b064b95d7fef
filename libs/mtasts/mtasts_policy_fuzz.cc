// A policy body and a TXT record of any octets. Properties: what parses is within its bounds, and
// is the same after it is written and read again; a wildcard never matches a host with another
// number of labels.

#include <algorithm>
#include <cstdint>
#include <string>

#include "libs/base/check.h"
#include "libs/mtasts/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit::mtasts;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto policy = ParsePolicy(text);
  if (policy.ok()) {
    GODWIT_CHECK(policy->mx.size() <= kMostPatterns && policy->max_age <= kMostMaxAge);
    GODWIT_CHECK(policy->max_age >= absl::ZeroDuration());
    GODWIT_CHECK(policy->mode == Mode::kNone || !policy->mx.empty());
    const auto again = ParsePolicy(WritePolicy(*policy));
    GODWIT_CHECK(again.ok() && *again == *policy);
    for (const std::string& pattern : policy->mx) {
      const std::string host = pattern.starts_with("*.") ? "mx" + pattern.substr(1) : pattern;
      GODWIT_CHECK(Matches(pattern, host));
      GODWIT_CHECK(!Matches(pattern, "x." + host));
    }
  }
  const auto id = ReadRecord({text});
  if (id) GODWIT_CHECK(!id->empty() && id->size() <= 32);
  GODWIT_CHECK(!ReadRecord({text, text}));
  return 0;
}
