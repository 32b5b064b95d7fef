// A domain, a code rule and the answers of a list, from one input. Properties: every question is a
// DNS name, a listing comes only with addresses in 127.0.0.0/8 that a rule knows, the reason is
// printable and bounded, and two rounds are enough.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/dnsbl/lookup.h"
#include "libs/idna/domain.h"

namespace godwit::dnsbl {

// The input is "RULE \n DOMAIN \n REASON \n octets of addresses, four each".
void Run(std::string_view input) {
  const auto take = [&] {
    const size_t end = std::min(input.find('\n'), input.size());
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
    return line;
  };
  List list;
  list.zone = "bl.example";
  list.domains = true;
  const auto rule = ParseCodeRule(take());
  if (rule.ok()) {
    GODWIT_CHECK(rule->first.bytes() <= rule->last.bytes() && rule->weight >= 0 &&
                 rule->weight <= 1000);
    list.codes = {*rule};
  }
  const Subjects subjects{base::IpAddress::Parse("192.0.2.1"), {base::Lower(take())}};
  base::DnsAnswer reason;
  reason.outcome = base::DnsOutcome::kOk;
  reason.texts = {std::string(take())};
  base::DnsAnswer addresses;
  for (size_t at = 0; at + 4 <= input.size(); at += 4) {
    addresses.addresses.push_back(*base::IpAddress::FromBytes(input.substr(at, 4)));
  }
  addresses.outcome =
      addresses.addresses.empty() ? base::DnsOutcome::kNoData : base::DnsOutcome::kOk;

  base::DnsAnswers answers;
  for (int round = 0; round < 3; ++round) {
    auto step = Evaluate({list}, subjects, answers);
    if (const auto* questions = std::get_if<std::vector<base::DnsQuestion>>(&step)) {
      GODWIT_CHECK(round < 2 && !questions->empty());
      for (const base::DnsQuestion& question : *questions) {
        GODWIT_CHECK(idna::IsDnsName(question.name));
        answers[question] = question.type == base::DnsType::kA ? addresses : reason;
      }
      continue;
    }
    for (const Result& result : std::get<std::vector<Result>>(step)) {
      GODWIT_CHECK(result.text.size() <= 200);
      for (const char c : result.text) GODWIT_CHECK(c >= 0x20 && c <= 0x7e);
      GODWIT_CHECK((result.outcome == Outcome::kListed) == !result.categories.empty());
      if (result.outcome != Outcome::kListed) continue;
      for (const base::IpAddress& address : addresses.addresses) {
        GODWIT_CHECK(address.bytes()[0] == 127);
      }
    }
    return;
  }
}

}  // namespace godwit::dnsbl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::dnsbl::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
