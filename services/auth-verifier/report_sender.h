#pragma once

// ReportSender: sends the aggregate reports that are due (RFC 9990 §3.5, RFC 7489 §7.2.1).
//
// Every replica runs one; the one that has the lease in the store works, another takes over when it
// is gone. Who asks for a report and may have it is found in the policy record and the DNS; the
// message is signed here and goes into the queue. What was sent is marked at each address, and the
// queue's key is made of domain, period and address: neither a crash nor two workers send a report
// twice.
//
// What can not be done now (no DNS, no queue, no database) is done later, for two days.

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/dmarc/destinations.h"
#include "libs/dns/resolver.h"
#include "libs/net/reactor.h"
#include "libs/outgoing/sender.h"
#include "services/auth-verifier/aggregate_report.h"
#include "services/auth-verifier/message_signing.h"
#include "services/auth-verifier/metrics.h"
#include "services/auth-verifier/signing_keys.h"

namespace godwit::auth_verifier {

class ReportSender {
 public:
  struct Options {
    dmarc::Mode mode = dmarc::Mode::kTreeWalk;
    std::string from;          // "" for postmaster of the first domain that can sign
    std::string organization;  // "" for the domain of `from`
    std::string contact;
    int64_t rows_of_report = 1000;
    absl::Duration keep = absl::Hours(14 * 24);
    SigningOptions sign;
  };
  // All outlive it.
  struct Parts {
    db::Pool* pool = nullptr;
    dns::Resolver* resolver = nullptr;
    const base::Clock* clock = nullptr;
    SigningKeys* keys = nullptr;
    outgoing::Sender* queue = nullptr;
    Metrics* metrics = nullptr;
  };

  // `holder`: the name of this replica in the lease, unique.
  ReportSender(Options options, Parts parts, std::string holder);

  // Until the reactor stops.
  base::Task<void> Run(net::Reactor* reactor);
  // Everything that is due now; also removes what is old. False: another replica is at it, or the
  // database is away.
  base::Task<bool> SendDue();

 private:
  // What became of a report at one address, or at all.
  enum class Outcome { kSent, kSuppressed, kRefused, kTooLarge, kLater };

  base::Task<bool> TakeLease();
  base::Task<void> Sweep();
  // False: the database has gone; whatever was due still is.
  base::Task<bool> Handle(store::DmarcPeriod period);
  base::Task<bool> Finish(store::DmarcPeriod period, std::string outcome);
  base::Task<bool> Postpone(store::DmarcPeriod period);
  base::Task<bool> SendAll(store::DmarcPeriod period, dmarc::Record record, Reporter reporter);
  base::Task<Outcome> SendTo(dmarc::Destination to, const store::DmarcPeriod* period,
                             const dmarc_report::Report* report, const Reporter* reporter);
  base::Task<Outcome> Enqueue(outgoing::Message message, std::string body);
  base::Task<absl::StatusOr<std::string>> Sign(std::string header, std::string body,
                                               std::string domain);
  base::Task<absl::StatusOr<Reporter>> WhoReports();
  void Count(Outcome outcome);
  static std::string_view Name(Outcome outcome);

  const Options options_;
  const Parts parts_;
  const std::string holder_;
};

}  // namespace godwit::auth_verifier
