// The first line is the record of the domain; the other lines are what DNS says, chosen by the name
// that is asked. Properties: the evaluation ends, within the limits of RFC 7208 §4.6.4; an
// explanation is printable ASCII of at most 800 octets.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/idna/domain.h"
#include "libs/spf/evaluate.h"
#include "libs/spf/record.h"

namespace godwit::spf {

namespace {

base::DnsAnswer Answer(const base::DnsQuestion& question,
                       const std::vector<std::string_view>& lines) {
  base::DnsAnswer answer;
  answer.outcome = base::DnsOutcome::kOk;
  if (question.name == "example.org" && question.type == base::DnsType::kTxt) {
    answer.texts = {std::string(lines[0])};
    return answer;
  }
  const auto hash = std::accumulate(
      question.name.begin(), question.name.end(), 7U,
      [](unsigned sum, char c) { return sum * 31U + static_cast<unsigned char>(c); });
  const std::string line(lines[hash % lines.size()]);
  const auto name = idna::ToAscii(line);
  const auto address = base::IpAddress::Parse(line);
  if (line == "?") answer.outcome = base::DnsOutcome::kTempFail;
  if (line.empty()) answer.outcome = base::DnsOutcome::kNoDomain;
  if (question.type == base::DnsType::kTxt) answer.texts = {line};
  if (question.type == base::DnsType::kPtr && name)
    answer.texts = std::vector<std::string>(12, *name);
  if (question.type == base::DnsType::kMx && name)
    answer.mx = {{1, *name}, {2, "a." + *name}, {3, ""}};
  if (address) answer.addresses = {*address};
  return answer;
}

}  // namespace

void Run(std::string_view input) {
  const auto lines = base::Split(input.substr(0, 4096), '\n');
  if (IsSpfRecord(lines[0])) (void)ParseRecord(lines[0]);
  Query query;
  query.ip = base::IpAddress::Parse(input.size() % 2 == 0 ? "192.0.2.1" : "2001:db8::1").value();
  query.helo = std::string(lines.back().substr(0, 300));
  query.mail_from = "some-one@example.org";
  base::DnsAnswers answers;
  for (int round = 0; round < 60; ++round) {
    const auto step = Evaluate(query, answers);
    if (const auto* result = std::get_if<Result>(&step)) {
      GODWIT_CHECK(result->lookups <= 10 && answers.size() <= 133);
      GODWIT_CHECK(result->explanation.size() <= 800);
      GODWIT_CHECK(std::all_of(result->explanation.begin(), result->explanation.end(),
                               [](char c) { return c >= 0x20 && c <= 0x7e; }));
      return;
    }
    GODWIT_CHECK(!std::get<1>(step).empty());
    for (const auto& question : std::get<1>(step)) {
      GODWIT_CHECK(idna::IsDnsName(question.name));
      GODWIT_CHECK(answers.emplace(question, Answer(question, lines)).second);
    }
  }
  GODWIT_CHECK(false && "no end");
}

}  // namespace godwit::spf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::spf::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
