#include "libs/dkim/verify.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dkim/key_record.h"
#include "libs/dkim/keys.h"
#include "libs/idna/domain.h"

namespace godwit::dkim {
namespace {

constexpr size_t kMaxKeyRecords = 4;
constexpr size_t kBPrefix = 8;  // RFC 6008 §4: at least eight characters

KeyCheck Outcome(ResultCode code, std::string_view reason) {
  return {.code = code, .reason = std::string(reason)};
}

// RFC 6376 §6.1.2: is this key meant for this signature?
KeyCheck CheckRecord(const Signature& signature, const KeyRecord& record) {
  if (record.key.empty()) return Outcome(ResultCode::kPermError, "key revoked");
  if (!record.for_email && !record.for_tls_reports) {
    return Outcome(ResultCode::kPermError, "key is not for mail");
  }
  if (!record.allows_sha256) return Outcome(ResultCode::kPermError, "key does not allow sha256");
  const bool wants_ed25519 = signature.algorithm == Algorithm::kEd25519Sha256;
  if (wants_ed25519 != (record.type == KeyType::kEd25519)) {
    return Outcome(ResultCode::kPermError, "key is of another type than the signature");
  }
  // §3.6.1: with t=s the domain of i= must not be below d=.
  if (record.same_domain_only && signature.identity_domain != signature.domain) {
    return Outcome(ResultCode::kPermError, "key is not for subdomains");
  }
  return {};
}

KeyCheck VerifyWithKey(const Signature& signature, std::string_view signed_data,
                       const KeyRecord& record, const VerifyOptions& options) {
  KeyCheck check = CheckRecord(signature, record);
  check.testing = record.testing;
  if (check.code != ResultCode::kPass) return check;
  const auto key = PublicKey::FromRecord(record);
  if (!key.ok()) {
    check.code = ResultCode::kPermError;
    check.reason = "key record: " + std::string(base::Message(key.status()));
    return check;
  }
  check.key_bits = key->bits();
  if (key->type() == KeyType::kRsa &&
      (key->bits() < options.min_rsa_bits || key->bits() > options.max_rsa_bits)) {
    check.code = ResultCode::kPolicy;
    check.reason = "RSA key of " + std::to_string(key->bits()) + " bits";
    return check;
  }
  if (!key->Verify(signed_data, signature.signature)) {
    check.code = ResultCode::kFail;
    check.reason = "signature did not verify";
  }
  return check;
}

KeyCheck VerifyWithRecord(const Signature& signature, std::string_view signed_data,
                          std::string_view text, const VerifyOptions& options) {
  const auto record = ParseKeyRecord(text);
  if (!record.ok()) {
    return Outcome(ResultCode::kPermError,
                   "key record: " + std::string(base::Message(record.status())));
  }
  KeyCheck check = VerifyWithKey(signature, signed_data, *record, options);
  check.for_tls_report =
      record->for_tls_reports && !record->testing && check.code == ResultCode::kPass;
  // §3.6.1: for mail a record of other services is as good as none.
  if (!record->for_email && !record->key.empty()) {
    check.code = ResultCode::kPermError;
    check.reason = "key is not for mail";
  }
  return check;
}

}  // namespace

std::string_view ResultName(ResultCode code) {
  switch (code) {
    case ResultCode::kNone: return "none";
    case ResultCode::kPass: return "pass";
    case ResultCode::kFail: return "fail";
    case ResultCode::kPolicy: return "policy";
    case ResultCode::kNeutral: return "neutral";
    case ResultCode::kTempError: return "temperror";
    case ResultCode::kPermError: return "permerror";
  }
  return "none";
}

base::DnsQuestion KeyQuestion(const Signature& signature) {
  return {signature.selector + "._domainkey." + signature.domain, base::DnsType::kTxt};
}

KeyCheck VerifyWithAnswer(const Signature& signature, std::string_view signed_data,
                          const base::DnsAnswer& answer, const VerifyOptions& options) {
  if (answer.outcome == base::DnsOutcome::kTempFail) {
    return Outcome(ResultCode::kTempError, "no answer from DNS for the key");
  }
  // RFC 6376 §6.1.2 step 3.
  if (!answer.found() || answer.texts.empty()) {
    return Outcome(ResultCode::kPermError, "no key for signature");
  }
  KeyCheck first;
  for (size_t i = 0; i < std::min(answer.texts.size(), kMaxKeyRecords); ++i) {
    KeyCheck check = VerifyWithRecord(signature, signed_data, answer.texts[i], options);
    if (check.code == ResultCode::kPass) return check;
    // A record that is a usable key tells more than one that is something else.
    if (i == 0 || (first.key_bits == 0 && check.key_bits != 0)) first = std::move(check);
  }
  return first;
}

std::string SignedHeaderData(const HeaderBlock& header, const Signature& signature,
                             std::string_view signature_raw) {
  // RFC 6376 §5.4.2: a name that stands n times in h= takes the n lowest fields, bottom-up; a name
  // beyond what is there adds nothing.
  std::map<std::string, std::vector<size_t>> unused;
  for (const std::string& name : signature.signed_fields) unused.try_emplace(base::Lower(name));
  for (size_t i = 0; i < header.size(); ++i) {
    const auto found = unused.find(base::Lower(header.name(i)));
    if (found != unused.end()) found->second.push_back(i);
  }
  std::string data;
  for (const std::string& name : signature.signed_fields) {
    std::vector<size_t>& positions = unused[base::Lower(name)];
    if (positions.empty()) continue;
    AppendCanonicalField(signature.header_canonicalization, header.raw(positions.back()), &data);
    data += "\r\n";
    positions.pop_back();
  }
  AppendCanonicalField(signature.header_canonicalization, WithoutSignatureValue(signature_raw),
                       &data);
  return data;
}

SignatureChecker::SignatureChecker(VerifyOptions options, absl::Time now)
    : options_(options), now_(now) {}

void SignatureChecker::OnHeader(const HeaderBlock& header, BodyHashes& body) {
  // Far more than any list server adds; without it the header limit would be the only bound.
  constexpr size_t kMaxReported = 100;
  for (const size_t index : header.Find("DKIM-Signature")) {
    if (candidates_.size() == kMaxReported) break;
    AddCandidate(header, index, body);
  }
  MakeBPrefixesDistinct();
}

void SignatureChecker::AddCandidate(const HeaderBlock& header, size_t index, BodyHashes& body) {
  Candidate candidate;
  candidate.result.field_index = index;
  auto signature = ParseSignature(header.value(index), SignatureForm::kDkim);
  if (!signature.ok()) {
    candidate.result.code = ResultCode::kNeutral;
    candidate.result.reason = std::string(base::Message(signature.status()));
    candidates_.push_back(std::move(candidate));
    return;
  }
  candidate.signature = *std::move(signature);
  candidate.result.domain = candidate.signature.domain;
  candidate.result.selector = candidate.signature.selector;
  candidate.result.identity = candidate.signature.identity;
  candidate.result.algorithm = candidate.signature.algorithm_text;
  CheckAcceptable(&candidate);
  if (candidate.result.code == ResultCode::kNone) {
    candidate.body_hash =
        body.Request(candidate.signature.body_canonicalization, candidate.signature.body_length);
  }
  candidates_.push_back(std::move(candidate));
}

void SignatureChecker::CheckAcceptable(Candidate* candidate) const {
  const Signature& signature = candidate->signature;
  const auto refuse = [&](ResultCode code, std::string_view reason) {
    candidate->result.code = code;
    candidate->result.reason = std::string(reason);
  };
  const auto verified = std::count_if(candidates_.begin(), candidates_.end(),
                                      [](const Candidate& c) { return c.body_hash >= 0; });
  // RFC 8301 §3.1: rsa-sha1 has permanently failed.
  if (signature.algorithm == Algorithm::kRsaSha1) {
    refuse(ResultCode::kPermError, "rsa-sha1 is not acceptable");
  } else if (signature.algorithm == Algorithm::kUnknown) {
    refuse(ResultCode::kPermError, "unknown algorithm");
  } else if (!signature.dns_txt) {
    refuse(ResultCode::kPermError, "unknown query method");
  } else if (!signature.Signs("From")) {  // RFC 6376 §6.1.1
    refuse(ResultCode::kPermError, "From field not signed");
  } else if (!idna::IsSameOrBelow(signature.identity_domain, signature.domain)) {
    refuse(ResultCode::kPermError, "i= is not in the domain of d=");
  } else if (signature.body_hash.size() != 32) {
    refuse(ResultCode::kPermError, "bh= is not a SHA-256 hash");
  } else if (signature.expiration && *signature.expiration + options_.clock_skew < now_) {
    refuse(ResultCode::kPolicy, "signature expired");
  } else if (signature.timestamp && *signature.timestamp > now_ + options_.clock_skew) {
    refuse(ResultCode::kPolicy, "signature is from the future");
  } else if (static_cast<size_t>(verified) >= options_.max_signatures) {
    refuse(ResultCode::kPolicy, "more signatures than are verified");
  }
}

// RFC 6008 §4: as many characters of b= as tell the signatures of the message apart.
void SignatureChecker::MakeBPrefixesDistinct() {
  for (size_t length = kBPrefix; length <= 64; length += kBPrefix) {
    std::map<std::string_view, std::set<std::string_view>> by_prefix;
    for (const Candidate& candidate : candidates_) {
      const std::string_view text = candidate.signature.b_text;
      by_prefix[text.substr(0, length)].insert(text);
    }
    for (Candidate& candidate : candidates_) {
      candidate.result.b_prefix = candidate.signature.b_text.substr(0, length);
    }
    if (std::all_of(by_prefix.begin(), by_prefix.end(),
                    [](const auto& entry) { return entry.second.size() == 1; })) {
      return;
    }
  }
}

std::vector<base::DnsQuestion> SignatureChecker::Questions() const {
  std::set<base::DnsQuestion> questions;
  for (const Candidate& candidate : candidates_) {
    if (candidate.result.code != ResultCode::kNone) continue;
    base::DnsQuestion question = KeyQuestion(candidate.signature);
    if (idna::IsDnsName(question.name)) questions.insert(std::move(question));
  }
  return {questions.begin(), questions.end()};
}

std::vector<std::string> SignatureChecker::Domains() const {
  std::vector<std::string> domains;
  for (const Candidate& candidate : candidates_) {
    if (candidate.result.code == ResultCode::kNone) domains.push_back(candidate.signature.domain);
  }
  return domains;
}

base::DnsStep<std::vector<SignatureResult>> SignatureChecker::Evaluate(
    const MessageStream& message, const base::DnsAnswers& answers) const {
  std::vector<base::DnsQuestion> missing;
  for (base::DnsQuestion& question : Questions()) {
    if (!answers.contains(question)) missing.push_back(std::move(question));
  }
  if (!missing.empty()) return missing;
  std::vector<SignatureResult> results;
  for (const Candidate& candidate : candidates_) {
    if (candidate.result.code != ResultCode::kNone) {
      results.push_back(candidate.result);
      continue;
    }
    // Not there only when selector and domain together are no DNS name: then there is no key.
    base::DnsAnswer no_name;
    no_name.outcome = base::DnsOutcome::kNoDomain;
    const auto answer = answers.find(KeyQuestion(candidate.signature));
    results.push_back(
        Judge(candidate, message, answer == answers.end() ? no_name : answer->second));
  }
  return results;
}

SignatureResult SignatureChecker::Judge(const Candidate& candidate, const MessageStream& message,
                                        const base::DnsAnswer& answer) const {
  SignatureResult result = candidate.result;
  const Signature& signature = candidate.signature;
  const std::string data =
      SignedHeaderData(message.header(), signature, message.header().raw(result.field_index));
  const KeyCheck check = VerifyWithAnswer(signature, data, answer, options_);
  const BodyHashes::Digest& digest = message.body().Get(candidate.body_hash);
  result.code = check.code;
  result.reason = check.reason;
  result.key_bits = check.key_bits;
  result.testing = check.testing;
  result.partial_body = digest.partial;
  const bool body_is_right = !digest.too_short && digest.sha256 == signature.body_hash;
  // RFC 8460 §3: without l=, even where it leaves out nothing.
  result.for_tls_report = check.for_tls_report && body_is_right && !signature.body_length;
  if (result.code != ResultCode::kPass && result.code != ResultCode::kFail) return result;
  // RFC 6376 §6.1.3 step 2, and §3.5 for l= beyond the body. The more telling reason wins.
  if (!body_is_right) {
    result.code = ResultCode::kFail;
    result.reason = digest.too_short ? "body is shorter than l=" : "body hash did not verify";
  } else if (result.code == ResultCode::kPass && digest.partial && !options_.allow_partial_body) {
    // §8.2: whatever was appended is not signed.
    result.code = ResultCode::kPolicy;
    result.reason = "l= leaves out a part of the body";
  }
  return result;
}

Verifier::Verifier(VerifyOptions options, absl::Time now)
    : checker_(options, now),
      stream_(options.max_header_bytes, [this](const HeaderBlock& header, BodyHashes& body) {
        checker_.OnHeader(header, body);
      }) {}

base::DnsStep<std::vector<SignatureResult>> Verifier::Finish(const base::DnsAnswers& answers) {
  stream_.End();
  if (!stream_.header_too_large()) return checker_.Evaluate(stream_, answers);
  SignatureResult result;
  result.code = ResultCode::kPermError;
  result.reason = "header too large";
  return std::vector<SignatureResult>{result};
}

}  // namespace godwit::dkim
