#include "libs/dmarc/destinations.h"

#include <algorithm>
#include <set>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/dmarc/record.h"
#include "libs/idna/domain.h"

namespace godwit::dmarc {
namespace {

constexpr std::string_view kMailto = "mailto:";
constexpr size_t kMaxLocalPart = 64;  // RFC 5321 §4.5.3.1.1

// RFC 3986 §2.1. nullopt for what is no escape.
std::optional<std::string> Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto octet = base::HexDecode(text.substr(i + 1, 2));
    if (!octet.ok() || octet->size() != 1) return std::nullopt;
    out += *octet;
    i += 2;
  }
  return out;
}

// RFC 5322 §3.2.3: dot-atom. Nobody has another report address.
bool IsDotAtom(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-/=?^_`{|}~";
  for (const std::string_view atom : base::Split(text, '.')) {
    if (atom.empty()) return false;
    for (const char c : atom) {
      if (!base::IsAlnum(c) && kMarks.find(c) == kMarks.npos) return false;
    }
  }
  return text.size() <= kMaxLocalPart;
}

// RFC 7489 §6.4: dmarc-uri = URI [ "!" 1*DIGIT [ "k" / "m" / "g" / "t" ] ].
std::optional<uint64_t> ReadSize(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const size_t unit = std::string_view("kmgt").find(base::ToLower(text.back()));
  if (unit != std::string_view::npos) text.remove_suffix(1);
  const auto number = base::ParseDecimal(text);
  const size_t shift = unit == std::string_view::npos ? 0 : 10 * (unit + 1);
  if (!number || *number > (UINT64_MAX >> shift)) return std::nullopt;
  return *number << shift;
}

class Finder {
 public:
  Finder(std::string_view policy_domain, const Options& options, const base::DnsAnswers& answers)
      : policy_domain_(policy_domain), options_(options), answers_(answers) {}

  base::DnsStep<Destinations> Run(const std::vector<std::string>& uris);

 private:
  enum class Answer { kYes, kNo, kPending, kTempError };
  void Judge(const std::string& uri);
  Answer IsOwn(const Destination& destination);
  Answer Agrees(const Destination& destination, std::vector<std::string>* instead);
  void Confirm(const std::string& uri, const Destination& destination,
               const std::vector<std::string>& instead);
  void Refuse(const std::string& uri, std::string_view why) {
    found_.refused.push_back(uri + ": " + std::string(why));
  }
  void Add(const Destination& destination);

  const std::string policy_domain_;
  const Options& options_;
  const base::DnsAnswers& answers_;
  std::set<base::DnsQuestion> missing_;
  Destinations found_;
};

// RFC 9990 §4: of the same organizational domain.
Finder::Answer Finder::IsOwn(const Destination& destination) {
  if (destination.domain == policy_domain_) return Answer::kYes;
  std::string names[2];
  bool pending = false;
  for (const size_t i : {0, 1}) {
    auto step =
        OrganizationalDomain(i == 0 ? policy_domain_ : destination.domain, options_, answers_);
    if (auto* questions = std::get_if<std::vector<base::DnsQuestion>>(&step)) {
      missing_.insert(questions->begin(), questions->end());
      pending = true;
      continue;
    }
    const auto& name = std::get<std::optional<std::string>>(step);
    if (!name) return Answer::kTempError;
    names[i] = *name;
  }
  if (pending) return Answer::kPending;
  return names[0] == names[1] ? Answer::kYes : Answer::kNo;
}

// RFC 9990 §4 steps 2 to 8; `instead`: step 9.
Finder::Answer Finder::Agrees(const Destination& destination, std::vector<std::string>* instead) {
  base::DnsQuestion question{policy_domain_ + "._report._dmarc." + destination.domain,
                             base::DnsType::kTxt};
  if (!idna::IsDnsName(question.name)) return Answer::kNo;
  const auto answer = answers_.find(question);
  if (answer == answers_.end()) {
    missing_.insert(std::move(question));
    return Answer::kPending;
  }
  if (answer->second.outcome == base::DnsOutcome::kTempFail) return Answer::kTempError;
  bool agrees = false;
  for (const std::string& text : answer->second.texts) {
    if (!IsDmarcRecord(text)) continue;
    agrees = true;
    const std::optional<Record> record = ParseRecord(text);
    if (record && instead->empty()) *instead = record->rua;
  }
  return agrees ? Answer::kYes : Answer::kNo;
}

void Finder::Add(const Destination& destination) {
  const auto same = [&](const Destination& d) { return d.address == destination.address; };
  if (std::none_of(found_.confirmed.begin(), found_.confirmed.end(), same)) {
    found_.confirmed.push_back(destination);
  }
}

// RFC 9990 §4: an override names the same host, or nothing is sent at all.
void Finder::Confirm(const std::string& uri, const Destination& destination,
                     const std::vector<std::string>& instead) {
  std::vector<Destination> others;
  for (const std::string& each : instead) {
    const auto other = ParseReportUri(each, options_.mode);
    if (!other) continue;
    if (other->domain != destination.domain) {
      return Refuse(uri, "its receiver names an address in another domain");
    }
    others.push_back(*other);
  }
  if (others.empty()) others.push_back(destination);
  for (const Destination& each : others) Add(each);
}

void Finder::Judge(const std::string& uri) {
  const auto destination = ParseReportUri(uri, options_.mode);
  if (!destination) return Refuse(uri, "not a mail address");
  Answer answer = IsOwn(*destination);
  std::vector<std::string> instead;
  if (answer == Answer::kNo) answer = Agrees(*destination, &instead);
  switch (answer) {
    case Answer::kYes: return Confirm(uri, *destination, instead);
    case Answer::kNo:
      return Refuse(uri, "no record " + policy_domain_ + "._report._dmarc." + destination->domain);
    case Answer::kTempError: found_.temp_error = true; return;
    case Answer::kPending: return;
  }
}

base::DnsStep<Destinations> Finder::Run(const std::vector<std::string>& uris) {
  for (const std::string& uri : uris) Judge(uri);
  if (!missing_.empty()) return std::vector<base::DnsQuestion>(missing_.begin(), missing_.end());
  return std::move(found_);
}

}  // namespace

std::optional<Destination> ParseReportUri(std::string_view uri, Mode mode) {
  if (!base::StartsWithIgnoreCase(uri, kMailto)) return std::nullopt;
  uri.remove_prefix(kMailto.size());
  Destination destination;
  const size_t mark = uri.rfind('!');
  const size_t at_sign = uri.rfind('@');
  if (mark != uri.npos && at_sign != uri.npos && mark > at_sign) {
    if (mode == Mode::kPublicSuffixList) destination.most_octets = ReadSize(uri.substr(mark + 1));
    uri = uri.substr(0, mark);
  }
  // RFC 6068 §2: fields of a header, which nobody needs here.
  uri = uri.substr(0, uri.find('?'));
  const std::optional<std::string> address = Unescape(uri);
  if (!address) return std::nullopt;
  const size_t at = address->rfind('@');
  if (at == address->npos || !IsDotAtom(address->substr(0, at))) return std::nullopt;
  const auto domain = idna::ToAscii(address->substr(at + 1));
  if (!domain || !idna::IsHostName(*domain)) return std::nullopt;
  destination.domain = *domain;
  destination.address = address->substr(0, at + 1) + *domain;
  return destination;
}

base::DnsStep<Destinations> FindDestinations(std::string_view policy_domain,
                                             const std::vector<std::string>& uris,
                                             const Options& options,
                                             const base::DnsAnswers& answers) {
  return Finder(policy_domain, options, answers).Run(uris);
}

}  // namespace godwit::dmarc
