#include "libs/tlsrpt/parse.h"

#include <optional>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"
#include "libs/base/status.h"
#include "libs/ijson/json.h"

namespace godwit::tlsrpt {
namespace {

namespace json = boost::json;

// RFC 7493 §2.2: what every reader of I-JSON reads exactly.
constexpr int64_t kMostSessions = (int64_t{1} << 53) - 1;

// Control characters as spaces: it ends on terminals and in logs.
std::string Clean(std::string_view text) {
  std::string clean(base::Trim(text));
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return clean;
}

std::string Address(const std::string& text) {
  const auto address = base::IpAddress::Parse(text);
  return address ? address->ToString() : "";
}

class Reader {
 public:
  explicit Reader(const ParseLimits& limits) : limits_(limits) {}

  absl::StatusOr<Report> Read(const json::value& value);

 private:
  absl::StatusOr<Policy> ReadPolicy(const json::value& value);
  absl::Status ReadSummary(const json::object& object, Policy* policy);
  absl::Status ReadFailures(const json::object& object, Policy* policy);
  absl::StatusOr<Failure> ReadFailure(const json::value& value);
  absl::Status ReadPeriod(const json::object& object, Report* report);

  // A member that is not there, or null, is "".
  absl::StatusOr<std::string> Text(const json::object& object, std::string_view name);
  absl::StatusOr<std::string> Text(const json::value& value, std::string_view name);
  absl::StatusOr<std::vector<std::string>> Texts(const json::object& object, std::string_view name);
  // nullopt when it is not there.
  absl::StatusOr<std::optional<int64_t>> Count(const json::object& object, std::string_view name);

