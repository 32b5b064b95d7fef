#include "libs/limit/clients.h"

#include <algorithm>
#include <utility>

namespace godwit::limit {
namespace {

// One batch of replies waits no longer: a session that drains must end in time.
constexpr absl::Duration kMaxDelay = absl::Seconds(30);

Meter::Options MeterOptions(std::string name, double amount, absl::Duration period) {
  Meter::Options options;
  options.name = std::move(name);
  options.amount = amount;
  options.period = period;
  return options;
}

}  // namespace

ClientLimits::ClientLimits(const ClientLimitOptions& options, const base::Clock* clock,
                           base::RandomSource* random)
    : options_(options),
      networks_(options.networks),
      connections_({options.name + "-connections", options.connections}, &networks_, clock),
      rate_(MeterOptions(options.name + "-connection-rate", options.connections_per_minute,
                         absl::Minutes(1)),
            &networks_, clock, NewSeed(random)),
      refused_recipients_(MeterOptions(options.name + "-refused-recipients",
                                       options.refused_recipients_per_hour, absl::Hours(1)),
                          &networks_, clock, NewSeed(random)),
      bytes_(MeterOptions(options.name + "-bytes", options.bytes_per_hour, absl::Hours(1)),
             &networks_, clock, NewSeed(random)) {}

Admission ClientLimits::Admit(const base::IpAddress& address) {
  Admission admission;
  // For what others of a wider network do, nobody is turned away who has not asked for anything
  // yet.
  if (refused_recipients_.NearestOver(address)) {
    admission.refused_by = "refused-recipients";
    return admission;
  }
  admission.place = connections_.Enter(address);
  if (!admission.place) {
    admission.refused_by = "connections";
  } else if (!rate_.Take(address, 1)) {
    admission.place = Occupancy::Place();
    admission.refused_by = "connection-rate";
  }
  return admission;
}

absl::Duration ClientLimits::Delay(int faults, int fresh) const {
  const int slow = std::min(fresh, faults - options_.patience);
  return slow <= 0 ? absl::ZeroDuration() : std::min(kMaxDelay, options_.reply_delay * slow);
}

std::vector<Counter*> ClientLimits::counters() {
  return {&connections_, &rate_, &refused_recipients_, &bytes_};
}

}  // namespace godwit::limit
