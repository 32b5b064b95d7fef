#include "libs/mailauth/message_verifier.h"

#include <algorithm>
#include <set>
#include <utility>

#include "libs/base/status.h"
#include "libs/dmarc/author.h"
#include "libs/idna/domain.h"
#include "libs/mailauth/report.h"
#include "libs/spf/received_spf.h"

namespace godwit::mailauth {
namespace {

using QuestionList = std::vector<base::DnsQuestion>;

// Moves the result of a step to `*out`, or its questions to `*missing`. True: it has its result.
template <typename Result>
bool Settle(base::DnsStep<Result> step, Result* out, std::set<base::DnsQuestion>* missing) {
  if (auto* questions = std::get_if<QuestionList>(&step)) {
    missing->insert(questions->begin(), questions->end());
    return false;
  }
  *out = std::move(std::get<Result>(step));
  return true;
}

template <typename Result>
void Ask(const base::DnsStep<Result>& step, QuestionList* questions) {
  if (const auto* more = std::get_if<QuestionList>(&step)) {
    questions->insert(questions->end(), more->begin(), more->end());
  }
}

dmarc::Outcome OutcomeOf(dkim::ResultCode code) {
  if (code == dkim::ResultCode::kPass) return dmarc::Outcome::kPass;
  return code == dkim::ResultCode::kTempError ? dmarc::Outcome::kTempError : dmarc::Outcome::kFail;
}

dmarc::Outcome OutcomeOf(spf::ResultCode code) {
  if (code == spf::ResultCode::kPass) return dmarc::Outcome::kPass;
  return code == spf::ResultCode::kTempError ? dmarc::Outcome::kTempError : dmarc::Outcome::kFail;
}

// How strict a result is with the message, the strictest highest.
int Strictness(const dmarc::Result& result) {
  const bool fails = result.code == dmarc::ResultCode::kFail;
  const bool temporary = result.code == dmarc::ResultCode::kTempError;
  if (fails && result.disposition == dmarc::Policy::kReject) return 6;
  if (temporary && result.worst == dmarc::Policy::kReject) return 5;
  if (fails || temporary) {
    const dmarc::Policy policy = fails ? result.disposition : result.worst;
    return policy == dmarc::Policy::kQuarantine ? 4 : 3;
  }
  if (result.code == dmarc::ResultCode::kPermError) return 2;
  return result.code == dmarc::ResultCode::kNone ? 1 : 0;
}

std::vector<dkim::SignatureResult> HeaderTooLarge() {
  dkim::SignatureResult result;
  result.code = dkim::ResultCode::kPermError;
  result.reason = "header too large";
  return {result};
}

}  // namespace

MessageVerifier::MessageVerifier(Options options, Envelope envelope)
    : options_(std::move(options)),
      envelope_(std::move(envelope)),
      dkim_(options_.dkim, options_.now),
      arc_(options_.dkim, options_.now),
      author_domains_(base::InvalidArgument("no From field")),
      stream_(options_.dkim.max_header_bytes,
              [this](const dkim::HeaderBlock& header, dkim::BodyHashes& body) {
                OnHeader(header, body);
              }) {
  if (options_.receiver.empty()) options_.receiver = options_.authserv_id;
}

void MessageVerifier::OnHeader(const dkim::HeaderBlock& header, dkim::BodyHashes& body) {
  dkim_.OnHeader(header, body);
  arc_.OnHeader(header, body);
  std::vector<std::string_view> from;
  for (const size_t index : header.Find("From")) from.push_back(header.value(index));
  author_domains_ = dmarc::AuthorDomains(from);
}

spf::Query MessageVerifier::SpfQuery(spf::Identity identity) const {
  return {.ip = envelope_.ip,
          .identity = identity,
          .helo = envelope_.helo,
          .mail_from = envelope_.mail_from,
          .receiver = options_.receiver,
          .now = options_.now};
}

void MessageVerifier::AskConnection(const base::DnsAnswers& answers,
                                    QuestionList* questions) const {
  if (!options_.check_connection) return;
  Ask(CheckIprev(envelope_.ip, answers), questions);
  for (const spf::Identity identity : {spf::Identity::kHelo, spf::Identity::kMailFrom}) {
    Ask(spf::Evaluate(SpfQuery(identity), answers), questions);
  }
  Ask(dnsbl::Evaluate(options_.lists, ListSubjects(), answers), questions);
}

// The domain of the reverse-path, or of HELO for the null sender; "" when there is none.
std::string MessageVerifier::SenderDomain() const {
  const std::string& sender = envelope_.mail_from.empty() ? envelope_.helo : envelope_.mail_from;
  return idna::ToAscii(std::string_view(sender).substr(sender.rfind('@') + 1)).value_or("");
}

// The authors come with the header.
dnsbl::Subjects MessageVerifier::ListSubjects() const {
  std::set<std::string> domains = {SenderDomain()};
  if (author_domains_.ok()) domains.insert(author_domains_->begin(), author_domains_->end());
  domains.erase("");
  return {envelope_.ip, {domains.begin(), domains.end()}};
}

// The domains that may turn out to be authenticated, for DMARC's early questions.
std::vector<std::string> MessageVerifier::CandidateDomains() const {
  std::vector<std::string> domains = dkim_.Domains();
  if (!options_.check_connection) return domains;
  const std::string sender = SenderDomain();
  if (!sender.empty()) domains.push_back(sender);
  return domains;
}

void MessageVerifier::AskHeader(QuestionList* questions) const {
  for (const QuestionList& keys : {dkim_.Questions(), arc_.Questions()}) {
    questions->insert(questions->end(), keys.begin(), keys.end());
  }
  if (!author_domains_.ok()) return;
  for (const std::string& author : *author_domains_) {
    const QuestionList early = dmarc::EarlyQuestions(author, CandidateDomains(), options_.dmarc);
    questions->insert(questions->end(), early.begin(), early.end());
  }
}

QuestionList MessageVerifier::Questions() const { return Questions(base::DnsAnswers()); }

QuestionList MessageVerifier::Questions(const base::DnsAnswers& answers) const {
  QuestionList all;
  AskConnection(answers, &all);
  AskHeader(&all);
  std::set<base::DnsQuestion> open;
  for (base::DnsQuestion& question : all) {
    if (!answers.contains(question)) open.insert(std::move(question));
  }
  return {open.begin(), open.end()};
}

dmarc::Input MessageVerifier::DmarcInput(const std::string& author_domain,
                                         const Verdict& verdict) const {
  dmarc::Input input;
  input.author_domain = author_domain;
  for (const dkim::SignatureResult& signature : verdict.dkim) {
    input.identifiers.push_back(
        {dmarc::Mechanism::kDkim, signature.domain, OutcomeOf(signature.code)});
  }
  // RFC 9989 §4.4.2: the MAIL FROM identity only; for the null sender that is HELO's domain.
  if (options_.check_connection) {
    input.identifiers.push_back({dmarc::Mechanism::kSpf, verdict.mail_from_spf.domain,
                                 OutcomeOf(verdict.mail_from_spf.code)});
  }
  return input;
}

bool MessageVerifier::SettleConnection(const base::DnsAnswers& answers, Verdict* verdict,
                                       std::set<base::DnsQuestion>* missing) const {
  verdict->connection_checked = options_.check_connection;
  if (!options_.check_connection) return true;
  const spf::Query helo = SpfQuery(spf::Identity::kHelo);
  const spf::Query mail_from = SpfQuery(spf::Identity::kMailFrom);
  // All of them, so that their questions come in one round.
  const bool has_helo = Settle(spf::Evaluate(helo, answers), &verdict->helo_spf, missing);
  const bool has_from = Settle(spf::Evaluate(mail_from, answers), &verdict->mail_from_spf, missing);
  const bool has_name = Settle(CheckIprev(envelope_.ip, answers), &verdict->iprev, missing);
  const bool has_lists =
      Settle(dnsbl::Evaluate(options_.lists, ListSubjects(), answers), &verdict->lists, missing);
  return has_helo && has_from && has_name && has_lists;
}

bool MessageVerifier::SettleSignatures(const base::DnsAnswers& answers, Verdict* verdict,
                                       std::set<base::DnsQuestion>* missing) const {
  if (stream_.header_too_large()) {
    verdict->header_too_large = true;
    verdict->dkim = HeaderTooLarge();
    return true;
  }
  const bool has_dkim = Settle(dkim_.Evaluate(stream_, answers), &verdict->dkim, missing);
  const bool has_arc = Settle(arc_.Evaluate(stream_, answers), &verdict->arc, missing);
  return has_dkim && has_arc;
}

bool MessageVerifier::SettleDmarc(const base::DnsAnswers& answers, Verdict* verdict,
                                  std::set<base::DnsQuestion>* missing) const {
  if (!author_domains_.ok()) {
    verdict->author_unusable = stream_.header_too_large()
                                   ? "header too large"
                                   : std::string(base::Message(author_domains_.status()));
    verdict->dmarc.reason = verdict->author_unusable;
    return true;
  }
  if (author_domains_->empty()) verdict->dmarc.reason = "no address in From";
  // RFC 9989 §11.5: with several domains each is checked, and the strictest result counts.
  bool settled = true;
  for (const std::string& author : *author_domains_) {
    dmarc::Result result;
    const dmarc::Input input = DmarcInput(author, *verdict);
    if (!Settle(dmarc::Evaluate(input, options_.dmarc, answers), &result, missing)) {
      settled = false;
    } else if (verdict->author_domain.empty() || Strictness(result) > Strictness(verdict->dmarc)) {
      verdict->author_domain = author;
      verdict->dmarc = std::move(result);
    }
  }
  return settled;
}

base::DnsStep<Verdict> MessageVerifier::Finish(const base::DnsAnswers& answers) {
  stream_.End();
  Verdict verdict;
  std::set<base::DnsQuestion> missing;
  const bool connection = SettleConnection(answers, &verdict, &missing);
  const bool signatures = SettleSignatures(answers, &verdict, &missing);
  if (!connection || !signatures) {
    for (base::DnsQuestion& question : Questions(answers)) missing.insert(std::move(question));
    return QuestionList(missing.begin(), missing.end());
  }
  if (!SettleDmarc(answers, &verdict, &missing)) {
    return QuestionList(missing.begin(), missing.end());
  }
  const auto& trusted = options_.trusted_sealers;
  verdict.arc_trusted =
      verdict.arc.code == arc::ResultCode::kPass && !verdict.arc.sealers.empty() &&
      std::find(trusted.begin(), trusted.end(), verdict.arc.sealers.back()) != trusted.end();
  // With several authors each would have to be vouched for.
  if (verdict.arc_trusted && author_domains_.ok() && author_domains_->size() == 1 &&
      (verdict.dmarc.code == dmarc::ResultCode::kFail ||
       verdict.dmarc.code == dmarc::ResultCode::kTempError)) {
    verdict.policy_override = TrustedForwarder(verdict.arc, trusted, verdict.dmarc);
  }
  verdict.authentication_results = FormatResults(verdict, envelope_, options_.authserv_id);
  if (options_.check_connection) {
    verdict.received_spf = spf::FormatReceivedSpf(
        verdict.mail_from_spf, SpfQuery(spf::Identity::kMailFrom), options_.receiver);
  }
  return verdict;
}

}  // namespace godwit::mailauth
