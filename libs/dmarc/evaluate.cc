#include "libs/dmarc/evaluate.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/dmarc/public_suffix.h"
#include "libs/idna/domain.h"

namespace godwit::dmarc {
namespace {

constexpr size_t kWalkLabels = 7;  // RFC 9989 §4.10 step 4

struct Found {
  std::string name;
  Record record;
};

// What is known about the records at and above one domain.
struct Walk {
  bool pending = false;
  bool temp_error = false;
  bool unusable = false;  // a DMARC record was there that has to be ignored
  std::string organizational_domain;
  std::vector<Found> found;  // longest name first
};

std::string DmarcName(std::string_view domain) { return "_dmarc." + std::string(domain); }

size_t LabelCount(std::string_view name) {
  return static_cast<size_t>(std::count(name.begin(), name.end(), '.')) + 1;
}

// The last `count` labels.
std::string LastLabels(std::string_view name, size_t count) {
  size_t begin = name.size();
  for (; count > 0; --count) {
    begin = begin == 0 ? name.npos : name.rfind('.', begin - 1);
    if (begin == name.npos) return std::string(name);
  }
  return std::string(name.substr(begin + 1));
}

Policy Milder(Policy policy) {
  return policy == Policy::kReject ? Policy::kQuarantine : Policy::kNone;
}

class Evaluation {
 public:
  Evaluation(const Input& input, const Options& options, const base::DnsAnswers& answers)
      : input_(input), options_(options), answers_(answers) {}

  base::DnsStep<Result> Run();
  base::DnsStep<std::optional<std::string>> Organizational(const std::string& domain);

 private:
  const base::DnsAnswer* Ask(const std::string& name, base::DnsType type);
  // Takes the record at one name into the walk; true: the walk stops here.
  bool Visit(const std::string& name, const base::DnsAnswer& answer, Walk* walk) const;
  Walk TreeWalk(const std::string& domain);
  Walk ListWalk(const std::string& domain);
  Walk DoWalk(const std::string& domain) {
    return options_.mode == Mode::kTreeWalk ? TreeWalk(domain) : ListWalk(domain);
  }
  const Found* PolicyRecord(const Walk& walk) const;
  bool ChoosePolicy(const Found& found);
  std::optional<bool> AuthorExists();
  enum class Aligned { kYes, kNo, kPending, kTempError };
  Aligned Align(const Identifier& identifier);
  bool CheckIdentifiers();
  void Conclude();

