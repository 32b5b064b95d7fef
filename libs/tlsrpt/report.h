#pragma once

// A TLS report (RFC 8460 §4) as plain values: how mail to a domain fared, as its senders saw it.
// Words ("sts", "certificate-expired") are kept as they came; "" is a member that is not there.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace godwit::tlsrpt {

// Sessions that failed alike (RFC 8460 §4.3).
struct Failure {
  std::string result_type;
  std::string sending_ip;  // as IpAddress writes it; "" for what is no address
  std::string mx_host;     // receiving-mx-hostname
  std::string mx_helo;     // receiving-mx-helo
  std::string receiving_ip;
  int64_t sessions = 0;
  std::string additional_info;  // a URI
  std::string reason_code;
  friend bool operator==(const Failure&, const Failure&) = default;
};

struct Policy {
  std::string type;               // "tlsa", "sts", "no-policy-found"
  std::vector<std::string> text;  // policy-string
  std::string domain;             // policy-domain, as it came
  std::vector<std::string> mx_hosts;
  int64_t successful = 0;
  int64_t failed = 0;
  std::vector<Failure> failures;
  friend bool operator==(const Policy&, const Policy&) = default;
};

struct Report {
  std::string organization;
  std::string contact;  // contact-info: an address
  std::string report_id;
  absl::Time begin;
  absl::Time end;
  std::vector<Policy> policies;
  friend bool operator==(const Report&, const Report&) = default;
};

// The domain in Report::contact, as it stands there; "" for none. RFC 8460 §5.3: the reporter is of
// that domain.
std::string ContactDomain(const Report& report);

}  // namespace godwit::tlsrpt
