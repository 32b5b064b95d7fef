#include "services/auth-verifier/aggregate_report.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/dmarc/record.h"

namespace godwit::auth_verifier {
namespace {

constexpr size_t kMaxText = 255;  // a domain name
constexpr size_t kMaxComment = 200;
constexpr size_t kMaxSignatures = 20;  // RFC 9990 §3.1.3: no more than 100
constexpr int kHoursOfDay[] = {1, 2, 3, 4, 6, 8, 12, 24};

// A word of a line: no space, no control, UTF-8.
std::string Word(std::string_view text) {
  std::string word(text.substr(0, kMaxText));
  for (char& c : word) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) c = '?';
  }
  return base::IsUtf8(word) ? word : "?";
}

// The rest of a line.
std::string Sentence(std::string_view text) {
  std::string sentence(text.substr(0, kMaxComment));
  for (char& c : sentence) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return base::IsUtf8(sentence) ? sentence : "";
}

// RFC 7489 §6.3 ri=: what we can do is a part of a day, rather longer than shorter.
absl::Duration Interval(const dmarc::Record& record, dmarc::Mode mode) {
  if (mode == dmarc::Mode::kTreeWalk) return absl::Hours(24);
  for (const int hours : kHoursOfDay) {
    if (absl::Seconds(record.report_interval) <= absl::Hours(hours)) return absl::Hours(hours);
  }
  return absl::Hours(24);
}

// FNV-1a: the same in every replica.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

store::DmarcPeriod PeriodAt(const ReportedMessage& message, const dmarc::Record& record,
                            const CountingOptions& options, absl::Time now) {
  const int64_t length = absl::ToInt64Seconds(Interval(record, options.mode));
  const int64_t begin = absl::ToUnixSeconds(now) / length * length;
  store::DmarcPeriod period;
  period.policy_domain = Word(message.policy_domain);
  period.begins = absl::FromUnixSeconds(begin);
  period.ends = absl::FromUnixSeconds(begin + length);
  // A short interval is not made longer by the spread.
  const int64_t spread =
      std::max<int64_t>(1, std::min(absl::ToInt64Seconds(options.spread), length / 2));
  const uint64_t offset = Hash(message.policy_domain) % static_cast<uint64_t>(spread);
  period.due = period.ends + absl::Seconds(static_cast<int64_t>(offset));
  period.record = message.record;
  period.wanted = !message.to_report_address && !record.rua.empty();
  return period;
}

std::string_view DispositionOf(const ReportedMessage& message, dmarc::Mode mode) {
  // RFC 9990 §3.1.1.8: "pass" is no action where the policy would have asked for one.
  const bool passed =
      message.result == dmarc::ResultCode::kPass && message.policy != dmarc::Policy::kNone;
  if (passed && mode == dmarc::Mode::kTreeWalk) return "pass";
  return dmarc::PolicyName(message.disposition);
}

std::string_view OverrideName(Override override) {
  switch (override) {
    case Override::kLocalPolicy: return "local_policy";
    case Override::kTrustedForwarder: return "trusted_forwarder";
    case Override::kMailingList: return "mailing_list";
    case Override::kOther: return "other";
    case Override::kNone: break;
  }
  return "";
}

// RFC 9990 §3.1.6, RFC 7489 §6.6.4 and Appendix C: why it is not what the record says.
std::string Reasons(const ReportedMessage& message, dmarc::Mode mode) {
  if (message.result != dmarc::ResultCode::kFail) return "";
  std::string reasons;
  if (message.requested != message.policy) {
    reasons += mode == dmarc::Mode::kTreeWalk ? "policy_test_mode \n" : "sampled_out \n";
  }
  Override override = message.override;
  if (override == Override::kNone && message.disposition != message.requested) {
    override = Override::kLocalPolicy;
  }
  if (override != Override::kNone) {
    reasons += std::string(OverrideName(override)) + " " + Sentence(message.comment) + "\n";
  }
  return reasons;
}

// RFC 9990 §3.1.3: which signatures matter most.
int Rank(const ReportedMessage::Dkim& dkim, const std::string& author) {
  if (dkim.result != "pass") return 3;
  if (dkim.domain == author) return 0;
  return author.ends_with("." + dkim.domain) || dkim.domain.ends_with("." + author) ? 1 : 2;
}

std::string DkimLines(const ReportedMessage& message) {
  std::vector<ReportedMessage::Dkim> signatures = message.dkim;
  std::stable_sort(signatures.begin(), signatures.end(), [&](const auto& a, const auto& b) {
    return Rank(a, message.header_from) < Rank(b, message.header_from);
  });
  if (signatures.size() > kMaxSignatures) signatures.resize(kMaxSignatures);
  std::string lines;
  for (const ReportedMessage::Dkim& each : signatures) {
    if (each.domain.empty()) continue;  // a field that can't be parsed
    lines += Word(each.domain) + " " + (each.selector.empty() ? "?" : Word(each.selector)) + " " +
             Word(each.result) + "\n";
  }
  return lines;
}

// "a b c d" -> {"a", "b", "c d"} for 3.
std::vector<std::string> Words(std::string_view line, size_t count) {
  std::vector<std::string> words;
  while (words.size() + 1 < count) {
    const size_t space = line.find(' ');
    words.emplace_back(line.substr(0, space));
    line.remove_prefix(space == line.npos ? line.size() : space + 1);
  }
  words.emplace_back(line);
  return words;
}

