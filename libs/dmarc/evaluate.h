#pragma once

// DMARC evaluation (RFC 9989, and RFC 7489 for those who want the old way), pure, asking in rounds.
//
//   dmarc::Input input;
//   input.author_domain = "news.example.org";
//   input.identifiers = {{dmarc::Mechanism::kDkim, "example.org", dmarc::Outcome::kPass}};
//   auto step = dmarc::Evaluate(input, dmarc::Options{}, answers);
//
// Mode kTreeWalk (the default) finds policy record and organizational domains by walking up DNS, at
// most eight names for each domain. Mode kPublicSuffixList uses the list and honours pct=. All
// names of a walk are asked in one round.
//
// The result says what the domain's owner asks for. What is done with the message is the caller's:
// disposition is only ever stricter than none when result is kFail.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/dns_answer.h"
#include "libs/dmarc/record.h"

namespace godwit::dmarc {

enum class Mode : uint8_t { kTreeWalk, kPublicSuffixList };

struct Options {
  Mode mode = Mode::kTreeWalk;
  // 0..99, random: with pct= below it, RFC 7489 §6.6.4 applies the next milder policy.
  int sample = 0;
};

enum class Mechanism : uint8_t { kDkim, kSpf };
enum class Outcome : uint8_t { kPass, kFail, kTempError };

// What SPF (MAIL FROM identity only) or one DKIM signature gave.
struct Identifier {
  Mechanism mechanism = Mechanism::kDkim;
  std::string domain;  // A-labels, lower case
  Outcome outcome = Outcome::kFail;
};

struct Input {
  std::string author_domain;  // from author.h
  std::vector<Identifier> identifiers;
};

enum class ResultCode : uint8_t { kNone, kPass, kFail, kTempError, kPermError };
std::string_view ResultName(ResultCode code);

struct AlignedIdentifier {
  Mechanism mechanism = Mechanism::kDkim;
  std::string domain;
  friend bool operator==(const AlignedIdentifier&, const AlignedIdentifier&) = default;
};

struct Result {
  ResultCode code = ResultCode::kNone;
  std::string author_domain;
  std::string policy_domain;           // where the record was found
  std::string organizational_domain;   // of the author domain
  std::string record;                  // its text
  Record parsed;                       // defaults when there is none
  Policy policy = Policy::kNone;       // what p=, sp= or np= says for this author domain
  std::string policy_tag;              // "p", "sp" or "np"
  Policy disposition = Policy::kNone;  // for this message, with t= or pct= applied
  // For kTempError: the disposition that a fail would have had; kReject when the policy isn't
  // known.
  Policy worst = Policy::kNone;
  bool dkim_aligned = false;  // a passing, aligned signature
  bool spf_aligned = false;
  std::vector<AlignedIdentifier> aligned;
  std::string reason;  // for people
};

// What is worth asking as soon as the header is there, before SPF and DKIM have their results: the
// walks of the author domain and of the domains that may turn out to be authenticated.
std::vector<base::DnsQuestion> EarlyQuestions(std::string_view author_domain,
                                              const std::vector<std::string>& candidates,
                                              const Options& options);

base::DnsStep<Result> Evaluate(const Input& input, const Options& options,
                               const base::DnsAnswers& answers);

// The organizational domain of `domain` (A-labels, lower case): RFC 9989 §4.10.2 or RFC 7489 §3.2,
// by the mode. nullopt: no answer from DNS now.
base::DnsStep<std::optional<std::string>> OrganizationalDomain(const std::string& domain,
                                                               const Options& options,
                                                               const base::DnsAnswers& answers);

// The names of a tree walk from `domain`, longest first, at most eight (RFC 9989 §4.10).
std::vector<std::string> TreeWalkNames(std::string_view domain);

}  // namespace godwit::dmarc
