#pragma once

// FakeZone: DNS answers from a text, as a perfect resolver would give them. Pure: for tests of
// protocol code that asks in rounds (base::DnsStep). FakeResolver makes a dns::Resolver of it.
//
//   testing::FakeZone zone(R"(
//     # name            [ttl]  type   data
//     example.org       300    MX     10 mail.example.org
//     mail.example.org         A      192.0.2.1
//     example.org              TXT    "v=spf1 ip4:192.0.2.0/24 " "-all"
//     _25._tcp.mail.example.org TLSA  3 1 1 0123ab
//     1.2.0.192.in-addr.arpa   PTR    mail.example.org
//     _imap._tcp.example.org   SRV    0 1 143 mail.example.org
//     www.example.org          CNAME  example.org
//     *.wild.example.org       A      192.0.2.2
//     nullmx.example           MX     0 .
//     broken.example           TEMPFAIL
//     example.org              SIGNED
//   )");
//
// Names are absolute, with or without the final dot. Strings in quotes know \" \\ and \DDD.
// TEMPFAIL makes every question at that name fail. SIGNED makes answers for the name and all below
// it authentic (a chain is authentic when all its names are). A name exists when it has records or
// something below it has; `*` matches as in RFC 4592 for one label or more. CNAMEs are followed,
// 10 at most. A line that can't be read ends the test (GODWIT_CHECK).

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "libs/base/check.h"
#include "libs/base/dns_answer.h"

namespace godwit::testing {

class FakeZone {
 public:
  FakeZone() = default;
  explicit FakeZone(std::string_view text) { Add(text); }

  // More lines; may be called again and again.
  void Add(std::string_view text);
  // This answer for this question, whatever the text says.
  void Override(base::DnsQuestion question, base::DnsAnswer answer);
  // Forgets all records of a name.
  void Remove(std::string_view name);

  base::DnsAnswer Lookup(const base::DnsQuestion& question) const;

 private:
  struct Node {
    std::map<base::DnsType, base::DnsAnswer> records;
    bool temp_fail = false;
  };
  void AddLine(std::string_view line);
  const Node* Find(const std::string& name) const;
  bool Exists(const std::string& name) const;
  bool IsSigned(std::string_view name) const;
  base::DnsAnswer Negative(const std::string& name) const;

  std::map<std::string, Node> nodes_;
  std::set<std::string> signed_;
  std::map<base::DnsQuestion, base::DnsAnswer> overrides_;
};

// An answer that failed for the time being.
base::DnsAnswer TempFail(std::string_view error);

// Runs a pure evaluation to its end against `zone`; `asked` counts the questions, when given.
// A step that asks 50 rounds ends the test.
template <typename Step>
auto Evaluate(const FakeZone& zone, Step step, int* asked = nullptr) {
  base::DnsAnswers answers;
  for (int round = 0; round < 50; ++round) {
    auto outcome = step(std::as_const(answers));
    if (outcome.index() == 0) return std::get<0>(std::move(outcome));
    for (const base::DnsQuestion& question : std::get<1>(outcome)) {
      GODWIT_CHECK(answers.count(question) == 0);  // a step never asks again
      answers[question] = zone.Lookup(question);
      if (asked != nullptr) ++*asked;
    }
  }
  GODWIT_CHECK(false && "the evaluation does not end");
  __builtin_unreachable();
}

}  // namespace godwit::testing
