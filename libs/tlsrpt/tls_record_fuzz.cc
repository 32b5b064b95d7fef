// A record as the DNS gives it. Properties: what was read can be written and read again, and then
// stays the same; every URI is printable and of a scheme that is known.

#include <cstdint>
#include <string>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/tlsrpt/record.h"

namespace godwit::tlsrpt {

void Run(std::string_view text) {
  const absl::StatusOr<Record> record = ParseRecord(text);
  const std::vector<std::string> both = {std::string(text), "v=TLSRPTv1"};
  GODWIT_CHECK(ChooseRecord(both).ok() == record.ok());
  if (!record.ok()) return;
  GODWIT_CHECK(!record->rua.empty() && record->rua.size() <= 10);
  for (const std::string& uri : record->rua) {
    for (const char c : uri) GODWIT_CHECK(c > 0x20 && c < 0x7f && c != ',' && c != ';');
  }
  const auto again = ParseRecord("v=TLSRPTv1; rua=" + base::Join(record->rua, ","));
  GODWIT_CHECK(again.ok() && *again == *record);
}

}  // namespace godwit::tlsrpt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::tlsrpt::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
