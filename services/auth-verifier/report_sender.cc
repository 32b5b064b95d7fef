#include "services/auth-verifier/report_sender.h"

#include <openssl/sha.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/dmarc/record.h"
#include "libs/dmarc_report/write.h"
#include "libs/dns/drive.h"
#include "libs/obs/log.h"
#include "libs/report_file/pack.h"
#include "libs/store/report_sending.h"

namespace godwit::auth_verifier {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);
constexpr absl::Duration kLease = absl::Minutes(10);
constexpr absl::Duration kTryAgain = absl::Minutes(15);
constexpr absl::Duration kGiveUp = absl::Hours(48);
constexpr int kBatch = 20;
constexpr int kSweepBatch = 1000;

// Of what is sent once: 8 to 64 octets.
std::string IdempotencyKey(const store::DmarcPeriod& period, const std::string& address) {
  const std::string text = period.policy_domain + "\n" + address + "\n" +
                           std::to_string(absl::ToUnixSeconds(period.begins));
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest);
  return "dmarc-" + base::HexEncode({reinterpret_cast<const char*>(digest), 16});
}

// The octets of a message that carries the report: what a size limit is about (RFC 7489 §6.2).
size_t SizeOf(const dmarc_report::WrittenMessage& message) {
  return message.header.size() + message.body.size();
}

dmarc_report::WrittenMessage WriteFor(const dmarc::Destination& to,
                                      const dmarc_report::Report& report, const Reporter& reporter,
                                      absl::Time now) {
  dmarc_report::ReportMessage message;
  message.from = reporter.email;
  message.to = to.address;
  message.submitter = reporter.domain;
  message.date = now;
  message.file_name = dmarc_report::FileName(reporter.domain, report.policy.domain, report.begin,
                                             report.end, report.report_id);
  message.packed = report_file::Gzip(dmarc_report::WriteXml(report));
  message.report = &report;
  return dmarc_report::WriteMessage(message);
}

}  // namespace

ReportSender::ReportSender(Options options, Parts parts, std::string holder)
    : options_(std::move(options)), parts_(parts), holder_(std::move(holder)) {}

base::Task<void> ReportSender::Run(net::Reactor* reactor) {
  for (;;) {
    const bool running = co_await reactor->Sleep(kInterval);
    if (!running) co_return;
    co_await SendDue();
  }
}

base::Task<bool> ReportSender::TakeLease() {
  const absl::Time now = parts_.clock->Now();
  absl::StatusOr<bool> taken =
      co_await parts_.pool->Run([holder = holder_, now](db::Connection& connection) {
        return store::TakeReportLease(connection, "dmarc", holder, now, now + kLease);
      });
  co_return taken.ok() && *taken;
}

base::Task<void> ReportSender::Sweep() {
  const absl::Time oldest = parts_.clock->Now() - options_.keep;
  absl::StatusOr<int64_t> swept = co_await parts_.pool->Run([oldest](db::Connection& connection) {
    return store::SweepDmarc(connection, oldest, kSweepBatch);
  });
  if (!swept.ok()) obs::Log(obs::Level::kWarning, "sweep failed", {{"status", swept.status()}});
}

base::Task<bool> ReportSender::SendDue() {
  // What is put off is due again later than this.
  const absl::Time now = parts_.clock->Now();
  for (;;) {
    const bool ours = co_await TakeLease();
    if (!ours) co_return false;
    absl::StatusOr<std::vector<store::DmarcPeriod>> due = co_await parts_.pool->Run(
        [now](db::Connection& c) { return store::DueDmarcPeriods(c, now, kBatch); });
    if (!due.ok()) co_return false;
    if (due->empty()) break;
    for (const store::DmarcPeriod& period : *due) {
      const bool still = co_await TakeLease();
      if (!still) co_return false;
      const bool settled = co_await Handle(period);
      if (!settled) co_return false;
    }
  }
  co_await Sweep();
  co_return true;
}

