#pragma once

// From verified messages to aggregate reports (RFC 9990, RFC 7489 §7.2), without I/O: what is
// counted for a message, and the report that is made of the counters.

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/dmarc/evaluate.h"
#include "libs/dmarc_report/report.h"
#include "libs/store/dmarc_evaluations.h"

namespace godwit::auth_verifier {

enum class Override { kNone, kLocalPolicy, kTrustedForwarder, kMailingList, kOther };

// One message, judged and done with.
struct ReportedMessage {
  base::IpAddress source;
  std::string policy_domain;  // A-labels, lower case, as all domains here
  std::string record;
  std::string header_from;
  std::string envelope_from;
  std::string envelope_to;  // "" for recipients in several domains
  dmarc::ResultCode result = dmarc::ResultCode::kNone;
  bool dkim_aligned = false;
  bool spf_aligned = false;
  struct Dkim {
    std::string domain;
    std::string selector;
    std::string result;
  };
  std::vector<Dkim> dkim;
  std::string spf_domain;
  std::string spf_result;                            // "" for none
  dmarc::Policy policy = dmarc::Policy::kNone;       // what the record says
  dmarc::Policy requested = dmarc::Policy::kNone;    // with t= or pct= applied
  dmarc::Policy disposition = dmarc::Policy::kNone;  // what DMARC did
  Override override = Override::kNone;
  std::string comment;
  bool to_report_address = false;
};

// How messages are counted.
struct CountingOptions {
  dmarc::Mode mode = dmarc::Mode::kTreeWalk;
  absl::Duration spread = absl::Hours(4);
};

// The counter of a message that ended at `now`. Reports are of UTC days; RFC 7489's ri= may ask for
// parts of one: 12, 8, 6, 4, 3, 2 hours or one. A report is due after its end, at a moment of the
// spread that is its domain's. Texts from outside are cut and cleaned.
store::DmarcEvaluation MakeEvaluation(const ReportedMessage& message,
                                      const CountingOptions& options, absl::Time now);

// RFC 9991 §2, RFC 7489 §6.3 fo=: why the domain wants to know about this very message: of "0",
// "1", "d" and "s" what applies, "d:s"; "" when it does not, or has no ruf=.
std::string FailureReasons(const dmarc::Record& record, const ReportedMessage& message);

// Who reports.
struct Reporter {
  std::string organization;
  std::string email;
  std::string contact;
  std::string domain;  // of the email address
};

// The same for the same arguments. `record`: of the period.
dmarc_report::Report MakeReport(const store::DmarcPeriod& period, const dmarc::Record& record,
                                const std::vector<store::DmarcRow>& rows, const Reporter& reporter,
                                dmarc::Mode mode);

}  // namespace godwit::auth_verifier