  const ParseLimits limits_;
  size_t failures_ = 0;
  size_t lines_ = 0;
};

absl::Status NotWhatItShouldBe(std::string_view name, std::string_view what) {
  return base::InvalidArgument(std::string(name) + " is " + std::string(what));
}

// The member, or nullptr; null counts as absent.
const json::value* Member(const json::object& object, std::string_view name) {
  const json::value* value = ijson::Find(object, name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

absl::StatusOr<std::string> Reader::Text(const json::value& value, std::string_view name) {
  if (!value.is_string()) return NotWhatItShouldBe(name, "no text");
  const std::string_view text = ijson::View(value.get_string());
  if (text.size() > limits_.text_bytes) {
    return base::ResourceExhausted(std::string(name) + " is too long");
  }
  return Clean(text);
}

absl::StatusOr<std::string> Reader::Text(const json::object& object, std::string_view name) {
  const json::value* value = Member(object, name);
  if (value == nullptr) return std::string();
  return Text(*value, name);
}

absl::StatusOr<std::vector<std::string>> Reader::Texts(const json::object& object,
                                                       std::string_view name) {
  std::vector<std::string> texts;
  const json::value* value = Member(object, name);
  if (value == nullptr) return texts;
  const json::array one = value->is_array() ? json::array() : json::array{*value};
  for (const json::value& each : value->is_array() ? value->get_array() : one) {
    if (++lines_ > limits_.lines) return base::ResourceExhausted("too many lines of policies");
    GODWIT_ASSIGN_OR_RETURN(std::string text, Text(each, name));
    texts.push_back(std::move(text));
  }
  return texts;
}

absl::StatusOr<std::optional<int64_t>> Reader::Count(const json::object& object,
                                                     std::string_view name) {
  const json::value* value = Member(object, name);
  if (value == nullptr) return std::optional<int64_t>();
  if (!value->is_int64() || value->get_int64() < 0 || value->get_int64() > kMostSessions) {
    return NotWhatItShouldBe(name, "no count");
  }
  return std::optional(value->get_int64());
}

absl::Status Reader::ReadPeriod(const json::object& object, Report* report) {
  const json::value* range = Member(object, "date-range");
  if (range == nullptr || !range->is_object()) {
    return base::InvalidArgument("there is no date range");
  }
  GODWIT_ASSIGN_OR_RETURN(const std::string begin, Text(range->get_object(), "start-datetime"));
  GODWIT_ASSIGN_OR_RETURN(const std::string end, Text(range->get_object(), "end-datetime"));
  const auto from = ijson::ParseDate(begin);
  const auto to = ijson::ParseDate(end);
  if (!from || !to) return base::InvalidArgument("the date range is none");
  if (*to < *from) return base::InvalidArgument("the date range ends too early");
  report->begin = *from;
  report->end = *to;
  return absl::OkStatus();
}

absl::StatusOr<Failure> Reader::ReadFailure(const json::value& value) {
  if (!value.is_object()) return NotWhatItShouldBe("failure-details", "no list of objects");
  const json::object& object = value.get_object();
  Failure failure;
  GODWIT_ASSIGN_OR_RETURN(failure.result_type, Text(object, "result-type"));
  GODWIT_ASSIGN_OR_RETURN(const std::string sending, Text(object, "sending-mta-ip"));
  GODWIT_ASSIGN_OR_RETURN(failure.mx_host, Text(object, "receiving-mx-hostname"));
  GODWIT_ASSIGN_OR_RETURN(failure.mx_helo, Text(object, "receiving-mx-helo"));
  GODWIT_ASSIGN_OR_RETURN(const std::string receiving, Text(object, "receiving-ip"));
  GODWIT_ASSIGN_OR_RETURN(failure.additional_info, Text(object, "additional-information"));
  GODWIT_ASSIGN_OR_RETURN(failure.reason_code, Text(object, "failure-reason-code"));
  GODWIT_ASSIGN_OR_RETURN(const auto sessions, Count(object, "failed-session-count"));
  if (!sessions) return base::InvalidArgument("a failure without a count");
  failure.sessions = *sessions;
  failure.sending_ip = Address(sending);
  failure.receiving_ip = Address(receiving);
  return failure;
}

absl::Status Reader::ReadFailures(const json::object& object, Policy* policy) {
  const json::value* details = Member(object, "failure-details");
  if (details == nullptr) return absl::OkStatus();
  const json::array one = details->is_array() ? json::array() : json::array{*details};
  for (const json::value& each : details->is_array() ? details->get_array() : one) {
    if (++failures_ > limits_.failures) return base::ResourceExhausted("too many failures");
    GODWIT_ASSIGN_OR_RETURN(Failure failure, ReadFailure(each));
    policy->failures.push_back(std::move(failure));
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadSummary(const json::object& object, Policy* policy) {
  const json::value* summary = Member(object, "summary");
  if (summary == nullptr) return absl::OkStatus();
  if (!summary->is_object()) return NotWhatItShouldBe("summary", "no object");
  const json::object& counts = summary->get_object();
  GODWIT_ASSIGN_OR_RETURN(const auto good, Count(counts, "total-successful-session-count"));
  GODWIT_ASSIGN_OR_RETURN(const auto bad, Count(counts, "total-failure-session-count"));
  policy->successful = good.value_or(0);
  policy->failed = bad.value_or(0);
  return absl::OkStatus();
}

absl::StatusOr<Policy> Reader::ReadPolicy(const json::value& value) {
  const json::value* inner = value.is_object() ? Member(value.get_object(), "policy") : nullptr;
  if (inner == nullptr || !inner->is_object()) {
    return NotWhatItShouldBe("policies", "no list of policies");
  }
  const json::object& published = inner->get_object();
  Policy policy;
  GODWIT_ASSIGN_OR_RETURN(policy.type, Text(published, "policy-type"));
  GODWIT_ASSIGN_OR_RETURN(policy.text, Texts(published, "policy-string"));
  GODWIT_ASSIGN_OR_RETURN(policy.domain, Text(published, "policy-domain"));
  GODWIT_ASSIGN_OR_RETURN(policy.mx_hosts, Texts(published, "mx-host"));
  if (policy.domain.empty()) return base::InvalidArgument("a policy without a domain");
  GODWIT_RETURN_IF_ERROR(ReadSummary(value.get_object(), &policy));
  GODWIT_RETURN_IF_ERROR(ReadFailures(value.get_object(), &policy));
  return policy;
}

absl::StatusOr<Report> Reader::Read(const json::value& value) {
  if (!value.is_object()) return base::InvalidArgument("not a TLS report");
  const json::object& object = value.get_object();
  const json::value* policies = Member(object, "policies");
  // RFC 8460 §4: "policies" is an array also for a single one.
  if (policies == nullptr || !policies->is_array() || policies->get_array().empty()) {
    return base::InvalidArgument("not a TLS report: it has no policies");
  }
  if (policies->get_array().size() > limits_.policies) {
    return base::ResourceExhausted("too many policies");
  }
  Report report;
  GODWIT_ASSIGN_OR_RETURN(report.organization, Text(object, "organization-name"));
  GODWIT_ASSIGN_OR_RETURN(report.contact, Text(object, "contact-info"));
  GODWIT_ASSIGN_OR_RETURN(report.report_id, Text(object, "report-id"));
  GODWIT_RETURN_IF_ERROR(ReadPeriod(object, &report));
  for (const json::value& each : policies->get_array()) {
    GODWIT_ASSIGN_OR_RETURN(Policy policy, ReadPolicy(each));
    report.policies.push_back(std::move(policy));
  }
  return report;
}

}  // namespace

std::string ContactDomain(const Report& report) {
  const size_t at = report.contact.rfind('@');
  return at == std::string::npos ? "" : report.contact.substr(at + 1);
}

absl::StatusOr<Report> ParseReport(std::string_view text, const ParseLimits& limits) {
  if (text.size() > limits.json_bytes) return base::ResourceExhausted("the report is too large");
  GODWIT_ASSIGN_OR_RETURN(const json::value value, ijson::ParseJson(text));
  return Reader(limits).Read(value);
}

}  // namespace godwit::tlsrpt
