#pragma once

// A DMARC aggregate report (RFC 9990, RFC 7489 §7.2) as plain values: what parse.h reads and
// write.h writes. Words ("pass", "quarantine", "treewalk") are kept as the schemas spell them; ""
// is an element that is not there.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace godwit::dmarc_report {

enum class Schema : uint8_t {
  kRfc9990,  // namespace urn:ietf:params:xml:ns:dmarc-2.0
  kRfc7489,  // Appendix C, without a namespace, as everybody sends it
};

// Why the disposition is not what the policy asks for.
struct Reason {
  std::string type;
  std::string comment;
  friend bool operator==(const Reason&, const Reason&) = default;
};

struct DkimResult {
  std::string domain;
  std::string selector;
  std::string result;
  std::string human_result = {};
  friend bool operator==(const DkimResult&, const DkimResult&) = default;
};

struct SpfResult {
  std::string domain;
  std::string scope;  // "mfrom"; "helo" in RFC 7489 only
  std::string result;
  std::string human_result = {};
  friend bool operator==(const SpfResult&, const SpfResult&) = default;
};

// Messages of one source that fared alike.
struct Record {
  std::string source_ip;
  int64_t count = 0;
  std::string disposition;  // "none", "pass" (RFC 9990 only), "quarantine", "reject"
  std::string dkim;         // aligned: "pass" or "fail"
  std::string spf;
  std::vector<Reason> reasons;
  std::string envelope_to;
  std::string envelope_from;
  std::string header_from;
  std::vector<DkimResult> dkim_results;
  std::vector<SpfResult> spf_results;
  friend bool operator==(const Record&, const Record&) = default;
};

struct PublishedPolicy {
  std::string domain;
  std::string p;
  std::string sp;
  std::string np;
  std::string adkim;
  std::string aspf;
  std::string fo;
  std::string testing;           // RFC 9990: "y", "n"
  std::string discovery_method;  // RFC 9990: "treewalk", "psl"
  std::optional<int> pct;        // RFC 7489
  friend bool operator==(const PublishedPolicy&, const PublishedPolicy&) = default;
};

struct Report {
  Schema schema = Schema::kRfc9990;
  std::string org_name;
  std::string email;
  std::string extra_contact_info;
  std::string report_id;
  std::string generator;  // RFC 9990
  std::vector<std::string> errors;
  int64_t begin = 0;  // seconds since 1970, UTC
  int64_t end = 0;
  PublishedPolicy policy;
  std::vector<Record> records;
  friend bool operator==(const Report&, const Report&) = default;
};

}  // namespace godwit::dmarc_report
