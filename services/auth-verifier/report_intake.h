#pragma once

// ReportIntake: keeps the DMARC aggregate reports that others send us (RFC 9990, RFC 7489 §7.2),
// which come as mail to an address for reports; a TLS report (RFC 8460) in such mail is handed to
// tls-policy. The mail itself is its owner's and is not our business.
//
// A DMARC report must come from an author that passes DMARC, be about a domain of ours and about
// the past; of a reporter's identifier one is kept. Reading it happens on a thread of the database
// pool: a large one takes a tenth of a second.

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/dmarc_report/report.h"
#include "libs/net/reactor.h"
#include "libs/store/dmarc_reports.h"
#include "libs/tlsrpt/attachment.h"
#include "services/auth-verifier/tls_report_client.h"

namespace godwit::auth_verifier {

// What is kept of a report. InvalidArgument: it can't be one about the past of a domain.
absl::StatusOr<store::ReceivedReport> Summarize(const dmarc_report::Report& report,
                                                std::string_view reporter, absl::Time received);

class ReportIntake {
 public:
  struct Options {
    size_t message_bytes = 12 << 20;
    int at_once = 4;               // messages that are collected
    int64_t reports_a_day = 1000;  // of a domain of ours
    absl::Duration keep = absl::Hours(400 * 24);
  };
  // All outlive it. `tls_reports` nullptr: TLS reports are not kept.
  ReportIntake(Options options, db::Pool* pool, const base::Clock* clock,
               TlsReportClient* tls_reports = nullptr);

  // What was found of the mail.
  struct Proof {
    std::string author;  // the domain of From that passed DMARC; "" for none
    // d= of the signatures that are valid for TLS reports (RFC 8460 §3).
    std::vector<std::string> tls_signers;
  };

  // One message on its way. Not more than Options::at_once have room; of the others it says so.
  class Collector {
   public:
    // nullptr: nothing is collected.
    explicit Collector(ReportIntake* intake);
    ~Collector();
    Collector(const Collector&) = delete;
    Collector& operator=(const Collector&) = delete;
    void Append(std::string_view bytes);

   private:
    friend class ReportIntake;
    ReportIntake* const intake_;
    bool has_room_ = false;
    bool too_large_ = false;
    std::string message_;
  };

  // After the last byte. OK when it is stored, now or before; else why not, for people.
  base::Task<absl::Status> Store(Collector* collector, Proof proof, std::string trace);

  // Removes what is older than `keep`, each hour, until the reactor stops. Each minute it gives
  // back the memory that reading took, which may be 200 MB a thread; each time would cost as much
  // again.
  base::Task<void> Run(net::Reactor* reactor);

 private:
  base::Task<absl::Status> StoreTlsReport(tlsrpt::Attached attached,
                                          std::vector<std::string> signers, std::string trace);

  const Options options_;
  db::Pool* const pool_;
  const base::Clock* const clock_;
  TlsReportClient* const tls_reports_;
  std::atomic<int> collecting_{0};
  std::atomic<bool> read_some_{false};
};

}  // namespace godwit::auth_verifier
