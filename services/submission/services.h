#pragma once

// What the connections of submission share: settings, and the ways to everything outside. Made by
// Server, outlives every connection. The settings do not change while it runs.

#include <string>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/db/pool.h"
#include "libs/limit/failed_logins.h"
#include "libs/login/login.h"
#include "libs/outgoing/daily_limits.h"
#include "libs/outgoing/sender.h"
#include "libs/outgoing/sender_policy.h"
#include "libs/smtp/server.h"
#include "libs/smtpd/memory.h"
#include "libs/store/directory.h"
#include "services/submission/metrics.h"

namespace godwit::submission {

// The configuration as plain values; the fields of config.proto say what they mean.
struct Settings {
  std::string hostname;
  smtp::ServerOptions smtp;
  size_t max_received_fields = 100;
  absl::Duration failure_delay = absl::Seconds(2);
  int failures = 3;
  bool null_reverse_path = true;
  outgoing::SenderPolicy senders;
  bool hide_client = true;
  bool address_literals = false;
  absl::Duration future_release = absl::Hours(60 * 24);
};

struct Services {
  Settings settings;
  const base::Clock* clock = nullptr;
  base::RandomSource* random = nullptr;
  db::Pool* pool = nullptr;
  const login::Authenticator* authenticator = nullptr;
  outgoing::Sender* sender = nullptr;
  smtpd::MemoryBudget* memory = nullptr;  // of the messages of all connections
  smtpd::MemoryByOwner* memory_by_account = nullptr;
  outgoing::DailyLimits* limits = nullptr;
  limit::FailedLogins* failed_logins = nullptr;
  Metrics* metrics = nullptr;
};

}  // namespace godwit::submission