dmarc_report::Record MakeRecord(const store::DmarcRow& row) {
  dmarc_report::Record record;
  record.source_ip =
      base::IpAddress::FromBytes(row.source_ip).value_or(base::IpAddress()).ToString();
  record.count = row.messages;
  record.disposition = row.disposition;
  record.dkim = row.dkim_aligned ? "pass" : "fail";
  record.spf = row.spf_aligned ? "pass" : "fail";
  record.envelope_to = row.envelope_to;
  record.envelope_from = row.envelope_from;
  record.header_from = row.header_from;
  for (const std::string_view line : base::Split(row.reasons, '\n')) {
    if (line.empty()) continue;
    const auto words = Words(line, 2);
    record.reasons.push_back({words[0], words[1]});
  }
  for (const std::string_view line : base::Split(row.dkim, '\n')) {
    if (line.empty()) continue;
    const auto words = Words(line, 3);
    record.dkim_results.push_back({words[0], words[1], words[2], ""});
  }
  if (!row.spf_result.empty()) {
    record.spf_results.push_back({row.spf_domain, "mfrom", row.spf_result, ""});
  }
  return record;
}

dmarc_report::PublishedPolicy MakePolicy(const std::string& domain, const dmarc::Record& record,
                                         dmarc::Mode mode) {
  dmarc_report::PublishedPolicy policy;
  policy.domain = domain;
  policy.p = dmarc::PolicyName(record.policy);
  policy.sp = dmarc::PolicyName(record.subdomain_policy.value_or(record.policy));
  policy.adkim = record.dkim == dmarc::Alignment::kStrict ? "s" : "r";
  policy.aspf = record.spf == dmarc::Alignment::kStrict ? "s" : "r";
  policy.fo = record.failure_options;
  if (mode == dmarc::Mode::kPublicSuffixList) {
    policy.pct = record.percent;
    return policy;
  }
  policy.np = dmarc::PolicyName(
      record.missing_policy.value_or(record.subdomain_policy.value_or(record.policy)));
  policy.testing = record.testing ? "y" : "n";
  policy.discovery_method = "treewalk";
  return policy;
}

// RFC 9990 §3.1.4: one identifier, in report, subject and file name: letters and digits.
std::string ReportId(const store::DmarcPeriod& period, const std::string& domain) {
  const std::string text = period.policy_domain + "\n" + domain + "\n" +
                           std::to_string(absl::ToUnixSeconds(period.begins)) + "\n" +
                           std::to_string(absl::ToUnixSeconds(period.ends));
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest);
  return base::HexEncode({reinterpret_cast<const char*>(digest), 12});
}

}  // namespace

store::DmarcEvaluation MakeEvaluation(const ReportedMessage& message,
                                      const CountingOptions& options, absl::Time now) {
  const dmarc::Record record = dmarc::ParseRecord(message.record).value_or(dmarc::Record());
  store::DmarcEvaluation evaluation;
  evaluation.period = PeriodAt(message, record, options, now);
  store::DmarcRow& row = evaluation.row;
  row.source_ip = std::string(message.source.Unmapped().bytes());
  row.header_from = Word(message.header_from);
  row.envelope_from = Word(message.envelope_from);
  row.envelope_to = Word(message.envelope_to);
  row.disposition = DispositionOf(message, options.mode);
  row.dkim_aligned = message.dkim_aligned;
  row.spf_aligned = message.spf_aligned;
  row.reasons = Reasons(message, options.mode);
  row.dkim = DkimLines(message);
  row.spf_domain = Word(message.spf_domain);
  row.spf_result = Word(message.spf_result);
  row.failure = FailureReasons(record, message);
  return evaluation;
}

std::string FailureReasons(const dmarc::Record& record, const ReportedMessage& message) {
  if (record.ruf.empty()) return "";
  const bool dkim_failed =
      std::any_of(message.dkim.begin(), message.dkim.end(),
                  [](const ReportedMessage::Dkim& d) { return d.result != "pass"; });
  const bool spf_failed =
      !message.spf_result.empty() && message.spf_result != "pass" && message.spf_result != "none";
  std::vector<std::string> reasons;
  for (const std::string_view piece : base::Split(record.failure_options, ':')) {
    const std::string option = base::Lower(base::Trim(piece));
    const bool applies = (option == "0" && !message.dkim_aligned && !message.spf_aligned) ||
                         (option == "1" && !(message.dkim_aligned && message.spf_aligned)) ||
                         (option == "d" && dkim_failed) || (option == "s" && spf_failed);
    if (applies && std::find(reasons.begin(), reasons.end(), option) == reasons.end()) {
      reasons.push_back(option);
    }
  }
  return base::Join(reasons, ":");
}

dmarc_report::Report MakeReport(const store::DmarcPeriod& period, const dmarc::Record& record,
                                const std::vector<store::DmarcRow>& rows, const Reporter& reporter,
                                dmarc::Mode mode) {
  dmarc_report::Report report;
  report.schema = mode == dmarc::Mode::kTreeWalk ? dmarc_report::Schema::kRfc9990
                                                 : dmarc_report::Schema::kRfc7489;
  report.org_name = reporter.organization;
  report.email = reporter.email;
  report.extra_contact_info = reporter.contact;
  report.generator = "Godwit";
  report.report_id = ReportId(period, reporter.domain);
  report.begin = absl::ToUnixSeconds(period.begins);
  report.end = absl::ToUnixSeconds(period.ends) - 1;
  report.policy = MakePolicy(period.policy_domain, record, mode);
  if (period.dropped > 0) {
    report.errors.push_back(std::to_string(period.dropped) +
                            " more messages are in no record: they were of too many kinds");
  }
  for (const store::DmarcRow& row : rows) report.records.push_back(MakeRecord(row));
  return report;
}

}  // namespace godwit::auth_verifier
