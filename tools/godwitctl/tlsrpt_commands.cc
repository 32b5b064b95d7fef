// godwitctl tlsrpt ...: the TLS reports (RFC 8460) that others send us, and who asks for some.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/idna/domain.h"
#include "libs/store/tls_reports.h"
#include "libs/tlsrpt/record.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"
#include "tools/godwitctl/report_fields.h"
#include "tools/godwitctl/resolver.h"

namespace godwit::ctl {
namespace {

constexpr int kMost = 1000;

boost::json::array Strings(const std::vector<std::string>& strings) {
  boost::json::array array;
  for (const std::string& each : strings) array.emplace_back(each);
  return array;
}

boost::json::object ToJson(const store::ReceivedTlsReport& report) {
  return {{"number", report.number},
          {"domain", report.domain},
          {"reporter", report.reporter},
          {"organization", report.organization},
          {"contact", report.contact},
          {"report_id", report.report_id},
          {"begins", JsonTime(report.begins)},
          {"ends", JsonTime(report.ends)},
          {"received", JsonTime(report.received)},
          {"successful", report.successful},
          {"failed", report.failed}};
}

boost::json::object ToJson(const store::ReceivedTlsFailure& failure) {
  return {{"result_type", failure.result_type},
          {"sending_ip", AddressText(failure.sending_ip)},
          {"mx_host", failure.mx_host},
          {"mx_helo", failure.mx_helo},
          {"receiving_ip", AddressText(failure.receiving_ip)},
          {"sessions", failure.sessions},
          {"additional_information", failure.additional_info},
          {"reason_code", failure.reason_code}};
}

boost::json::object ToJson(const store::ReceivedTlsPolicy& policy) {
  boost::json::array failures;
  for (const store::ReceivedTlsFailure& each : policy.failures) failures.push_back(ToJson(each));
  return {{"domain", policy.domain},         {"type", policy.type},
          {"policy", Strings(policy.text)},  {"mx_hosts", Strings(policy.mx_hosts)},
          {"successful", policy.successful}, {"failed", policy.failed},
          {"failures", std::move(failures)}};
}

absl::StatusOr<Report> List(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, WantedDomain(in));
  GODWIT_ASSIGN_OR_RETURN(const auto reports, store::ListTlsReports(connection, domain, kMost));
  Table table({"NUMBER", "DOMAIN", "REPORTER", "FROM (UTC)", "TO", "SESSIONS", "FAILED"});
  boost::json::array json;
  for (const store::ReceivedTlsReport& report : reports) {
    table.Add({std::to_string(report.number), report.domain, report.reporter, Minute(report.begins),
               Minute(report.ends), std::to_string(report.successful + report.failed),
               std::to_string(report.failed)});
    json.push_back(ToJson(report));
  }
  return Report(table.ToString(), std::move(json));
}

std::string PolicyText(const store::ReceivedTlsPolicy& policy) {
  std::string text = "\n" + policy.type + " of " + policy.domain + ": " +
                     std::to_string(policy.successful) + " sessions went well, " +
                     std::to_string(policy.failed) + " failed\n";
  if (!policy.mx_hosts.empty()) text += "  hosts: " + base::Join(policy.mx_hosts, ", ") + "\n";
  for (const std::string& line : policy.text) text += "  " + line + "\n";
  if (policy.failures.empty()) return text;
  Table table({"RESULT", "SESSIONS", "FROM", "TO", "HOST", "REASON"});
  for (const store::ReceivedTlsFailure& each : policy.failures) {
    table.Add({each.result_type, std::to_string(each.sessions), AddressText(each.sending_ip),
               AddressText(each.receiving_ip), each.mx_host, each.reason_code});
  }
  return text + table.ToString();
}

absl::StatusOr<Report> Show(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const int64_t number, WantedNumber(in));
  GODWIT_ASSIGN_OR_RETURN(const auto report, store::GetTlsReport(connection, number));
  std::string text = "About " + report.domain + " from " + Minute(report.begins) + " to " +
                     Minute(report.ends) + " UTC, from " + report.organization + " (" +
                     report.reporter + ", " + report.contact + "), id " + report.report_id + "\n";
  boost::json::object json = ToJson(report);
  boost::json::array policies;
  for (const store::ReceivedTlsPolicy& policy : report.policies) {
    text += PolicyText(policy);
    policies.push_back(ToJson(policy));
  }
  json["policies"] = std::move(policies);
  return Report(std::move(text), std::move(json));
}

absl::StatusOr<Report> ShowRecord(const Invocation& in) {
  const auto domain = idna::ToAscii(in.argument("DOMAIN"));
  if (!domain) return base::InvalidArgument(in.argument("DOMAIN") + " is no domain name");
  GODWIT_ASSIGN_OR_RETURN(const auto resolver, OpenResolver(in));
  const std::string name = tlsrpt::RecordName(*domain);
  const base::DnsAnswer answer = base::RunBlocking(resolver->Resolve({name, base::DnsType::kTxt}));
  if (answer.outcome == base::DnsOutcome::kTempFail) {
    return base::Unavailable(name + ": no answer from DNS");
  }
  const auto record = tlsrpt::ChooseRecord(answer.texts);
  if (!record.ok()) return base::Annotate(record.status(), name);
  std::string text = name + " asks for reports at\n";
  for (const std::string& uri : record->rua) text += "  " + uri + "\n";
  return Report(std::move(text),
                boost::json::object{{"name", name}, {"rua", Strings(record->rua)}});
}

}  // namespace

std::vector<Command> TlsrptCommands() {
  return {{"tlsrpt reports",
           {},
           {{"domain", "DOMAIN", "only about this domain or host"}},
           "Lists the TLS reports (RFC 8460) that others sent us, the youngest first.",
           WithDatabase(List)},
          {"tlsrpt show",
           {"NUMBER"},
           {},
           "Shows one of them: its policies, and how sessions failed.",
           WithDatabase(Show)},
          {"tlsrpt record",
           {"DOMAIN"},
           {kDnsFlag},
           "Says where a domain wants TLS reports sent (the record _smtp._tls.DOMAIN).",
           ShowRecord}};
}

}  // namespace godwit::ctl