  const Input& input_;
  const Options& options_;
  const base::DnsAnswers& answers_;
  std::set<base::DnsQuestion> missing_;
  Result result_;
  bool temp_error_ = false;
};

const base::DnsAnswer* Evaluation::Ask(const std::string& name, base::DnsType type) {
  base::DnsQuestion question{name, type};
  const auto found = answers_.find(question);
  if (found != answers_.end()) return &found->second;
  missing_.insert(std::move(question));
  return nullptr;
}

bool Evaluation::Visit(const std::string& name, const base::DnsAnswer& answer, Walk* walk) const {
  std::vector<std::string_view> records;
  for (const std::string& text : answer.texts) {
    if (IsDmarcRecord(text)) records.emplace_back(text);
  }
  // RFC 9989 §4.10 step 2: several records are all discarded.
  if (records.size() != 1) return false;
  std::optional<Record> record = ParseRecord(records.front());
  if (!record) {
    walk->unusable = true;
    return false;
  }
  const PublicSuffix suffix = record->public_suffix;
  walk->found.push_back({name, *std::move(record)});
  return suffix != PublicSuffix::kUnknown;
}

// RFC 9989 §4.10 and §4.10.2.
Walk Evaluation::TreeWalk(const std::string& domain) {
  Walk walk;
  walk.organizational_domain = domain;
  for (const std::string& name : TreeWalkNames(domain)) {
    if (!idna::IsDnsName(DmarcName(name))) continue;
    const base::DnsAnswer* answer = Ask(DmarcName(name), base::DnsType::kTxt);
    if (answer == nullptr) walk.pending = true;
    if (answer == nullptr || walk.pending) continue;  // note all questions of the walk
    if (answer->outcome == base::DnsOutcome::kTempFail) {
      walk.temp_error = true;
      return walk;
    }
    if (Visit(name, *answer, &walk)) break;
  }
  if (walk.pending || walk.found.empty()) return walk;
  const Found& last = walk.found.back();
  const bool suffix_above = last.record.public_suffix == PublicSuffix::kYes && last.name != domain;
  // Rules 1 and 3 both name the last record found; rule 2 the name one label below it.
  walk.organizational_domain =
      suffix_above ? LastLabels(domain, LabelCount(last.name) + 1) : last.name;
  return walk;
}

// RFC 7489 §6.6.3: the domain itself, then its organizational domain by the list.
Walk Evaluation::ListWalk(const std::string& domain) {
  Walk walk;
  walk.organizational_domain = OrganizationalDomainByList(domain);
  std::vector<std::string> names = {domain};
  if (walk.organizational_domain != domain) names.push_back(walk.organizational_domain);
  for (const std::string& name : names) {
    if (!idna::IsDnsName(DmarcName(name))) continue;
    const base::DnsAnswer* answer = Ask(DmarcName(name), base::DnsType::kTxt);
    if (answer == nullptr) walk.pending = true;
    if (walk.pending) continue;
    walk.temp_error = answer->outcome == base::DnsOutcome::kTempFail;
    if (walk.temp_error) return walk;
    Visit(name, *answer, &walk);
    if (!walk.found.empty()) return walk;
  }
  return walk;
}

// RFC 9989 §4.10.1: the author domain, else its organizational domain, else its public suffix.
const Found* Evaluation::PolicyRecord(const Walk& walk) const {
  const auto at = [&](std::string_view name) -> const Found* {
    for (const Found& found : walk.found) {
      if (found.name == name) return &found;
    }
    return nullptr;
  };
  if (const Found* own = at(input_.author_domain)) return own;
  if (const Found* organizational = at(walk.organizational_domain)) return organizational;
  const bool suffix =
      !walk.found.empty() && walk.found.back().record.public_suffix == PublicSuffix::kYes;
  return suffix ? &walk.found.back() : nullptr;
}

// RFC 9989 §3.2.14: a name without A, AAAA and MX does not exist. nullopt: pending.
std::optional<bool> Evaluation::AuthorExists() {
  bool pending = false;
  bool exists = false;
  for (const base::DnsType type : {base::DnsType::kA, base::DnsType::kAaaa, base::DnsType::kMx}) {
    const base::DnsAnswer* answer = Ask(input_.author_domain, type);
    pending = pending || answer == nullptr;
    // No answer from DNS: rather the milder reading.
    exists = exists || (answer != nullptr && !answer->is_void());
  }
  if (exists) return true;
  if (pending) return std::nullopt;
  return false;
}

// Fills what the record says for this author domain. False: pending.
bool Evaluation::ChoosePolicy(const Found& found) {
  const Record& record = found.record;
  result_.parsed = record;
  result_.record = record.text;
  result_.policy_domain = found.name;
  result_.policy = record.policy;
  result_.policy_tag = "p";
  if (found.name == input_.author_domain) return true;
  if (record.subdomain_policy) {
    result_.policy = *record.subdomain_policy;
    result_.policy_tag = "sp";
  }
  const bool np_matters = options_.mode == Mode::kTreeWalk && record.missing_policy &&
                          *record.missing_policy != result_.policy;
  if (!np_matters) return true;
  const std::optional<bool> exists = AuthorExists();
  if (!exists) return false;
  if (!*exists) {
    result_.policy = *record.missing_policy;
    result_.policy_tag = "np";
  }
  return true;
}

Evaluation::Aligned Evaluation::Align(const Identifier& identifier) {
  if (identifier.domain == input_.author_domain) return Aligned::kYes;
  const Alignment mode =
      identifier.mechanism == Mechanism::kDkim ? result_.parsed.dkim : result_.parsed.spf;
  if (mode == Alignment::kStrict) return Aligned::kNo;
  if (options_.mode == Mode::kPublicSuffixList) {
    const bool same =
        OrganizationalDomainByList(identifier.domain) == result_.organizational_domain;
    return same ? Aligned::kYes : Aligned::kNo;
  }
  // An organizational domain is the domain itself or above it: no walk for the others.
  if (!idna::IsSameOrBelow(identifier.domain, result_.organizational_domain)) return Aligned::kNo;
  const Walk walk = TreeWalk(identifier.domain);
  if (walk.pending) return Aligned::kPending;
  if (walk.temp_error) return Aligned::kTempError;
  return walk.organizational_domain == result_.organizational_domain ? Aligned::kYes : Aligned::kNo;
}

// False: pending.
bool Evaluation::CheckIdentifiers() {
  bool pending = false;
  for (const Identifier& identifier : input_.identifiers) {
    if (identifier.outcome == Outcome::kFail || identifier.domain.empty()) continue;
    const Aligned aligned = Align(identifier);
    pending = pending || aligned == Aligned::kPending;
    temp_error_ = temp_error_ || aligned == Aligned::kTempError;
    if (aligned != Aligned::kYes) continue;
    if (identifier.outcome == Outcome::kTempError) {
      temp_error_ = true;
      continue;
    }
    const bool dkim = identifier.mechanism == Mechanism::kDkim;
    (dkim ? result_.dkim_aligned : result_.spf_aligned) = true;
    result_.aligned.push_back({identifier.mechanism, identifier.domain});
  }
  return !pending;
}

void Evaluation::Conclude() {
  if (!result_.aligned.empty()) {
    result_.code = ResultCode::kPass;
    return;
  }
  const bool sampled_out =
      options_.mode == Mode::kPublicSuffixList && options_.sample >= result_.parsed.percent;
  const bool testing = options_.mode == Mode::kTreeWalk && result_.parsed.testing;
  // RFC 9989 §4.7 t=, RFC 7489 §6.6.4: one level below.
  const Policy applied = sampled_out || testing ? Milder(result_.policy) : result_.policy;
  // RFC 9989 §5.3.2: with a temporary error nothing permanent can be concluded.
  if (temp_error_) {
    result_.code = ResultCode::kTempError;
    result_.reason = "no aligned pass, and a temporary error in SPF or DKIM";
    result_.worst = applied;
    return;
  }
  result_.code = ResultCode::kFail;
  result_.reason = "no aligned pass of SPF or DKIM";
  result_.disposition = applied;
}

base::DnsStep<Result> Evaluation::Run() {
  result_.author_domain = input_.author_domain;
  const Walk walk = DoWalk(input_.author_domain);
  if (walk.pending) return std::vector<base::DnsQuestion>(missing_.begin(), missing_.end());
  result_.organizational_domain = walk.organizational_domain;
  if (walk.temp_error) {
    result_.code = ResultCode::kTempError;
    result_.reason = "no answer from DNS for the policy";
    result_.worst = Policy::kReject;
    return result_;
  }
  const Found* found = PolicyRecord(walk);
  if (found == nullptr) {
    result_.code = walk.unusable ? ResultCode::kPermError : ResultCode::kNone;
    result_.reason = walk.unusable ? "the policy record can't be used" : "no policy record";
    return result_;
  }
  const bool chosen = ChoosePolicy(*found);
  const bool checked = CheckIdentifiers();
  if (!chosen || !checked) return std::vector<base::DnsQuestion>(missing_.begin(), missing_.end());
  Conclude();
  return result_;
}

base::DnsStep<std::optional<std::string>> Evaluation::Organizational(const std::string& domain) {
  // RFC 7489 §3.2 needs the list only.
  if (options_.mode == Mode::kPublicSuffixList) {
    return std::optional<std::string>(OrganizationalDomainByList(domain));
  }
  const Walk walk = TreeWalk(domain);
  if (walk.pending) return std::vector<base::DnsQuestion>(missing_.begin(), missing_.end());
  if (walk.temp_error) return std::optional<std::string>();
  return std::optional<std::string>(walk.organizational_domain);
}

}  // namespace

std::string_view ResultName(ResultCode code) {
  switch (code) {
    case ResultCode::kNone: return "none";
    case ResultCode::kPass: return "pass";
    case ResultCode::kFail: return "fail";
    case ResultCode::kTempError: return "temperror";
    case ResultCode::kPermError: return "permerror";
  }
  return "none";
}

std::vector<std::string> TreeWalkNames(std::string_view domain) {
  std::vector<std::string> names = {std::string(domain)};
  const size_t labels = LabelCount(domain);
  for (size_t count = std::min(labels - 1, kWalkLabels); count > 0; --count) {
    names.push_back(LastLabels(domain, count));
  }
  return names;
}

std::vector<base::DnsQuestion> EarlyQuestions(std::string_view author_domain,
                                              const std::vector<std::string>& candidates,
                                              const Options& options) {
  std::set<base::DnsQuestion> questions;
  const auto add = [&](const std::string& name) {
    if (idna::IsDnsName(DmarcName(name))) {
      questions.insert({DmarcName(name), base::DnsType::kTxt});
    }
  };
  if (options.mode == Mode::kPublicSuffixList) {
    add(std::string(author_domain));
    add(OrganizationalDomainByList(author_domain));
    return {questions.begin(), questions.end()};
  }
  for (const std::string& name : TreeWalkNames(author_domain)) add(name);
  for (const std::string& candidate : candidates) {
    // Only what is likely to share an organizational domain.
    if (LastLabels(candidate, 2) != LastLabels(author_domain, 2)) continue;
    for (const std::string& name : TreeWalkNames(candidate)) add(name);
  }
  return {questions.begin(), questions.end()};
}

base::DnsStep<Result> Evaluate(const Input& input, const Options& options,
                               const base::DnsAnswers& answers) {
  return Evaluation(input, options, answers).Run();
}

base::DnsStep<std::optional<std::string>> OrganizationalDomain(const std::string& domain,
                                                               const Options& options,
                                                               const base::DnsAnswers& answers) {
  const Input nobody;
  return Evaluation(nobody, options, answers).Organizational(domain);
}

}  // namespace godwit::dmarc
