// A value of an Authentication-Results field, and the same bytes as what a peer said. Properties:
// what we write parses again with our name and its results, whatever the peer said; our own field
// is always recognised.

#include <cstdint>
#include <string>

#include "libs/authres/authres.h"
#include "libs/base/check.h"

namespace godwit::authres {

void Run(std::string_view input) {
  const auto start = ParseStart(input);
  GODWIT_CHECK(!start.ok() || start->rest <= input.size());
  (void)ClaimsToBeFrom(input, "mx.example.org", true);
  (void)Parse(input);
  const std::string peer(input);
  const std::string value =
      Format("mx.example.org", {{"spf", "fail", peer, peer, {{"smtp", "mailfrom", peer}}}});
  const auto ours = ParseStart(value);
  GODWIT_CHECK(ours.ok() && ours->authserv_id == "mx.example.org");
  GODWIT_CHECK(ClaimsToBeFrom(value, "MX.example.org"));
  // What we wrote of him is one result, with his text in one property.
  const auto parsed = Parse(value);
  GODWIT_CHECK(parsed.ok() && parsed->results.size() == 1);
  GODWIT_CHECK(parsed->results[0].method == "spf" && parsed->results[0].result == "fail");
  GODWIT_CHECK(parsed->results[0].properties.size() == 1);
  // No line of its own can come out of the peer's text.
  for (size_t i = value.find('\n'); i != value.npos; i = value.find('\n', i + 1)) {
    GODWIT_CHECK(value[i - 1] == '\r' && i + 1 < value.size() && value[i + 1] == '\t');
  }
}

}  // namespace godwit::authres

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::authres::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
