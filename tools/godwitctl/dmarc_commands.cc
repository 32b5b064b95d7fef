// godwitctl dmarc ...: the aggregate reports that we send, and those that we get.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/store/dmarc_evaluations.h"
#include "libs/store/dmarc_reports.h"
#include "libs/store/report_sending.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"
#include "tools/godwitctl/report_fields.h"

namespace godwit::ctl {
namespace {

constexpr int kMost = 1000;

// "user@domain" or "@domain", as the store keeps it.
absl::StatusOr<std::string> Destination(const Invocation& in) {
  const std::string& text = in.argument("DESTINATION");
  const size_t at = text.rfind('@');
  const auto domain = at == std::string::npos ? std::nullopt : idna::ToAscii(text.substr(at + 1));
  if (!domain || domain->empty()) {
    return base::InvalidArgument(text + " is neither USER@DOMAIN nor @DOMAIN");
  }
  return base::Lower(text.substr(0, at + 1)) + *domain;
}

absl::StatusOr<Report> Outgoing(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, WantedDomain(in));
  GODWIT_ASSIGN_OR_RETURN(const auto periods, store::ListDmarcPeriods(connection, domain, kMost));
  Table table({"DOMAIN", "FROM (UTC)", "TO", "ROWS", "DROPPED", "DUE", "OUTCOME"});
  boost::json::array json;
  for (const store::DmarcPeriod& period : periods) {
    table.Add({period.policy_domain, Minute(period.begins), Minute(period.ends),
               std::to_string(period.rows), std::to_string(period.dropped), Minute(period.due),
               period.outcome.empty() ? "waits" : period.outcome});
    boost::json::array sent;
    for (const std::string& address : period.sent_to) sent.emplace_back(address);
    json.push_back({{"domain", period.policy_domain},
                    {"begins", JsonTime(period.begins)},
                    {"ends", JsonTime(period.ends)},
                    {"due", JsonTime(period.due)},
                    {"record", period.record},
                    {"wanted", period.wanted},
                    {"rows", period.rows},
                    {"dropped", period.dropped},
                    {"sent_to", std::move(sent)},
                    {"outcome", period.outcome}});
  }
  return Report(table.ToString(), std::move(json));
}

boost::json::object ToJson(const store::ReceivedReport& report) {
  return {{"number", report.number},       {"domain", report.domain},
          {"reporter", report.reporter},   {"organization", report.organization},
          {"report_id", report.report_id}, {"begins", JsonTime(report.begins)},
          {"ends", JsonTime(report.ends)}, {"received", JsonTime(report.received)},
          {"policy", report.policy},       {"errors", report.errors},
          {"messages", report.messages},   {"failed", report.failed}};
}

absl::StatusOr<Report> Received(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, WantedDomain(in));
  GODWIT_ASSIGN_OR_RETURN(const auto reports,
                          store::ListReceivedReports(connection, domain, kMost));
  Table table({"NUMBER", "DOMAIN", "REPORTER", "FROM (UTC)", "TO", "MESSAGES", "FAILED"});
  boost::json::array json;
  for (const store::ReceivedReport& report : reports) {
    table.Add({std::to_string(report.number), report.domain, report.reporter, Minute(report.begins),
               Minute(report.ends), std::to_string(report.messages),
               std::to_string(report.failed)});
    json.push_back(ToJson(report));
  }
  return Report(table.ToString(), std::move(json));
}

absl::StatusOr<Report> ShowReceived(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const int64_t number, WantedNumber(in));
  GODWIT_ASSIGN_OR_RETURN(const auto report, store::GetReceivedReport(connection, number));
  Table table({"SOURCE", "MESSAGES", "DISPOSITION", "DKIM", "SPF", "FROM", "ENVELOPE"});
  boost::json::object json = ToJson(report);
  boost::json::array rows;
  for (const store::ReceivedReportRow& row : report.rows) {
    const std::string source = AddressText(row.source_ip);
    table.Add({source, std::to_string(row.messages), row.disposition, row.dkim, row.spf,
               row.header_from, row.envelope_from});
    rows.push_back({{"source", source},
                    {"messages", row.messages},
                    {"disposition", row.disposition},
                    {"dkim", row.dkim},
                    {"spf", row.spf},
                    {"header_from", row.header_from},
                    {"envelope_from", row.envelope_from},
                    {"reasons", row.reasons},
                    {"dkim_results", row.dkim_results},
                    {"spf_results", row.spf_results}});
  }
  json["rows"] = std::move(rows);
  const std::string head = "About " + report.domain + " (" + report.policy + "), from " +
                           report.organization + " (" + report.reporter + "), id " +
                           report.report_id + "\n";
  return Report(head + table.ToString(), std::move(json));
}

absl::StatusOr<Report> MarkAddress(db::Connection& connection, const Invocation& in) {
  const std::string& address = in.argument("ADDRESS");
  const size_t at = address.rfind('@');
  const auto domain =
      at == std::string::npos ? std::nullopt : idna::ToAscii(address.substr(at + 1));
  if (!domain) return base::InvalidArgument(address + " is no address");
  const bool off = in.has("off");
  GODWIT_RETURN_IF_ERROR(store::SetReportAddress(connection, address.substr(0, at), *domain, !off));
  return Report::Done(off ? "Mail to " + address + " is mail from now on."
                          : "Reports in mail to " + address +
                                " are kept from now on (within a minute). Name it in the DMARC "
                                "and TLSRPT records of your domains: rua=mailto:" +
                                address);
}

