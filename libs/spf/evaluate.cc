#include "libs/spf/evaluate.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/spf/macro.h"
#include "libs/spf/record.h"

namespace godwit::spf {
namespace {

// RFC 7208 §4.6.4.
constexpr int kMaxLookups = 10;
constexpr int kMaxVoidLookups = 2;
constexpr size_t kMaxMxNames = 10;
constexpr size_t kMaxPtrNames = 10;

constexpr size_t kMaxExplanation = 800;
constexpr size_t kMaxName = 253;

// What a mechanism says. kPending: an answer is missing, its question is noted.
enum class Match { kYes, kNo, kTempError, kPermError, kPending };

ResultCode CodeOf(Qualifier qualifier) {
  switch (qualifier) {
    case Qualifier::kPass: return ResultCode::kPass;
    case Qualifier::kFail: return ResultCode::kFail;
    case Qualifier::kSoftFail: return ResultCode::kSoftFail;
    case Qualifier::kNeutral: return ResultCode::kNeutral;
  }
  return ResultCode::kNeutral;
}

// The answer for a name that DNS can't have.
const base::DnsAnswer& NoDomain() {
  static const base::DnsAnswer& answer = *[] {
    auto* made = new base::DnsAnswer;
    made->outcome = base::DnsOutcome::kNoDomain;
    return made;
  }();
  return answer;
}

// One run of check_host() over the answers that are known.
class Evaluation {
 public:
  Evaluation(const Query& query, const base::DnsAnswers& answers)
      : query_(query), answers_(answers), ip_(query.ip.Unmapped()) {}

  base::DnsStep<Result> Run();

 private:
  bool SetSender();
  // nullptr when the answer is not known: then the question is noted.
  const base::DnsAnswer* Ask(const std::string& name, base::DnsType type);
  bool CountLookup();
  bool CountVoid(const base::DnsAnswer& answer);
  base::DnsType AddressType() const {
    return ip_.is_v4() ? base::DnsType::kA : base::DnsType::kAaaa;
  }

  // nullopt: pending. `top`: the record of the identity's own domain, or one it redirects to.
  std::optional<ResultCode> Check(const std::string& domain, bool top);
  std::optional<ResultCode> FetchRecord(const std::string& domain, Record* record, bool* fetched);
  std::optional<ResultCode> Redirect(const Record& record, const std::string& domain, bool top);
  Match Matches(const Mechanism& mechanism, const std::string& domain);
  Match MatchInclude(const std::string& target);
  Match MatchA(const Mechanism& mechanism, const std::string& target);
  Match MatchMx(const Mechanism& mechanism, const std::string& target);
  Match MatchPtr(const std::string& target);
  Match MatchExists(const std::string& target);
  Match MatchAddresses(const Mechanism& mechanism, const base::DnsAnswer& answer);
  bool InNetwork(const base::IpAddress& address, const Mechanism& mechanism) const;

  // The names of the client that §5.5 validates; nullopt: pending.
  std::optional<std::vector<std::string>> ValidatedNames(const base::DnsAnswer& ptr);
  std::optional<std::string> NameForMacro(const std::string& domain);
  MacroValues Values(const std::string& domain) const;
  // The name a domain-spec means, "" when it can't be one; nullopt: pending (%{p}).
  std::optional<std::string> Target(const std::string& spec, const std::string& domain);
  void Prefetch(const Record& record, size_t from, const std::string& domain);
  bool PrefetchTerm(const Mechanism& mechanism, const std::string& domain);
  bool Explain();