// Reports leave with an aligned signature, or not at all (RFC 9990 §3.5.2).
base::Task<absl::StatusOr<Reporter>> ReportSender::WhoReports() {
  Reporter reporter;
  reporter.email = options_.from;
  if (reporter.email.empty()) {
    absl::StatusOr<std::optional<std::string>> domain =
        co_await parts_.pool->Run([](db::Connection& c) { return store::DefaultReportDomain(c); });
    if (!domain.ok()) co_return domain.status();
    if (!*domain) co_return base::FailedPrecondition("no domain of ours has an active DKIM key");
    reporter.email = "postmaster@" + **domain;
  }
  absl::StatusOr<std::string> domain = AddressDomain(reporter.email);
  if (!domain.ok()) co_return domain.status();
  reporter.domain = *domain;
  reporter.organization = options_.organization.empty() ? reporter.domain : options_.organization;
  reporter.contact = options_.contact;
  co_return reporter;
}

base::Task<bool> ReportSender::Handle(store::DmarcPeriod period) {
  bool settled = false;
  if (parts_.clock->Now() > period.ends + kGiveUp) {
    Count(Outcome::kRefused);
    settled = co_await Finish(std::move(period), "given up");
    co_return settled;
  }
  const auto record = dmarc::ParseRecord(period.record);
  if (!record || record->rua.empty() || !period.wanted) {
    settled = co_await Finish(std::move(period), "no report is asked for");
    co_return settled;
  }
  absl::StatusOr<Reporter> reporter = co_await WhoReports();
  if (!reporter.ok()) {
    obs::Log(obs::Level::kWarning, "DMARC report not sent",
             {{"domain", period.policy_domain}, {"status", reporter.status()}});
    settled = co_await Postpone(std::move(period));
    co_return settled;
  }
  settled = co_await SendAll(std::move(period), *record, *std::move(reporter));
  co_return settled;
}

base::Task<bool> ReportSender::SendAll(store::DmarcPeriod period, dmarc::Record record,
                                       Reporter reporter) {
  const dmarc::Options options{.mode = options_.mode, .sample = 0};
  const auto step = [&](const base::DnsAnswers& answers) {
    return dmarc::FindDestinations(period.policy_domain, record.rua, options, answers);
  };
  const dmarc::Destinations found = co_await dns::Drive(parts_.resolver, step);
  absl::StatusOr<std::vector<store::DmarcRow>> rows = co_await parts_.pool->Run(
      [period, most = options_.rows_of_report](db::Connection& connection) {
        return store::ReadDmarcRows(connection, period, most);
      });
  bool later = found.temp_error || !rows.ok();
  std::string outcome;
  for (const std::string& refused : found.refused) outcome += refused + "; ";
  if (rows.ok() && rows->empty()) outcome = "no message had room";
  if (rows.ok() && !rows->empty()) {
    const dmarc_report::Report report = MakeReport(period, record, *rows, reporter, options_.mode);
    for (const dmarc::Destination& to : found.confirmed) {
      const std::vector<std::string>& sent = period.sent_to;
      if (std::find(sent.begin(), sent.end(), to.address) != sent.end()) continue;
      const Outcome one = co_await SendTo(to, &period, &report, &reporter);
      Count(one);
      later = later || one == Outcome::kLater;
      outcome += to.address + ": " + std::string(Name(one)) + "; ";
    }
  }
  bool settled = false;
  if (later) {
    settled = co_await Postpone(std::move(period));
    co_return settled;
  }
  if (found.confirmed.empty()) Count(Outcome::kRefused);
  if (outcome.empty()) outcome = "sent";
  settled = co_await Finish(std::move(period), std::move(outcome));
  co_return settled;
}

