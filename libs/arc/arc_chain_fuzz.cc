// The first line is the key record of everybody, the rest a message. Properties: the result is the
// same for every split; a chain has at most 50 sets; a chain without its keys never passes.

#include <algorithm>
#include <cstdint>
#include <string>

#include "libs/arc/chain.h"
#include "libs/base/check.h"

namespace godwit::arc {

Result Validate(std::string_view text, size_t cut, const std::string& key) {
  ChainChecker chain({}, absl::FromUnixSeconds(1'700'000'000));
  dkim::MessageStream message(
      64 * 1024, [&](const auto& header, auto& body) { chain.OnHeader(header, body); });
  message.Feed(text.substr(0, cut));
  message.Feed(text.substr(cut));
  message.End();
  if (message.header_too_large()) return {};
  base::DnsAnswers answers;
  for (const auto& question : chain.Questions()) {
    answers[question].outcome = key.empty() ? base::DnsOutcome::kNoDomain : base::DnsOutcome::kOk;
    answers[question].texts = {key};
  }
  return std::get<0>(chain.Evaluate(message, answers));
}

void Run(std::string_view input) {
  const size_t line = input.find('\n');
  const std::string key(input.substr(0, line));
  const std::string_view text = line == input.npos ? "" : input.substr(line + 1);
  const Result whole = Validate(text, text.size(), key);
  GODWIT_CHECK(whole.instances <= 50);
  GODWIT_CHECK(Validate(text, text.size(), "").code != ResultCode::kPass);
  for (const size_t cut : {text.size() / 2, size_t{3}}) {
    const Result parts = Validate(text, std::min(cut, text.size()), key);
    GODWIT_CHECK(parts.code == whole.code && parts.reason == whole.reason);
  }
}

}  // namespace godwit::arc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::arc::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
