#include "libs/base/dns_answer.h"

#include <catch2/catch.hpp>

namespace godwit::base {
namespace {

TEST_CASE("Every record type has the name operators know", "[base][unit]") {
  CHECK(DnsTypeName(DnsType::kA) == "A");
  CHECK(DnsTypeName(DnsType::kNs) == "NS");
  CHECK(DnsTypeName(DnsType::kCname) == "CNAME");
  CHECK(DnsTypeName(DnsType::kPtr) == "PTR");
  CHECK(DnsTypeName(DnsType::kMx) == "MX");
  CHECK(DnsTypeName(DnsType::kTxt) == "TXT");
  CHECK(DnsTypeName(DnsType::kAaaa) == "AAAA");
  CHECK(DnsTypeName(DnsType::kSrv) == "SRV");
  CHECK(DnsTypeName(DnsType::kTlsa) == "TLSA");
}

TEST_CASE("Answers are found by name and type together", "[base][unit]") {
  DnsAnswers answers;
  answers[{"example.org", DnsType::kMx}].outcome = DnsOutcome::kOk;
  CHECK(answers.count({"example.org", DnsType::kMx}) == 1);
  CHECK(answers.count({"example.org", DnsType::kA}) == 0);
  CHECK(answers.count({"example.net", DnsType::kMx}) == 0);
}

TEST_CASE("A void is an answer without records, not a failure", "[base][unit]") {
  struct Row {
    DnsOutcome outcome;
    bool found, is_void;
  };
  const Row row = GENERATE(values<Row>({{DnsOutcome::kOk, true, false},
                                        {DnsOutcome::kNoData, false, true},
                                        {DnsOutcome::kNoDomain, false, true},
                                        {DnsOutcome::kTempFail, false, false}}));
  DnsAnswer answer;
  answer.outcome = row.outcome;
  CHECK(answer.found() == row.found);
  CHECK(answer.is_void() == row.is_void);
}

}  // namespace
}  // namespace godwit::base
