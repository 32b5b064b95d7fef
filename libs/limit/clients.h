#pragma once

// ClientLimits: what the clients of a daemon that takes mail may do, by the network they come from.
//
//   limit::ClientLimits limits(options, clock, base::RandomSource::System());
//   limit::Admission admission = limits.Admit(address);   // kept while the connection lives
//   if (!admission.refused_by.empty()) ... 421 ...
//   limits.refused_recipients().Add(address, 1);
//
// Thread-safe; outlives its admissions.

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/ip_address.h"
#include "libs/base/random.h"
#include "libs/limit/meter.h"
#include "libs/limit/network.h"
#include "libs/limit/occupancy.h"

namespace godwit::limit {

struct ClientLimitOptions {
  // Daemons of one name count together.
  std::string name = "smtp";
  NetworkOptions networks = {};
  // For the nearest network, see Networks::factor; 0: no limit.
  double connections = 100;  // at the same time
  double connections_per_minute = 1000;
  double refused_recipients_per_hour = 1000;
  double bytes_per_hour = 0;
  // Of a session: refused commands and recipients that are answered at once; each one more makes
  // the reply wait for so much longer. Not for exempt clients.
  int patience = 5;
  absl::Duration reply_delay = absl::Seconds(1);
};

struct Admission {
  Occupancy::Place place;
  // Which limit it was: "connections", "connection-rate", "refused-recipients"; "" when it may
  // come.
  std::string_view refused_by;
};

class ClientLimits {
 public:
  ClientLimits(const ClientLimitOptions& options, const base::Clock* clock,
               base::RandomSource* random);
  ClientLimits(const ClientLimits&) = delete;
  ClientLimits& operator=(const ClientLimits&) = delete;

  // A connection that is refused is not counted: whoever comes too often is let in as often as the
  // limit says, and not never.
  Admission Admit(const base::IpAddress& address);
  bool IsExempt(const base::IpAddress& address) const { return networks_.IsExempt(address); }
  // How long replies wait for a client that has had so many refusals, before the last `fresh` of
  // them are answered.
  absl::Duration Delay(int faults, int fresh) const;

  Meter& refused_recipients() { return refused_recipients_; }
  Meter& bytes() { return bytes_; }
  // For limit::Exchange.
  std::vector<Counter*> counters();

 private:
  const ClientLimitOptions options_;
  const Networks networks_;
  Occupancy connections_;
  Meter rate_;
  Meter refused_recipients_;
  Meter bytes_;
};

}  // namespace godwit::limit
