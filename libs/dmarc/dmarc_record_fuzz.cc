// The first line is a From value, the others are records of a walk, top last. Properties: domains
// of From are names DNS can have; a record has values within their ranges, its report addresses are
// addresses; an evaluation ends.

#include <cstdint>
#include <string>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/dmarc/author.h"
#include "libs/dmarc/destinations.h"
#include "libs/dmarc/evaluate.h"
#include "libs/dmarc/record.h"
#include "libs/idna/domain.h"

namespace godwit::dmarc {

void Run(std::string_view input) {
  const auto lines = base::Split(input.substr(0, 8192), '\n');
  Input evaluation{"a.b.example.org",
                   {{Mechanism::kDkim, "example.org", Outcome::kPass},
                    {Mechanism::kSpf, "b.example.org", Outcome::kTempError}}};
  const auto authors = AuthorDomains({lines[0]});
  if (authors.ok()) {
    GODWIT_CHECK(authors->size() <= kMaxAuthorDomains);
    for (const std::string& author : *authors) {
      GODWIT_CHECK(idna::IsDnsName(author));
      evaluation.author_domain = author;
    }
  }
  for (const std::string_view line : lines) {
    const auto record = ParseRecord(line);
    GODWIT_CHECK(!record ||
                 (IsDmarcRecord(line) && record->percent <= 100 && record->percent >= 0));
    if (!record) continue;
    for (const std::string& uri : record->rua) {
      const auto destination = ParseReportUri(uri, Mode::kPublicSuffixList);
      GODWIT_CHECK(!destination || (idna::IsDnsName(destination->domain) &&
                                    destination->address.ends_with("@" + destination->domain)));
    }
  }
  base::DnsAnswers answers;
  for (int round = 0; round < 10; ++round) {
    const auto step = Evaluate(evaluation, {}, answers);
    if (step.index() == 0) {
      const Result& result = std::get<0>(step);
      GODWIT_CHECK(result.disposition <= result.policy);
      GODWIT_CHECK(result.code == ResultCode::kFail || result.disposition == Policy::kNone);
      return;
    }
    for (const auto& question : std::get<1>(step)) {
      base::DnsAnswer& answer = answers[question];
      answer.outcome = base::DnsOutcome::kOk;
      const size_t labels = base::Split(question.name, '.').size();
      if (labels < lines.size()) answer.texts = {std::string(lines[labels])};
    }
  }
  GODWIT_CHECK(false && "no end");
}

}  // namespace godwit::dmarc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::dmarc::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
