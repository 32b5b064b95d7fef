// Properties: the same result and the same rest for the whole, byte by byte, and a cut in the
// middle; a header in memory stays small whatever is announced.

#include <string>

#include "libs/base/check.h"
#include "libs/net/proxy.h"

namespace {

using godwit::net::ProxyNeedMore;
using godwit::net::ProxyParser;
using godwit::net::ProxyResult;

struct Outcome {
  ProxyResult result;
  size_t used = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome Parse(std::string_view wire, size_t step) {
  ProxyParser parser;
  Outcome outcome;
  for (size_t at = 0; at < wire.size(); at += step) {
    std::string_view chunk = wire.substr(at, step);
    const size_t before = chunk.size();
    outcome.result = parser.Next(&chunk);
    outcome.used += before - chunk.size();
    if (!std::holds_alternative<ProxyNeedMore>(outcome.result)) break;
    GODWIT_CHECK(chunk.empty());
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  if (wire.empty()) return 0;
  const Outcome whole = Parse(wire, wire.size());
  GODWIT_CHECK(Parse(wire, 1) == whole);
  GODWIT_CHECK(Parse(wire, wire.size() / 2 + 1) == whole);
  if (const auto* header = std::get_if<godwit::net::ProxyHeader>(&whole.result)) {
    GODWIT_CHECK(whole.used <= 16 + 4096);
    GODWIT_CHECK(header->has_addresses || header->source == godwit::net::Endpoint());
  }
  return 0;
}
