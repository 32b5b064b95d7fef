#pragma once

// What sessions of this process share: settings (from config.proto, as plain values) and services.

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/db/pool.h"
#include "libs/hint/hint_sender.h"
#include "libs/hint/presence.h"
#include "libs/hint/registry.h"
#include "libs/imap/limits.h"
#include "libs/limit/failed_logins.h"
#include "libs/login/login.h"
#include "libs/net/tls_context.h"
#include "libs/store/deliverer.h"
#include "services/imap-gateway/metrics.h"

namespace godwit::imap_gateway {

struct Settings {
  std::string hostname;
  imap::Limits limits;
  imap::Limits limits_before_login;
  int errors = 20;
  absl::Duration idle_timeout = absl::Minutes(31);
  absl::Duration login_timeout = absl::Minutes(1);
  absl::Duration literal_timeout = absl::Minutes(5);
  absl::Duration handshake_timeout = absl::Seconds(30);
  absl::Duration write_timeout = absl::Minutes(5);
  bool allow_plaintext = false;
  absl::Duration failure_delay = absl::Seconds(2);
  int failures = 3;
};

// Everything outlives every session.
struct Environment {
  Settings settings;
  std::shared_ptr<net::TlsContext> tls;  // null: no TLS
  const login::Authenticator* authenticator = nullptr;
  limit::FailedLogins* failed_logins = nullptr;
  db::Pool* database = nullptr;
  store::Deliverer* deliverer = nullptr;
  hint::HintSender* hints = nullptr;
  hint::Registry* registry = nullptr;
  hint::Presence* presence = nullptr;
  const base::Clock* clock = nullptr;
  base::RandomSource* random = nullptr;
  Metrics* metrics = nullptr;
};

}  // namespace godwit::imap_gateway
