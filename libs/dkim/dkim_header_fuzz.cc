// The first line is the key record, the rest a message with LF or CRLF line ends. Properties: the
// results are the same for every split; the number of results and questions is bounded; what parses
// has its b= removed exactly once.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "libs/base/check.h"
#include "libs/dkim/key_record.h"
#include "libs/dkim/verify.h"

namespace godwit::dkim {

namespace {

std::vector<SignatureResult> Verify(std::string_view message, size_t cut, const std::string& key) {
  Verifier verifier({.max_header_bytes = 16 * 1024}, absl::FromUnixSeconds(1'528'637'909));
  verifier.Feed(message.substr(0, cut));
  verifier.Feed(message.substr(cut));
  base::DnsAnswers answers;
  auto step = verifier.Finish(answers);
  if (step.index() == 1) {
    GODWIT_CHECK(std::get<1>(step).size() <= 10);
    for (const auto& question : std::get<1>(step)) {
      answers[question].outcome = base::DnsOutcome::kOk;
      answers[question].texts = {key};
    }
    step = verifier.Finish(answers);
  }
  return std::get<0>(step);
}

void CheckField(std::string_view raw) {
  const size_t colon = raw.find(':');
  if (colon == raw.npos || !ParseSignature(raw.substr(colon + 1), SignatureForm::kDkim).ok())
    return;
  const std::string once = WithoutSignatureValue(raw);
  GODWIT_CHECK(WithoutSignatureValue(once) == once);
}

}  // namespace

void Run(std::string_view input) {
  const size_t line = input.find('\n');
  const std::string key(input.substr(0, line));
  (void)ParseKeyRecord(key);
  const std::string_view message = line == input.npos ? "" : input.substr(line + 1);
  const auto whole = Verify(message, message.size(), key);
  GODWIT_CHECK(whole.size() <= 100);
  for (const size_t cut : {message.size() / 2, message.size() / 3, size_t{1}}) {
    const auto parts = Verify(message, std::min(cut, message.size()), key);
    GODWIT_CHECK(parts.size() == whole.size());
    for (size_t i = 0; i < whole.size(); ++i) {
      GODWIT_CHECK(parts[i].code == whole[i].code && parts[i].reason == whole[i].reason);
    }
  }
  const auto header = HeaderBlock::Parse(std::string(message));
  for (size_t i = 0; i < header.size(); ++i) CheckField(header.raw(i));
}

}  // namespace godwit::dkim

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::dkim::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
