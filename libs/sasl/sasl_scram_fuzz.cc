// Every mechanism, fed with lines: it ends after a bounded number of steps, and without the
// password nobody is proved.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "libs/base/check.h"
#include "libs/sasl/exchange.h"

namespace {

namespace sasl = godwit::sasl;

sasl::Parameters FixedParameters() {
  sasl::Parameters parameters;
  parameters.server_nonce = "3rfcNHYJY1ZVvWVs7j";
  parameters.binding_type = "tls-exporter";
  parameters.binding_data = "binding";
  return parameters;
}

sasl::ScramVerifiers FixedVerifiers(sasl::ScramHash hash) {
  sasl::ScramVerifiers verifiers;
  verifiers.hash = hash;
  verifiers.salt = "0123456789abcdef";
  const size_t size = hash == sasl::ScramHash::kSha1 ? 20 : 32;
  verifiers.keys = {{std::string(size, 'k'), std::string(size, 's')}};
  return verifiers;
}

std::string_view TakeLine(std::string_view* input) {
  const size_t end = input->find('\n');
  const std::string_view line = input->substr(0, end);
  input->remove_prefix(end == std::string_view::npos ? input->size() : end + 1);
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto exchange = sasl::Exchange::Start(TakeLine(&input), FixedParameters());
  if (exchange == nullptr) return 0;
  for (int step = 0; step < 8; ++step) {
    sasl::Action action = exchange->OnResponse(TakeLine(&input));
    if (const auto* need = std::get_if<sasl::NeedVerifiers>(&action)) {
      GODWIT_CHECK(!need->username.empty());
      action = exchange->OnVerifiers(FixedVerifiers(need->hash));
      GODWIT_CHECK(std::holds_alternative<sasl::Challenge>(action));
    }
    GODWIT_CHECK(!std::holds_alternative<sasl::Proved>(action));
    if (std::holds_alternative<sasl::CheckPassword>(action)) return 0;
    if (std::holds_alternative<sasl::Failure>(action)) return 0;
  }
  GODWIT_CHECK(false);  // too many steps
}
