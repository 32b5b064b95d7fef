#pragma once

// The configuration (config.proto) as the plain values that everything below Server works with.

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "services/delivery-queue/config.pb.h"
#include "services/delivery-queue/retry.h"
#include "services/delivery-queue/scheduler.h"

namespace godwit::delivery_queue {

enum class OutboundMode { kDirect, kSmarthost, kCapture };

// A host by name or address, and a port.
struct Target {
  std::string host;
  uint16_t port = 0;
};

struct Settings {
  std::string hostname;
  std::string notice_domain;
  uint64_t notice_return_size = 50 * 1024;

  OutboundMode outbound = OutboundMode::kDirect;
  uint16_t outbound_port = 25;
  bool data_only = false;
  Target smarthost{};
  std::string capture_folder;
  std::string ca_file;  // "" the system's
  std::optional<base::IpAddress> source_ipv4{};
  std::optional<base::IpAddress> source_ipv6{};
  Target internal{};
  std::vector<std::string> own_mx_hosts;  // `hostname` among them; as MX records have them
  bool knows_own_mx_hosts = false;        // they were configured

  RetryPolicy retry;
  absl::Duration give_up = absl::Hours(120);
  SchedulerLimits scheduler;
  size_t max_messages = 10000;
  int64_t max_memory = 64 << 20;
  size_t recipients_per_transaction = 100;

  uint64_t message_size = 60 << 20;
  size_t recipients = 10000;
  size_t concurrent_enqueues = 1000;
  absl::Duration keep_keys = absl::Hours(6);

  absl::Duration connect_timeout = absl::Seconds(30);
  absl::Duration handshake_timeout = absl::Seconds(30);
  absl::Duration reply_timeout = absl::Minutes(10);
  absl::Duration write_timeout = absl::Minutes(3);
  absl::Duration opening_timeout = absl::Minutes(10);
  absl::Duration transaction_timeout = absl::Minutes(30);

  absl::Duration lease = absl::Seconds(20);
  absl::Duration beat = absl::Seconds(4);
  absl::Duration margin = absl::Seconds(5);
  absl::Duration poll = absl::Seconds(1);
};

// InvalidArgument for what contradicts itself: a mode without what it needs, a beat that does not
// fit into the lease, addresses that can't be read.
absl::StatusOr<Settings> MakeSettings(const Config& config);

}  // namespace godwit::delivery_queue
