#pragma once

// Decision: from a route and an MTA-STS policy to what each host must prove. Pure. The one place
// where DANE and MTA-STS meet.

#include <optional>
#include <string>
#include <vector>

#include "libs/mtasts/cache.h"
#include "services/tls-policy/route.h"

namespace godwit::tls_policy {

// The numbers are those of tls_policy.proto.
enum class Requirement { kOpportunistic = 1, kEncrypt = 2, kMtaSts = 3, kDane = 4, kUnusable = 5 };
enum class PolicyType { kNone = 1, kSts = 2, kTlsa = 3 };

// RFC 8460 §4.3.
enum class TlsResult {
  kNone = 0,
  kSuccess = 1,
  kStartTlsNotSupported = 2,
  kHostMismatch = 3,
  kExpired = 4,
  kNotTrusted = 5,
  kValidationFailure = 6,
  kTlsaInvalid = 7,
  kDnssecInvalid = 8,
  kDaneRequired = 9,
  kStsFetchError = 10,
  kStsPolicyInvalid = 11,
  kStsWebPkiInvalid = 12,
};

// What is known of the domain's MTA-STS policy.
struct StsState {
  std::optional<mtasts::CachedPolicy> policy;  // good now
  TlsResult failure = TlsResult::kNone;        // there is a record, but no policy could be had
};

struct ReportPolicy {
  PolicyType type = PolicyType::kNone;
  std::string domain = {};
  std::vector<std::string> policy = {};
  std::vector<std::string> mx_patterns = {};
  TlsResult failure = TlsResult::kNone;
};

struct HostDecision {
  Requirement requirement = Requirement::kOpportunistic;
  std::string reason;  // for kUnusable
  // Of a host that is unusable, or would be, were the policy in force (mta_sts_testing).
  TlsResult unusable_result = TlsResult::kNone;
  bool mta_sts_matched = false;
  bool mta_sts_testing = false;
  ReportPolicy report;
};

// For route.hosts, in their order. `domain` is the policy domain.
std::vector<HostDecision> Decide(const std::string& domain, const Route& route,
                                 const StsState& sts);

}  // namespace godwit::tls_policy
