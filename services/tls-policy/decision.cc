#include "services/tls-policy/decision.h"

#include "libs/base/ascii.h"
#include "libs/dane/tlsa.h"

namespace godwit::tls_policy {
namespace {

HostDecision Unusable(HostDecision decision, std::string_view reason, TlsResult result) {
  decision.requirement = Requirement::kUnusable;
  decision.reason = reason;
  decision.unusable_result = result;
  return decision;
}

ReportPolicy TlsaReport(const std::string& domain, const RouteHost& host) {
  ReportPolicy report{.type = PolicyType::kTlsa, .domain = domain};
  for (const base::DnsTlsa& record : host.tlsa) report.policy.push_back(dane::ToString(record));
  report.mx_patterns = {host.name};
  return report;
}

ReportPolicy StsReport(const std::string& domain, const StsState& sts) {
  ReportPolicy report{.type = PolicyType::kSts, .domain = domain, .failure = sts.failure};
  if (!sts.policy) return report;
  // RFC 8460 §4.4: each line of the policy, as it was given.
  const std::string text = mtasts::WritePolicy(sts.policy->policy);
  for (std::string_view line : base::Split(text, '\n')) {
    line = base::Trim(line);
    if (!line.empty()) report.policy.emplace_back(line);
  }
  report.mx_patterns = sts.policy->policy.mx;
  return report;
}

// RFC 8461 §2: DANE goes first; a host that DANE does not speak of is MTA-STS's.
HostDecision DecideSts(const std::string& domain, const RouteHost& host, const StsState& sts) {
  HostDecision decision;
  decision.report = {.domain = domain};
  if (sts.failure != TlsResult::kNone && !sts.policy) decision.report = StsReport(domain, sts);
  if (!sts.policy || sts.policy->policy.mode == mtasts::Mode::kNone) return decision;
  decision.report = StsReport(domain, sts);
  decision.mta_sts_matched = mtasts::MatchesAny(sts.policy->policy.mx, host.name);
  if (sts.policy->policy.mode == mtasts::Mode::kTesting) {
    decision.mta_sts_testing = true;
    // RFC 8461 §5: delivered all the same, and reported.
    if (!decision.mta_sts_matched) decision.unusable_result = TlsResult::kValidationFailure;
    return decision;
  }
  // RFC 8461 §5: a host that the policy does not name is not used.
  if (!decision.mta_sts_matched) {
    return Unusable(std::move(decision), "the host is not one of the MTA-STS policy",
                    TlsResult::kValidationFailure);
  }
  decision.requirement = Requirement::kMtaSts;
  return decision;
}

HostDecision DecideHost(const std::string& domain, const RouteHost& host, const StsState& sts) {
  HostDecision decision;
  switch (host.tlsa_status) {
    case TlsaStatus::kTempFail:
      // RFC 7672 §2.2: without an answer nobody knows whether TLS is a must.
      decision.report = TlsaReport(domain, host);
      return Unusable(std::move(decision), "the TLSA lookup fails", TlsResult::kDnssecInvalid);
    case TlsaStatus::kSecure:
      decision.requirement = Requirement::kDane;
      decision.report = TlsaReport(domain, host);
      return decision;
    case TlsaStatus::kUnusable:
      // RFC 7672 §2.2: TLS is a must, but there is nothing to verify with; MTA-STS may know.
      decision = DecideSts(domain, host, sts);
      if (decision.requirement != Requirement::kOpportunistic) return decision;
      decision.requirement = Requirement::kEncrypt;
      decision.report = TlsaReport(domain, host);
      return decision;
    case TlsaStatus::kNone: break;
  }
  return DecideSts(domain, host, sts);
}

}  // namespace

std::vector<HostDecision> Decide(const std::string& domain, const Route& route,
                                 const StsState& sts) {
  std::vector<HostDecision> decisions;
  for (const RouteHost& host : route.hosts) {
    HostDecision decision = DecideHost(domain, host, sts);
    if (!host.address_error.empty()) {
      decision = Unusable(std::move(decision), host.address_error,
                          host.mx_secure ? TlsResult::kDnssecInvalid : TlsResult::kNone);
    }
    decisions.push_back(std::move(decision));
  }
  return decisions;
}

}  // namespace godwit::tls_policy
