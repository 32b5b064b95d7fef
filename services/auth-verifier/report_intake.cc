#include "services/auth-verifier/report_intake.h"

#include <malloc.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"
#include "libs/base/status.h"
#include "libs/dmarc_report/attachment.h"
#include "libs/dmarc_report/parse.h"
#include "libs/idna/domain.h"
#include "libs/obs/log.h"
#include "libs/report_file/unpack.h"

namespace godwit::auth_verifier {
namespace {

constexpr size_t kMostRows = 5000;                 // the most frequent; the totals are of all
constexpr absl::Duration kAhead = absl::Hours(1);  // clocks differ
constexpr int kSweepBatch = 100;

std::string PolicyText(const dmarc_report::PublishedPolicy& policy) {
  std::string text;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    text += (text.empty() ? "" : " ") + std::string(name) + "=" + value;
  };
  add("p", policy.p);
  add("sp", policy.sp);
  add("np", policy.np);
  add("adkim", policy.adkim);
  add("aspf", policy.aspf);
  add("fo", policy.fo);
  add("testing", policy.testing);
  add("discovery_method", policy.discovery_method);
  if (policy.pct) add("pct", std::to_string(*policy.pct));
  return text;
}

store::ReceivedReportRow MakeRow(const dmarc_report::Record& record) {
  store::ReceivedReportRow row;
  const auto ip = base::IpAddress::Parse(record.source_ip).value_or(base::IpAddress());
  row.source_ip = std::string(ip.bytes());
  row.messages = record.count;
  row.disposition = record.disposition;
  row.dkim = record.dkim;
  row.spf = record.spf;
  row.header_from = record.header_from;
  row.envelope_from = record.envelope_from;
  for (const dmarc_report::Reason& each : record.reasons) {
    row.reasons += each.type + " " + each.comment + "\n";
  }
  for (const dmarc_report::DkimResult& each : record.dkim_results) {
    row.dkim_results += each.domain + " " + each.selector + " " + each.result + "\n";
  }
  for (const dmarc_report::SpfResult& each : record.spf_results) {
    row.spf_results += each.domain + " " + each.result + "\n";
  }
  return row;
}

absl::StatusOr<store::ReceivedReport> Read(std::string_view message, std::string_view reporter,
                                           absl::Time received) {
  GODWIT_ASSIGN_OR_RETURN(const std::string file, dmarc_report::AttachedReport(message));
  GODWIT_ASSIGN_OR_RETURN(const std::string xml, report_file::Unpack(file));
  GODWIT_ASSIGN_OR_RETURN(const dmarc_report::Report report, dmarc_report::ParseXml(xml));
  return Summarize(report, reporter, received);
}

// On a database thread.
absl::Status ReadAndStore(db::Connection& connection, const std::string& message,
                          const std::string& reporter, absl::Time now, int64_t most) {
  GODWIT_ASSIGN_OR_RETURN(const store::ReceivedReport report, Read(message, reporter, now));
  GODWIT_ASSIGN_OR_RETURN(const store::ReportStored stored,
                          store::StoreReceivedReport(connection, report, most));
  if (stored == store::ReportStored::kTooMany) {
    return base::ResourceExhausted("too many reports about " + report.domain + " in a day");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<store::ReceivedReport> Summarize(const dmarc_report::Report& report,
                                                std::string_view reporter, absl::Time received) {
  const auto domain = idna::ToAscii(report.policy.domain);
  if (!domain || domain->empty()) return base::InvalidArgument("the report names no domain");
  store::ReceivedReport kept;
  kept.domain = *domain;
  kept.reporter = reporter;
  kept.organization = report.org_name;
  kept.report_id = report.report_id;
  kept.begins = absl::FromUnixSeconds(report.begin);
  kept.ends = absl::FromUnixSeconds(report.end);
  if (kept.ends > received + kAhead) return base::InvalidArgument("the report is of the future");
  kept.received = received;
  kept.policy = PolicyText(report.policy);
  kept.errors = base::Join(report.errors, "\n");
  for (const dmarc_report::Record& record : report.records) {
    // Bounded, so that no sum of strangers' numbers overflows.
    const int64_t count = std::min<int64_t>(record.count, 1'000'000'000'000);
    kept.messages += count;
    if (record.dkim != "pass" && record.spf != "pass") kept.failed += count;
    kept.rows.push_back(MakeRow(record));
  }
  std::stable_sort(kept.rows.begin(), kept.rows.end(),
                   [](const auto& a, const auto& b) { return a.messages > b.messages; });
  if (kept.rows.size() > kMostRows) kept.rows.resize(kMostRows);
  return kept;
}

ReportIntake::ReportIntake(Options options, db::Pool* pool, const base::Clock* clock,
                           TlsReportClient* tls_reports)
    : options_(options), pool_(pool), clock_(clock), tls_reports_(tls_reports) {}

ReportIntake::Collector::Collector(ReportIntake* intake) : intake_(intake) {
  if (intake == nullptr) return;
  has_room_ = intake->collecting_.fetch_add(1) < intake->options_.at_once;
}

ReportIntake::Collector::~Collector() {
  if (intake_ != nullptr) intake_->collecting_.fetch_sub(1);
}

void ReportIntake::Collector::Append(std::string_view bytes) {
  if (!has_room_ || too_large_) return;
  if (bytes.size() > intake_->options_.message_bytes - message_.size()) {
    too_large_ = true;
    message_ = std::string();
    return;
  }
  message_ += bytes;
}

// RFC 8460 §3: without a valid signature such a report is to be ignored; whose it has to be, the
// report says.
base::Task<absl::Status> ReportIntake::StoreTlsReport(tlsrpt::Attached attached,
                                                      std::vector<std::string> signers,
                                                      std::string trace) {
  if (signers.empty()) co_return base::PermissionDenied("no DKIM signature for TLS reports");
  if (tls_reports_ == nullptr) co_return base::FailedPrecondition("TLS reports are not kept");
  TlsReport report;
  report.file = std::move(attached.file);
  report.submitter = std::move(attached.submitter);
  report.signers = std::move(signers);
  absl::Status stored = co_await tls_reports_->Store(std::move(report), std::move(trace));
  co_return stored;
}

base::Task<absl::Status> ReportIntake::Store(Collector* collector, Proof proof, std::string trace) {
  if (!collector->has_room_) co_return base::ResourceExhausted("too many reports at once");
  if (collector->too_large_) co_return base::ResourceExhausted("the message is too large");
  absl::StatusOr<tlsrpt::Attached> attached = tlsrpt::AttachedReport(collector->message_);
  if (attached.ok()) {
    absl::Status kept = co_await StoreTlsReport(*std::move(attached), std::move(proof.tls_signers),
                                                std::move(trace));
    co_return kept;
  }
  if (proof.author.empty()) co_return base::PermissionDenied("its author does not pass DMARC");
  const absl::Time now = clock_->Now();
  absl::Status stored = co_await pool_->Run(
      [message = std::move(collector->message_), author = std::move(proof.author), now,
       most = options_.reports_a_day](db::Connection& connection) {
        return ReadAndStore(connection, message, author, now, most);
      });
  read_some_ = true;
  co_return stored;
}

base::Task<void> ReportIntake::Run(net::Reactor* reactor) {
  for (int minute = 1;; ++minute) {
    const bool running = co_await reactor->Sleep(absl::Minutes(1));
    if (!running) co_return;
    if (read_some_.exchange(false)) {
      (void)co_await pool_->Run([](db::Connection&) {
        ::malloc_trim(0);
        return absl::OkStatus();
      });
    }
    if (minute % 60 != 0) continue;
    const absl::Time oldest = clock_->Now() - options_.keep;
    absl::StatusOr<int64_t> swept = co_await pool_->Run([oldest](db::Connection& connection) {
      return store::SweepReceivedReports(connection, oldest, kSweepBatch);
    });
    if (!swept.ok()) obs::Log(obs::Level::kWarning, "sweep failed", {{"status", swept.status()}});
  }
}

}  // namespace godwit::auth_verifier