  const Query& query_;
  const base::DnsAnswers& answers_;
  base::IpAddress ip_;
  std::string local_part_;
  std::string validated_name_ = "unknown";
  Result result_;
  std::set<base::DnsQuestion> missing_;
  // Where the explanation of a fail stands.
  std::string exp_spec_;
  std::string exp_domain_;
};

// §2.3, §2.4, §4.3: which domain is checked. False: there is none.
bool Evaluation::SetSender() {
  const bool use_helo = query_.identity == Identity::kHelo || query_.mail_from.empty();
  std::string_view sender = use_helo ? query_.helo : query_.mail_from;
  const size_t at = use_helo ? sender.npos : sender.rfind('@');
  const std::string_view domain = at == sender.npos ? sender : sender.substr(at + 1);
  local_part_ = at == sender.npos || at == 0 ? "postmaster" : std::string(sender.substr(0, at));
  result_.identity = query_.identity;
  const auto ascii = idna::ToAscii(domain);
  result_.domain = ascii ? *ascii : std::string(domain);
  result_.sender = local_part_ + "@" + result_.domain;
  const bool literal = !domain.empty() && domain.front() == '[';
  if (ascii && !literal && ascii->find('.') != ascii->npos) return true;
  result_.problem = "no fully qualified domain name to check";
  return false;
}

const base::DnsAnswer* Evaluation::Ask(const std::string& name, base::DnsType type) {
  if (!idna::IsDnsName(name)) return &NoDomain();
  base::DnsQuestion question{name, type};
  const auto found = answers_.find(question);
  if (found != answers_.end()) return &found->second;
  missing_.insert(std::move(question));
  return nullptr;
}

bool Evaluation::CountLookup() {
  if (++result_.lookups <= kMaxLookups) return true;
  result_.lookups = kMaxLookups;
  result_.problem = "more than 10 terms that ask DNS";
  return false;
}

bool Evaluation::CountVoid(const base::DnsAnswer& answer) {
  if (!answer.is_void() || ++result_.void_lookups <= kMaxVoidLookups) return true;
  result_.problem = "more than 2 void lookups";
  return false;
}

base::DnsStep<Result> Evaluation::Run() {
  if (!SetSender()) return result_;
  const std::optional<ResultCode> code = Check(result_.domain, true);
  const bool complete = code && (*code != ResultCode::kFail || Explain());
  if (!complete) return std::vector<base::DnsQuestion>(missing_.begin(), missing_.end());
  result_.code = *code;
  return result_;
}

// §4.4, §4.5. Sets `*fetched` and gives no code when the record is there and well-formed.
std::optional<ResultCode> Evaluation::FetchRecord(const std::string& domain, Record* record,
                                                  bool* fetched) {
  const base::DnsAnswer* answer = Ask(domain, base::DnsType::kTxt);
  if (answer == nullptr) return std::nullopt;
  if (answer->outcome == base::DnsOutcome::kTempFail) {
    result_.problem = "no answer from DNS for " + domain;
    return ResultCode::kTempError;
  }
  std::vector<std::string_view> found;
  for (const std::string& text : answer->texts) {
    if (IsSpfRecord(text)) found.emplace_back(text);
  }
  if (found.empty()) {
    result_.problem = "no SPF record for " + domain;
    return ResultCode::kNone;
  }
  if (found.size() > 1) {
    result_.problem = "more than one SPF record for " + domain;
    return ResultCode::kPermError;
  }
  auto parsed = ParseRecord(found.front());
  if (!parsed.ok()) {
    result_.problem = "record of " + domain + ": " + std::string(base::Message(parsed.status()));
    return ResultCode::kPermError;
  }
  *record = *std::move(parsed);
  *fetched = true;
  return std::nullopt;
}

std::optional<ResultCode> Evaluation::Check(const std::string& domain, bool top) {
  Record record;
  bool fetched = false;
  const std::optional<ResultCode> early = FetchRecord(domain, &record, &fetched);
  if (!fetched) return early;
  for (size_t i = 0; i < record.mechanisms.size(); ++i) {
    const Mechanism& mechanism = record.mechanisms[i];
    if (mechanism.asks_dns() && !CountLookup()) return ResultCode::kPermError;
    switch (Matches(mechanism, domain)) {
      case Match::kNo: continue;
      case Match::kPending:
        if (top) Prefetch(record, i + 1, domain);
        return std::nullopt;
      case Match::kTempError: return ResultCode::kTempError;
      case Match::kPermError: return ResultCode::kPermError;
      case Match::kYes: break;
    }
    if (top) {
      result_.mechanism = mechanism.text;
      exp_spec_ = record.exp.value_or("");
      exp_domain_ = domain;
    }
    return CodeOf(mechanism.qualifier);
  }
  if (record.redirect) return Redirect(record, domain, top);
  if (top) result_.mechanism = "default";
  return ResultCode::kNeutral;  // §4.7
}

std::optional<ResultCode> Evaluation::Redirect(const Record& record, const std::string& domain,
                                               bool top) {
  if (!CountLookup()) return ResultCode::kPermError;
  const auto target = Target(*record.redirect, domain);
  if (!target) return std::nullopt;
  const std::optional<ResultCode> code = Check(*target, top);
  // §6.1: no record there is a PermError.
  return code == ResultCode::kNone ? ResultCode::kPermError : code;
}

MacroValues Evaluation::Values(const std::string& domain) const {
  MacroValues values;
  values.local_part = local_part_;
  values.sender_domain = result_.domain;
  values.domain = domain;
  values.helo = query_.helo;
  values.ip = ip_;
  values.validated_name = validated_name_;
  values.receiver = query_.receiver;
  values.now = query_.now;
  return values;
}

std::optional<std::string> Evaluation::Target(const std::string& spec, const std::string& domain) {
  if (spec.empty()) return domain;
  if (UsesMacro(spec, 'p')) {
    auto name = NameForMacro(domain);
    if (!name) return std::nullopt;
    validated_name_ = *std::move(name);
  }
  std::string name = base::Lower(ExpandMacros(spec, Values(domain)));
  if (!name.empty() && name.back() == '.') name.pop_back();
  // §7.3: from a name that is too long, labels are removed on the left.
  while (name.size() > kMaxName) {
    const size_t dot = name.find('.');
    if (dot == name.npos) return "";
    name.erase(0, dot + 1);
  }
  return idna::IsDnsName(name) ? name : "";
}

Match Evaluation::Matches(const Mechanism& mechanism, const std::string& domain) {
  switch (mechanism.kind) {
    case MechanismKind::kAll: return Match::kYes;
    case MechanismKind::kIp4:
    case MechanismKind::kIp6:
      return InNetwork(mechanism.network, mechanism) ? Match::kYes : Match::kNo;
    default: break;
  }
  const auto target = Target(mechanism.domain_spec, domain);
  if (!target) return Match::kPending;
  if (mechanism.kind == MechanismKind::kInclude) return MatchInclude(*target);
  // A name that can't be in DNS does not match (§4.8; RFC 8616 §3 for local parts beyond ASCII).
  if (target->empty()) return Match::kNo;
  switch (mechanism.kind) {
    case MechanismKind::kA: return MatchA(mechanism, *target);
    case MechanismKind::kMx: return MatchMx(mechanism, *target);
    case MechanismKind::kPtr: return MatchPtr(*target);
    default: return MatchExists(*target);
  }
}

// §5.2, the table.
Match Evaluation::MatchInclude(const std::string& target) {
  const std::optional<ResultCode> code = Check(target, false);
  if (!code) return Match::kPending;
  switch (*code) {
    case ResultCode::kPass: return Match::kYes;
    case ResultCode::kTempError: return Match::kTempError;
    case ResultCode::kNone:
      if (target.empty()) result_.problem = "include of something that is no domain name";
      return Match::kPermError;
    case ResultCode::kPermError: return Match::kPermError;
    default: return Match::kNo;
  }
}

bool Evaluation::InNetwork(const base::IpAddress& address, const Mechanism& mechanism) const {
  return ip_.InNetwork(address, ip_.is_v4() ? mechanism.prefix_v4 : mechanism.prefix_v6);
}

Match Evaluation::MatchAddresses(const Mechanism& mechanism, const base::DnsAnswer& answer) {
  if (answer.outcome == base::DnsOutcome::kTempFail) {
    result_.problem = "no answer from DNS for " + mechanism.text;
    return Match::kTempError;
  }
  if (!CountVoid(answer)) return Match::kPermError;
  const bool match =
      std::any_of(answer.addresses.begin(), answer.addresses.end(),
                  [&](const base::IpAddress& address) { return InNetwork(address, mechanism); });
  return match ? Match::kYes : Match::kNo;
}

Match Evaluation::MatchA(const Mechanism& mechanism, const std::string& target) {
  const base::DnsAnswer* answer = Ask(target, AddressType());
  return answer == nullptr ? Match::kPending : MatchAddresses(mechanism, *answer);
}

Match Evaluation::MatchMx(const Mechanism& mechanism, const std::string& target) {
  const base::DnsAnswer* answer = Ask(target, base::DnsType::kMx);
  if (answer == nullptr) return Match::kPending;
  if (answer->outcome == base::DnsOutcome::kTempFail) {
    result_.problem = "no answer from DNS for " + mechanism.text;
    return Match::kTempError;
  }
  if (!CountVoid(*answer)) return Match::kPermError;
  // §4.6.4: more than ten names are a PermError.
  if (answer->mx.size() > kMaxMxNames) {
    result_.problem = "more than 10 MX records for " + target;
    return Match::kPermError;
  }
  std::vector<const base::DnsAnswer*> hosts;
  bool pending = false;
  for (const base::DnsMx& mx : answer->mx) {
    hosts.push_back(Ask(base::Lower(mx.exchange), AddressType()));
    pending = pending || hosts.back() == nullptr;
  }
  if (pending) return Match::kPending;
  for (const base::DnsAnswer* host : hosts) {
    const Match match = MatchAddresses(mechanism, *host);
    if (match != Match::kNo) return match;
  }
  return Match::kNo;
}

std::optional<std::vector<std::string>> Evaluation::ValidatedNames(const base::DnsAnswer& ptr) {
  std::vector<std::string> names;
  bool pending = false;
  // §4.6.4: names beyond the tenth are ignored.
  for (size_t i = 0; i < std::min(ptr.texts.size(), kMaxPtrNames); ++i) {
    const std::string name = base::Lower(ptr.texts[i]);
    const base::DnsAnswer* answer = Ask(name, AddressType());
    pending = pending || answer == nullptr;
    if (answer == nullptr) continue;
    const auto& addresses = answer->addresses;
    if (std::find(addresses.begin(), addresses.end(), ip_) != addresses.end()) {
      names.push_back(name);
    }
  }
  if (pending) return std::nullopt;
  return names;
}

Match Evaluation::MatchPtr(const std::string& target) {
  const base::DnsAnswer* ptr = Ask(ip_.ReverseName(), base::DnsType::kPtr);
  if (ptr == nullptr) return Match::kPending;
  // §5.5: a DNS error makes it not match.
  if (ptr->outcome == base::DnsOutcome::kTempFail) return Match::kNo;
  if (!CountVoid(*ptr)) return Match::kPermError;
  const auto names = ValidatedNames(*ptr);
  if (!names) return Match::kPending;
  const bool match = std::any_of(names->begin(), names->end(), [&](const std::string& name) {
    return idna::IsSameOrBelow(name, target);
  });
  return match ? Match::kYes : Match::kNo;
}

Match Evaluation::MatchExists(const std::string& target) {
  // §5.7: an A query, for IPv6 clients too.
  const base::DnsAnswer* answer = Ask(target, base::DnsType::kA);
  if (answer == nullptr) return Match::kPending;
  if (answer->outcome == base::DnsOutcome::kTempFail) {
    result_.problem = "no answer from DNS for " + target;
    return Match::kTempError;
  }
  if (!CountVoid(*answer)) return Match::kPermError;
  return answer->found() ? Match::kYes : Match::kNo;
}

// §7.3 "p": the domain itself first, then a name below it, then any.
std::optional<std::string> Evaluation::NameForMacro(const std::string& domain) {
  const base::DnsAnswer* ptr = Ask(ip_.ReverseName(), base::DnsType::kPtr);
  if (ptr == nullptr) return std::nullopt;
  const auto names = ValidatedNames(*ptr);
  if (!names) return std::nullopt;
  if (names->empty()) return "unknown";
  if (std::find(names->begin(), names->end(), domain) != names->end()) return domain;
  for (const std::string& name : *names) {
    if (idna::IsSameOrBelow(name, domain)) return name;
  }
  return names->front();
}

// Asks what later terms will ask first, as long as they are sure to count within the limit.
void Evaluation::Prefetch(const Record& record, size_t from, const std::string& domain) {
  int budget = kMaxLookups - result_.lookups;
  for (size_t i = from; i < record.mechanisms.size() && budget > 0; ++i) {
    const Mechanism& mechanism = record.mechanisms[i];
    if (mechanism.asks_dns()) {
      if (PrefetchTerm(mechanism, domain)) --budget;
    } else if (Matches(mechanism, domain) == Match::kYes) {
      return;  // nothing behind it is evaluated
    }
  }
  if (record.redirect && budget > 0 && !UsesMacro(*record.redirect, 'p')) {
    const auto target = Target(*record.redirect, domain);
    if (target && !target->empty()) Ask(*target, base::DnsType::kTxt);
  }
}

bool Evaluation::PrefetchTerm(const Mechanism& mechanism, const std::string& domain) {
  if (UsesMacro(mechanism.domain_spec, 'p')) return false;
  const auto target = Target(mechanism.domain_spec, domain);
  if (!target || target->empty()) return false;
  switch (mechanism.kind) {
    case MechanismKind::kInclude: Ask(*target, base::DnsType::kTxt); break;
    case MechanismKind::kA: Ask(*target, AddressType()); break;
    case MechanismKind::kMx: Ask(*target, base::DnsType::kMx); break;
    case MechanismKind::kPtr: Ask(ip_.ReverseName(), base::DnsType::kPtr); break;
    default: Ask(*target, base::DnsType::kA); break;
  }
  return true;
}

// §6.2. False: pending. Every error leaves the explanation empty.
bool Evaluation::Explain() {
  if (exp_spec_.empty()) return true;
  const auto target = Target(exp_spec_, exp_domain_);
  if (!target) return false;
  if (target->empty()) return true;
  const base::DnsAnswer* answer = Ask(*target, base::DnsType::kTxt);
  if (answer == nullptr) return false;
  if (answer->texts.size() != 1) return true;
  const std::string& text = answer->texts.front();
  if (!CheckMacroString(text, MacroContext::kExplanation).ok()) return true;
  if (UsesMacro(text, 'p')) {
    auto name = NameForMacro(exp_domain_);
    if (!name) return false;
    validated_name_ = *std::move(name);
  }
  std::string explanation = ExpandMacros(text, Values(exp_domain_)).substr(0, kMaxExplanation);
  // It goes into an SMTP reply, and parts of it came from the client.
  for (char& c : explanation) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  result_.explanation = std::move(explanation);
  return true;
}

}  // namespace

std::string_view ResultName(ResultCode code) {
  switch (code) {
    case ResultCode::kNone: return "none";
    case ResultCode::kNeutral: return "neutral";
    case ResultCode::kPass: return "pass";
    case ResultCode::kFail: return "fail";
    case ResultCode::kSoftFail: return "softfail";
    case ResultCode::kTempError: return "temperror";
    case ResultCode::kPermError: return "permerror";
  }
  return "none";
}

base::DnsStep<Result> Evaluate(const Query& query, const base::DnsAnswers& answers) {
  return Evaluation(query, answers).Run();
}

}  // namespace godwit::spf