absl::StatusOr<Report> Addresses(db::Connection& connection, const Invocation&) {
  GODWIT_ASSIGN_OR_RETURN(const auto addresses, store::ListReportAddresses(connection));
  Table table({"ADDRESS"});
  boost::json::array json;
  for (const std::string& address : addresses) {
    table.Add({address});
    json.emplace_back(address);
  }
  return Report(table.ToString(), std::move(json));
}

absl::StatusOr<Report> Failures(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, WantedDomain(in));
  GODWIT_ASSIGN_OR_RETURN(const auto failures, store::ListDmarcFailures(connection, domain, kMost));
  Table table({"DAY (UTC)", "DOMAIN", "FROM", "SOURCE", "FO", "DISPOSITION", "MESSAGES"});
  boost::json::array json;
  for (const store::DmarcEvaluation& failure : failures) {
    const store::DmarcRow& row = failure.row;
    const std::string source = AddressText(row.source_ip);
    table.Add({Minute(failure.period.begins), failure.period.policy_domain, row.header_from, source,
               row.failure, row.disposition, std::to_string(row.messages)});
    json.push_back({{"begins", JsonTime(failure.period.begins)},
                    {"domain", failure.period.policy_domain},
                    {"header_from", row.header_from},
                    {"envelope_from", row.envelope_from},
                    {"envelope_to", row.envelope_to},
                    {"source", source},
                    {"fo", row.failure},
                    {"disposition", row.disposition},
                    {"dkim_aligned", row.dkim_aligned},
                    {"spf_aligned", row.spf_aligned},
                    {"dkim", row.dkim},
                    {"spf_domain", row.spf_domain},
                    {"spf", row.spf_result},
                    {"messages", row.messages}});
  }
  return Report(table.ToString(), std::move(json));
}

absl::StatusOr<Report> Suppress(db::Connection& connection, const Invocation& in) {
  store::ReportSuppression suppression;
  GODWIT_ASSIGN_OR_RETURN(suppression.destination, Destination(in));
  suppression.created = base::Clock::System()->Now();
  suppression.reason = in.flag("reason").value_or("");
  if (const auto days = in.flag("days")) {
    const auto number = base::ParseDecimal(*days);
    if (!number || *number == 0 || *number > 36500) {
      return base::InvalidArgument("--days is a number from 1");
    }
    suppression.expires = suppression.created + absl::Hours(24 * static_cast<int64_t>(*number));
  }
  GODWIT_RETURN_IF_ERROR(store::PutReportSuppression(connection, suppression));
  return Report::Done(suppression.destination + " gets no reports from now on.");
}

absl::StatusOr<Report> Unsuppress(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string destination, Destination(in));
  GODWIT_RETURN_IF_ERROR(store::RemoveReportSuppression(connection, destination));
  return Report::Done(destination + " gets reports again.");
}

absl::StatusOr<Report> Suppressions(db::Connection& connection, const Invocation&) {
  GODWIT_ASSIGN_OR_RETURN(const auto list, store::ListReportSuppressions(connection));
  Table table({"DESTINATION", "SINCE", "UNTIL", "REASON"});
  boost::json::array json;
  for (const store::ReportSuppression& each : list) {
    table.Add({each.destination, Minute(each.created), each.expires ? Minute(*each.expires) : "",
               each.reason});
    json.push_back({{"destination", each.destination},
                    {"created", JsonTime(each.created)},
                    {"expires", JsonTime(each.expires)},
                    {"reason", each.reason}});
  }
  return Report(table.ToString(), std::move(json));
}

}  // namespace

std::vector<Command> DmarcCommands() {
  const Flag domain{"domain", "DOMAIN", "only of this policy domain"};
  return {
      {"dmarc outgoing",
       {},
       {domain},
       "Lists the aggregate reports that wait or went, the youngest first.",
       WithDatabase(Outgoing)},
      {"dmarc address",
       {"ADDRESS"},
       {{"off", "", "no more"}},
       "Keeps the reports that come as mail to an address of ours; the mail is delivered as "
       "before.",
       WithDatabase(MarkAddress)},
      {"dmarc addresses", {}, {}, "Lists these addresses.", WithDatabase(Addresses)},
      {"dmarc reports",
       {},
       {domain},
       "Lists the aggregate reports that others sent us, the youngest first.",
       WithDatabase(Received)},
      {"dmarc report", {"NUMBER"}, {}, "Shows one of them.", WithDatabase(ShowReceived)},
      {"dmarc failures",
       {},
       {domain},
       "Lists mail for which its domain asks for failure reports (ruf=, fo=). None are sent.",
       WithDatabase(Failures)},
      {"dmarc suppress",
       {"DESTINATION"},
       {{"days", "DAYS", "how long; else until dmarc unsuppress"},
        {"reason", "TEXT", "for whoever reads the list"}},
       "Sends no more reports to USER@DOMAIN, or to all of @DOMAIN.",
       WithDatabase(Suppress)},
      {"dmarc unsuppress",
       {"DESTINATION"},
       {},
       "Sends reports there again.",
       WithDatabase(Unsuppress)},
      {"dmarc suppressions",
       {},
       {},
       "Lists whom no reports are sent to.",
       WithDatabase(Suppressions)},
  };
}

}  // namespace godwit::ctl
