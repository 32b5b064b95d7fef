#include "libs/dnsbl/lookup.h"

#include <set>
#include <utility>

#include "libs/idna/domain.h"

namespace godwit::dnsbl {
namespace {

constexpr size_t kMaxText = 200;

// It goes into an SMTP reply and a header field, and its author is anybody.
std::string Printable(std::string_view text) {
  std::string result(text.substr(0, kMaxText));
  for (char& c : result) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return result;
}

// One run over the answers that are known.
class Lookup {
 public:
  explicit Lookup(const base::DnsAnswers& answers) : answers_(answers) {}

  // What `list` says of a subject under this name.
  Result Ask(const List& list, std::string subject, const std::string& name) {
    Result result;
    result.list = list.zone;
    result.kind = list.kind;
    result.subject = std::move(subject);
    const base::DnsAnswer* answer = Find({name, base::DnsType::kA});
    if (answer == nullptr || answer->is_void()) return result;
    if (answer->outcome == base::DnsOutcome::kTempFail) {
      result.outcome = Outcome::kNoAnswer;
      result.problem = "does not answer";
      return result;
    }
    Meaning meaning = Interpret(list, answer->addresses);
    result.codes = std::move(meaning.codes);
    if (!meaning.problem.empty()) {
      result.outcome = Outcome::kError;
      result.problem = std::move(meaning.problem);
      return result;
    }
    if (!meaning.listed) return result;
    result.outcome = Outcome::kListed;
    result.categories = std::move(meaning.categories);
    result.weight = meaning.weight;
    const base::DnsAnswer* reason = Find({name, base::DnsType::kTxt});
    if (reason != nullptr && reason->found() && !reason->texts.empty()) {
      result.text = Printable(reason->texts.front());
    }
    return result;
  }

  // True: a listing, whatever the list's rules make of its code.
  bool Listed(const List& list, const std::string& name, std::string* problem) {
    List any = list;
    any.codes.clear();
    const base::DnsAnswer* answer = Find({name, base::DnsType::kA});
    if (answer == nullptr || answer->is_void()) return false;
    const Meaning meaning = Interpret(any, answer->addresses);
    if (!answer->found()) *problem = "does not answer";
    if (!meaning.problem.empty()) *problem = meaning.problem;
    return meaning.listed;
  }

  std::vector<base::DnsQuestion> missing() const { return {missing_.begin(), missing_.end()}; }

 private:
  // nullptr when the answer is not known: then the question is noted.
  const base::DnsAnswer* Find(base::DnsQuestion question) {
    const auto found = answers_.find(question);
    if (found != answers_.end()) return &found->second;
    missing_.insert(std::move(question));
    return nullptr;
  }

  const base::DnsAnswers& answers_;
  std::set<base::DnsQuestion> missing_;
};

struct TestPoint {
  std::string name;
  std::string shown;
  bool listed;
};

std::vector<TestPoint> TestPoints(const List& list) {
  std::vector<TestPoint> points;
  const auto address = [&](const char* text, bool listed) {
    points.push_back({AddressName(list, *base::IpAddress::Parse(text)), text, listed});
  };
  if (list.ipv4) {
    address("127.0.0.2", true);
    address("127.0.0.1", false);
  }
  if (list.ipv6) {
    address("::ffff:7f00:2", true);
    address("::ffff:7f00:1", false);
  }
  if (list.domains) {
    points.push_back({DomainName(list, "test"), "test", true});
    points.push_back({DomainName(list, "invalid"), "invalid", false});
  }
  return points;
}

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kNotListed: return "not-listed";
    case Outcome::kListed: return "listed";
    case Outcome::kError: return "error";
    case Outcome::kNoAnswer: return "no-answer";
  }
  return "error";
}

base::DnsStep<std::vector<Result>> Evaluate(const std::vector<List>& lists,
                                            const Subjects& subjects,
                                            const base::DnsAnswers& answers) {
  Lookup lookup(answers);
  std::vector<Result> results;
  for (const List& list : lists) {
    if (subjects.client) {
      const base::IpAddress client = subjects.client->Unmapped();
      const std::string name = AddressName(list, client);
      if (Covers(list, client) && idna::IsDnsName(name)) {
        results.push_back(lookup.Ask(list, client.ToString(), name));
      }
    }
    if (!list.domains) continue;
    for (const std::string& domain : subjects.domains) {
      const std::string name = DomainName(list, domain);
      if (idna::IsDnsName(name)) results.push_back(lookup.Ask(list, domain, name));
    }
  }
  auto missing = lookup.missing();
  if (!missing.empty()) return missing;
  return results;
}

base::DnsStep<Health> CheckHealth(const List& list, const base::DnsAnswers& answers) {
  Lookup lookup(answers);
  Health health;
  for (const TestPoint& point : TestPoints(list)) {
    std::string problem;
    const bool listed = lookup.Listed(list, point.name, &problem);
    if (problem.empty() && listed != point.listed) {
      problem = listed ? "is listed" : "is not listed";
    }
    if (!problem.empty() && health.problem.empty()) health.problem = point.shown + ": " + problem;
  }
  auto missing = lookup.missing();
  if (!missing.empty()) return missing;
  health.healthy = health.problem.empty();
  return health;
}

}  // namespace godwit::dnsbl
