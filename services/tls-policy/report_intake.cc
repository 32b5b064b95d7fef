#include "services/tls-policy/report_intake.h"

#include <algorithm>
#include <utility>

#include "libs/base/ip_address.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/report_file/unpack.h"
#include "libs/tlsrpt/parse.h"
#include "libs/tlsrpt/reporter.h"

namespace godwit::tls_policy {
namespace {

constexpr size_t kMostPolicies = 100;
constexpr size_t kMostLines = 100;                 // of a policy
constexpr size_t kMostFailures = 1000;             // of a policy
constexpr absl::Duration kAhead = absl::Hours(1);  // clocks differ
// RFC 8460 §5.5: whoever can not deliver a report gives up after a day. Each month makes
// partitions.
constexpr absl::Duration kOldest = absl::Hours(62 * 24);

// Bounded, so that no sum of strangers' numbers overflows.
int64_t Bounded(int64_t count) { return std::min<int64_t>(count, 1'000'000'000'000); }

std::string Octets(const std::string& ip) {
  const auto address = base::IpAddress::Parse(ip);
  return address ? std::string(address->bytes()) : "";
}

store::ReceivedTlsFailure MakeFailure(const tlsrpt::Failure& from) {
  store::ReceivedTlsFailure failure;
  failure.result_type = from.result_type;
  failure.sending_ip = Octets(from.sending_ip);
  failure.mx_host = from.mx_host;
  failure.mx_helo = from.mx_helo;
  failure.receiving_ip = Octets(from.receiving_ip);
  failure.sessions = Bounded(from.sessions);
  failure.additional_info = from.additional_info;
  failure.reason_code = from.reason_code;
  return failure;
}

std::vector<std::string> First(std::vector<std::string> lines) {
  if (lines.size() > kMostLines) lines.resize(kMostLines);
  return lines;
}

store::ReceivedTlsPolicy MakePolicy(const tlsrpt::Policy& from, std::string domain) {
  store::ReceivedTlsPolicy policy;
  policy.domain = std::move(domain);
  policy.type = from.type;
  policy.text = First(from.text);
  policy.mx_hosts = First(from.mx_hosts);
  policy.successful = Bounded(from.successful);
  policy.failed = Bounded(from.failed);
  for (const tlsrpt::Failure& failure : from.failures) {
    policy.failures.push_back(MakeFailure(failure));
  }
  std::stable_sort(policy.failures.begin(), policy.failures.end(),
                   [](const auto& a, const auto& b) { return a.sessions > b.sessions; });
  if (policy.failures.size() > kMostFailures) policy.failures.resize(kMostFailures);
  return policy;
}

// An error is the report's.
absl::StatusOr<store::ReceivedTlsReport> Read(const GivenReport& given, absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(const std::string json, report_file::Unpack(given.file));
  GODWIT_ASSIGN_OR_RETURN(const tlsrpt::Report report, tlsrpt::ParseReport(json));
  GODWIT_ASSIGN_OR_RETURN(const std::string reporter,
                          tlsrpt::FindReporter(report, given.submitter, given.signers));
  return Summarize(report, reporter, now);
}

}  // namespace

absl::StatusOr<store::ReceivedTlsReport> Summarize(const tlsrpt::Report& report,
                                                   std::string_view reporter, absl::Time received) {
  if (report.end > received + kAhead) return base::InvalidArgument("the report is of the future");
  if (report.begin < received - kOldest) return base::InvalidArgument("the report is too old");
  store::ReceivedTlsReport kept;
  kept.reporter = reporter;
  kept.organization = report.organization;
  kept.contact = report.contact;
  kept.report_id = report.report_id;
  kept.begins = report.begin;
  kept.ends = report.end;
  kept.received = received;
  for (const tlsrpt::Policy& policy : report.policies) {
    auto domain = idna::ToAscii(policy.domain);
    if (!domain || kept.policies.size() == kMostPolicies) continue;
    kept.policies.push_back(MakePolicy(policy, *std::move(domain)));
  }
  if (kept.policies.empty()) return base::InvalidArgument("the report names no domain");
  return kept;
}

ReportIntake::ReportIntake(Options options, db::Pool* pool, const base::Clock* clock,
                           Metrics* metrics)
    : options_(options), pool_(pool), clock_(clock), metrics_(metrics) {}

// On a database thread. An error is ours.
absl::StatusOr<ReportIntake::Outcome> ReportIntake::ReadAndStore(db::Connection& connection,
                                                                 const GivenReport& given,
                                                                 absl::Time now, int64_t most) {
  absl::StatusOr<store::ReceivedTlsReport> report = Read(given, now);
  if (!report.ok()) return Outcome{.problem = std::string(base::Message(report.status()))};
  const auto stored = store::StoreTlsReport(connection, &*report, most);
  if (stored.status().code() == absl::StatusCode::kFailedPrecondition) {
    return Outcome{.problem = std::string(base::Message(stored.status()))};
  }
  if (!stored.ok()) return stored.status();
  if (*stored == store::TlsReportStored::kTooMany) {
    return Outcome{.problem = "too many reports about " + report->domain + " in a day"};
  }
  Outcome outcome;
  outcome.duplicate = *stored == store::TlsReportStored::kDuplicate;
  outcome.successful = report->successful;
  outcome.failed = report->failed;
  return outcome;
}

void ReportIntake::Count(const absl::StatusOr<Outcome>& outcome) {
  const std::string_view result = !outcome.ok()               ? "failed"
                                  : !outcome->problem.empty() ? "refused"
                                  : outcome->duplicate        ? "duplicate"
                                                              : "stored";
  metrics_->reports.At({result}).Add();
  if (result != "stored") return;
  metrics_->reported_sessions.At({"success"}).Add(static_cast<double>(outcome->successful));
  metrics_->reported_sessions.At({"failure"}).Add(static_cast<double>(outcome->failed));
}

base::Task<absl::StatusOr<std::string>> ReportIntake::Store(GivenReport given) {
  absl::StatusOr<Outcome> outcome = Outcome{.problem = "too many reports at once"};
  if (reading_.fetch_add(1) < options_.at_once) {
    auto job = [given = std::move(given), now = clock_->Now(),
                most = options_.reports_a_day](db::Connection& connection) {
      return ReadAndStore(connection, given, now, most);
    };
    outcome = co_await pool_->Run(std::move(job));
  }
  reading_.fetch_sub(1);
  Count(outcome);
  if (!outcome.ok()) co_return outcome.status();
  co_return std::move(outcome->problem);
}

}  // namespace godwit::tls_policy