base::Task<ReportSender::Outcome> ReportSender::SendTo(dmarc::Destination to,
                                                       const store::DmarcPeriod* period,
                                                       const dmarc_report::Report* report,
                                                       const Reporter* reporter) {
  const absl::Time now = parts_.clock->Now();
  absl::StatusOr<bool> suppressed =
      co_await parts_.pool->Run([address = to.address, now](db::Connection& connection) {
        return store::IsReportSuppressed(connection, address, now);
      });
  if (!suppressed.ok()) co_return Outcome::kLater;
  if (*suppressed) co_return Outcome::kSuppressed;
  dmarc_report::WrittenMessage written = WriteFor(to, *report, *reporter, now);
  if (to.most_octets && SizeOf(written) > *to.most_octets) co_return Outcome::kTooLarge;
  absl::StatusOr<std::string> signature =
      co_await Sign(written.header, written.body, reporter->domain);
  if (!signature.ok()) {
    obs::Log(obs::Level::kWarning, "DMARC report not signed",
             {{"domain", period->policy_domain}, {"status", signature.status()}});
    co_return Outcome::kLater;
  }
  outgoing::Message message;
  message.origin = outgoing::Origin::kReport;
  message.from_address = reporter->email;
  message.reverse_path = reporter->email;
  // Nobody here reads that a report did not arrive.
  message.recipients.push_back({.address = to.address, .never = true});
  message.idempotency_key = IdempotencyKey(*period, to.address);
  message.header = *signature + written.header;
  message.body_size = written.body.size();
  const Outcome outcome = co_await Enqueue(std::move(message), std::move(written.body));
  if (outcome != Outcome::kSent) co_return outcome;
  // Lost, this makes a second try, which the queue knows by its key.
  absl::Status marked = co_await parts_.pool->Run(
      [period = *period, address = to.address](db::Connection& connection) {
        return store::MarkDmarcSent(connection, period, address);
      });
  co_return marked.ok() ? Outcome::kSent : Outcome::kLater;
}

base::Task<absl::StatusOr<std::string>> ReportSender::Sign(std::string header, std::string body,
                                                           std::string domain) {
  absl::StatusOr<KeyList> keys = co_await parts_.keys->For(store::AccountId::kNone, domain);
  if (!keys.ok()) co_return keys.status();
  MessageSigning signing(options_.sign, parts_.clock, domain);
  signing.Feed(header);
  signing.Feed(body);
  co_return signing.Finish(**keys);
}

base::Task<ReportSender::Outcome> ReportSender::Enqueue(outgoing::Message message,
                                                        std::string body) {
  absl::StatusOr<int64_t> id = co_await parts_.queue->Enqueue(
      &message, outgoing::BodyInMemory(body), message.idempotency_key);
  if (id.ok()) {
    obs::Log(obs::Level::kInfo, "DMARC report sent",
             {{"trace", message.idempotency_key},
              {"to", message.recipients.front().address},
              {"queue_id", *id}});
    co_return Outcome::kSent;
  }
  obs::Log(obs::Level::kWarning, "DMARC report not taken",
           {{"trace", message.idempotency_key},
            {"to", message.recipients.front().address},
            {"status", id.status()}});
  const bool never = absl::IsInvalidArgument(id.status()) || absl::IsPermissionDenied(id.status());
  co_return never ? Outcome::kRefused : Outcome::kLater;
}

base::Task<bool> ReportSender::Finish(store::DmarcPeriod period, std::string outcome) {
  const absl::Time now = parts_.clock->Now();
  absl::Status done = co_await parts_.pool->Run(
      [period = std::move(period), outcome = std::move(outcome), now](db::Connection& connection) {
        return store::FinishDmarcPeriod(connection, period, outcome, now);
      });
  if (!done.ok()) obs::Log(obs::Level::kWarning, "report not finished", {{"status", done}});
  co_return done.ok();
}

base::Task<bool> ReportSender::Postpone(store::DmarcPeriod period) {
  const absl::Time due = parts_.clock->Now() + kTryAgain;
  absl::Status done =
      co_await parts_.pool->Run([period = std::move(period), due](db::Connection& connection) {
        return store::PostponeDmarcPeriod(connection, period, due);
      });
  if (!done.ok()) obs::Log(obs::Level::kWarning, "report not put off", {{"status", done}});
  co_return done.ok();
}

void ReportSender::Count(Outcome outcome) { parts_.metrics->reports.At({Name(outcome)}).Add(); }

std::string_view ReportSender::Name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSent: return "sent";
    case Outcome::kSuppressed: return "suppressed";
    case Outcome::kRefused: return "refused";
    case Outcome::kTooLarge: return "too_large";
    case Outcome::kLater: break;
  }
  return "later";
}

}  // namespace godwit::auth_verifier
