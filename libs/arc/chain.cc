#include "libs/arc/chain.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dkim/tag_list.h"
#include "libs/idna/domain.h"

namespace godwit::arc {
namespace {

constexpr int kMaxInstance = 50;  // RFC 8617 §4.2.1
// Message signatures older than these are not verified: oldest-pass stays at the oldest one that
// was.
constexpr int kMaxMessageSignatures = 10;

constexpr std::string_view kResultsField = "ARC-Authentication-Results";
constexpr std::string_view kMessageField = "ARC-Message-Signature";
constexpr std::string_view kSealField = "ARC-Seal";

std::optional<int> ParseInstance(std::string_view text) {
  const auto number = base::ParseDecimal(text);
  if (!number || *number < 1 || *number > kMaxInstance) return std::nullopt;
  return static_cast<int>(*number);
}

struct NumberedResults {
  int instance = 0;
  std::string_view results;
};

// §4.1.1: "i=N;" and then what Authentication-Results has.
std::optional<NumberedResults> ParseResults(std::string_view value) {
  const size_t semicolon = value.find(';');
  if (semicolon == value.npos) return std::nullopt;
  const std::string_view tag = value.substr(0, semicolon);
  const size_t equals = tag.find('=');
  if (equals == tag.npos || base::Trim(tag.substr(0, equals)) != "i") return std::nullopt;
  const auto instance = ParseInstance(base::Trim(tag.substr(equals + 1)));
  if (!instance) return std::nullopt;
  return NumberedResults{*instance, base::Trim(value.substr(semicolon + 1))};
}

std::optional<ChainValidation> ValidationByName(std::string_view name) {
  if (base::EqualsIgnoreCase(name, "none")) return ChainValidation::kNone;
  if (base::EqualsIgnoreCase(name, "fail")) return ChainValidation::kFail;
  if (base::EqualsIgnoreCase(name, "pass")) return ChainValidation::kPass;
  return std::nullopt;
}

dkim::Algorithm AlgorithmOf(std::string_view name) {
  if (base::EqualsIgnoreCase(name, "rsa-sha256")) return dkim::Algorithm::kRsaSha256;
  if (base::EqualsIgnoreCase(name, "ed25519-sha256")) return dkim::Algorithm::kEd25519Sha256;
  return dkim::Algorithm::kUnknown;
}

std::string At(std::string_view what, int instance) {
  return std::string(what) + " of instance " + std::to_string(instance);
}

bool IsUsable(dkim::Algorithm algorithm) {
  return algorithm == dkim::Algorithm::kRsaSha256 || algorithm == dkim::Algorithm::kEd25519Sha256;
}

}  // namespace

std::string_view ResultName(ResultCode code) {
  switch (code) {
    case ResultCode::kNone: return "none";
    case ResultCode::kPass: return "pass";
    case ResultCode::kFail:
    case ResultCode::kTempError: return "fail";
  }
  return "fail";
}

absl::StatusOr<Seal> ParseSeal(std::string_view value) {
  GODWIT_ASSIGN_OR_RETURN(const dkim::TagList tags, dkim::TagList::Parse(value));
  // §4.1.3: h= is not allowed here.
  if (tags.Find("h") != nullptr) return base::InvalidArgument("h= in a seal");
  Seal seal;
  const auto instance = ParseInstance(tags.Value("i"));
  const auto cv = ValidationByName(tags.Value("cv"));
  const auto domain = idna::ToAscii(tags.Value("d"));
  const auto selector = idna::ToAscii(tags.Value("s"));
  const auto signature = dkim::DecodeBase64String(tags.Value("b"));
  if (!instance) return base::InvalidArgument("bad value of i=");
  if (!cv) return base::InvalidArgument("bad value of cv=");
  if (!domain || !selector) return base::InvalidArgument("bad value of d= or s=");
  if (!signature.ok() || signature->empty()) return base::InvalidArgument("bad value of b=");
  seal.cv = *cv;
  seal.signature.instance = *instance;
  seal.signature.domain = *domain;
  seal.signature.identity_domain = *domain;
  seal.signature.selector = *selector;
  seal.signature.signature = *signature;
  seal.signature.algorithm_text = std::string(tags.Value("a").substr(0, 64));
  seal.signature.algorithm = AlgorithmOf(tags.Value("a"));
  return seal;
}

ChainChecker::ChainChecker(dkim::VerifyOptions options, absl::Time now)
    : options_(options), now_(now) {}

void ChainChecker::OnHeader(const dkim::HeaderBlock& header, dkim::BodyHashes& body) {
  broken_ = Collect(header);
  if (broken_.empty() && !sets_.empty()) broken_ = CheckStructure();
  if (!broken_.empty()) return;
  const size_t count = sets_.size();
  for (size_t i = 0; i < count; ++i) {
    if (i + kMaxMessageSignatures < count) continue;
    const dkim::Signature& signature = sets_[i].message_signature;
    sets_[i].body_hash = body.Request(signature.body_canonicalization, signature.body_length);
  }
}

// Goes on behind a field that is wrong: a broken chain is sealed with an instance above all that
// are there (§5.1.2).
std::string ChainChecker::Collect(const dkim::HeaderBlock& header) {
  std::string first;
  for (size_t i = 0; i < header.size(); ++i) {
    const std::string_view name = header.name(i);
    const bool ours = base::EqualsIgnoreCase(name, kResultsField) ||
                      base::EqualsIgnoreCase(name, kMessageField) ||
                      base::EqualsIgnoreCase(name, kSealField);
    if (!ours) continue;
    std::string problem = Place(header, i);
    if (first.empty()) first = std::move(problem);
  }
  return first;
}

// Puts one field into its set. §5.2 step 3A: each set has exactly one of each.
std::string ChainChecker::Place(const dkim::HeaderBlock& header, size_t index) {
  const std::string_view name = header.name(index);
  const std::string_view value = header.value(index);
  const auto slot = [&](int instance) -> Set& {
    if (sets_.size() < static_cast<size_t>(instance)) sets_.resize(static_cast<size_t>(instance));
    return sets_[static_cast<size_t>(instance) - 1];
  };
  const std::string bad = "bad " + std::string(name);
  size_t Set::*place = nullptr;
  Set* set = nullptr;
  if (base::EqualsIgnoreCase(name, kResultsField)) {
    const auto parsed = ParseResults(value);
    if (!parsed) return bad;
    place = &Set::results;
    set = &slot(parsed->instance);
    set->authentication_results = std::string(parsed->results);
  } else if (base::EqualsIgnoreCase(name, kMessageField)) {
    auto parsed = dkim::ParseSignature(value, dkim::SignatureForm::kArcMessage);
    if (!parsed.ok()) return bad + ": " + std::string(base::Message(parsed.status()));
    place = &Set::message;
    set = &slot(parsed->instance);
    set->message_signature = *std::move(parsed);
  } else {
    auto parsed = ParseSeal(value);
    if (!parsed.ok()) return bad + ": " + std::string(base::Message(parsed.status()));
    place = &Set::seal;
    set = &slot(parsed->signature.instance);
    set->parsed_seal = *std::move(parsed);
  }
  if (set->*place != kNoField) return "a second " + std::string(name) + " of one instance";
  set->*place = index;
  return "";
}

// §5.2 steps 2 and 3.
std::string ChainChecker::CheckStructure() const {
  if (sets_.back().parsed_seal.cv == ChainValidation::kFail && sets_.back().seal != kNoField) {
    return "the chain was broken before";
  }
  for (size_t i = 0; i < sets_.size(); ++i) {
    const Set& set = sets_[i];
    const int instance = static_cast<int>(i) + 1;
    if (set.results == kNoField || set.message == kNoField || set.seal == kNoField) {
      return At("a field is missing", instance);
    }
    const ChainValidation wanted = i == 0 ? ChainValidation::kNone : ChainValidation::kPass;
    if (set.parsed_seal.cv != wanted) return At("wrong cv=", instance);
    // §4.1.2: the seal comes after the message signature and can't be signed by it.
    if (set.message_signature.Signs(kSealField)) return At("ARC-Seal signed", instance);
    if (!IsUsable(set.parsed_seal.signature.algorithm) ||
        !IsUsable(set.message_signature.algorithm)) {
      return At("algorithm not acceptable", instance);
    }
  }
  return "";
}

std::vector<base::DnsQuestion> ChainChecker::Questions() const {
  std::set<base::DnsQuestion> questions;
  if (!broken_.empty()) return {};
  const auto add = [&](const dkim::Signature& signature) {
    base::DnsQuestion question = dkim::KeyQuestion(signature);
    if (idna::IsDnsName(question.name)) questions.insert(std::move(question));
  };
  for (const Set& set : sets_) {
    add(set.parsed_seal.signature);
    if (set.body_hash >= 0) add(set.message_signature);
  }
  return {questions.begin(), questions.end()};
}

base::DnsStep<Result> ChainChecker::Evaluate(const dkim::MessageStream& message,
                                             const base::DnsAnswers& answers) const {
  Result result;
  result.instances = static_cast<int>(sets_.size());
  for (const Set& set : sets_) {
    result.sealers.push_back(set.parsed_seal.signature.domain);
    result.selectors.push_back(set.parsed_seal.signature.selector);
  }
  if (!broken_.empty()) {
    result.code = ResultCode::kFail;
    result.reason = broken_;
    return result;
  }
  if (sets_.empty()) return result;
  std::vector<base::DnsQuestion> missing;
  for (base::DnsQuestion& question : Questions()) {
    if (!answers.contains(question)) missing.push_back(std::move(question));
  }
  if (!missing.empty()) return missing;
  Result judged = Judge(message, answers);
  judged.instances = result.instances;
  judged.sealers = std::move(result.sealers);
  judged.selectors = std::move(result.selectors);
  return judged;
}

namespace {

dkim::KeyCheck VerifyKnown(const dkim::Signature& signature, std::string_view data,
                           const base::DnsAnswers& answers, const dkim::VerifyOptions& options) {
  base::DnsAnswer no_name;
  no_name.outcome = base::DnsOutcome::kNoDomain;
  const auto answer = answers.find(dkim::KeyQuestion(signature));
  return dkim::VerifyWithAnswer(signature, data, answer == answers.end() ? no_name : answer->second,
                                options);
}

}  // namespace

dkim::KeyCheck ChainChecker::CheckMessage(const Set& set, const dkim::MessageStream& message,
                                          const base::DnsAnswers& answers) const {
  const dkim::Signature& signature = set.message_signature;
  const dkim::BodyHashes::Digest& digest = message.body().Get(set.body_hash);
  const auto refuse = [](dkim::ResultCode code, std::string_view reason) {
    dkim::KeyCheck check;
    check.code = code;
    check.reason = std::string(reason);
    return check;
  };
  if (digest.too_short || digest.sha256 != signature.body_hash) {
    return refuse(dkim::ResultCode::kFail, "body hash did not verify");
  }
  if (digest.partial && !options_.allow_partial_body) {
    return refuse(dkim::ResultCode::kPolicy, "l= leaves out a part of the body");
  }
  if (signature.expiration && *signature.expiration + options_.clock_skew < now_) {
    return refuse(dkim::ResultCode::kPolicy, "signature expired");
  }
  const std::string data =
      dkim::SignedHeaderData(message.header(), signature, message.header().raw(set.message));
  return VerifyKnown(signature, data, answers, options_);
}

// §5.1.1: one set as results, message signature, seal, in relaxed form; no CRLF behind the seal.
void ChainChecker::AppendSet(const dkim::HeaderBlock& header, size_t index, std::string_view seal,
                             std::string* data) const {
  constexpr auto kForm = dkim::Canonicalization::kRelaxed;
  dkim::AppendCanonicalField(kForm, header.raw(sets_[index].results), data);
  *data += "\r\n";
  dkim::AppendCanonicalField(kForm, header.raw(sets_[index].message), data);
  *data += "\r\n";
  dkim::AppendCanonicalField(kForm, seal, data);
}

// The sets 1..upto in their order; the last seal without its b= value.
std::string ChainChecker::SealedData(const dkim::HeaderBlock& header, size_t upto) const {
  std::string data;
  for (size_t i = 0; i + 1 < upto; ++i) {
    AppendSet(header, i, header.raw(sets_[i].seal), &data);
    data += "\r\n";
  }
  AppendSet(header, upto - 1, dkim::WithoutSignatureValue(header.raw(sets_[upto - 1].seal)), &data);
  return data;
}

std::string ChainChecker::CanonicalSets(const dkim::HeaderBlock& header) const {
  std::string data;
  for (size_t i = 0; broken_.empty() && i < sets_.size(); ++i) {
    AppendSet(header, i, header.raw(sets_[i].seal), &data);
    data += "\r\n";
  }
  return data;
}

bool ChainChecker::ended() const {
  return !sets_.empty() && sets_.back().seal != kNoField &&
         sets_.back().parsed_seal.cv == ChainValidation::kFail;
}

// §5.2 steps 4 to 7.
Result ChainChecker::Judge(const dkim::MessageStream& message,
                           const base::DnsAnswers& answers) const {
  Result result;
  const auto fail = [&](const dkim::KeyCheck& check, std::string_view what, size_t index) {
    const bool temporary = check.code == dkim::ResultCode::kTempError;
    result.code = temporary ? ResultCode::kTempError : ResultCode::kFail;
    result.reason = At(what, static_cast<int>(index) + 1) + ": " + check.reason;
    return result;
  };
  const size_t count = sets_.size();
  const dkim::KeyCheck newest = CheckMessage(sets_.back(), message, answers);
  if (newest.code != dkim::ResultCode::kPass) return fail(newest, kMessageField, count - 1);
  for (size_t i = count; i > 0; --i) {
    const dkim::KeyCheck check = VerifyKnown(sets_[i - 1].parsed_seal.signature,
                                             SealedData(message.header(), i), answers, options_);
    if (check.code != dkim::ResultCode::kPass) return fail(check, kSealField, i - 1);
  }
  // Step 5: the oldest message signature that still passes, without a gap; 0 when all do.
  size_t oldest = count;
  while (oldest > 1 && sets_[oldest - 2].body_hash >= 0 &&
         CheckMessage(sets_[oldest - 2], message, answers).code == dkim::ResultCode::kPass) {
    --oldest;
  }
  result.code = ResultCode::kPass;
  result.oldest_pass = oldest == 1 ? 0 : static_cast<int>(oldest);
  result.newest_results = sets_.back().authentication_results;
  for (const Set& set : sets_) result.results.push_back(set.authentication_results);
  return result;
}

}  // namespace godwit::arc
