#pragma once

// What requests of this process share: settings (from config.proto, as plain values) and services.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/secret.h"
#include "libs/db/pool.h"
#include "libs/hint/hint_sender.h"
#include "libs/hint/presence.h"
#include "libs/hint/registry.h"
#include "libs/jmap/request.h"
#include "libs/limit/failed_logins.h"
#include "libs/net/http.h"
#include "libs/net/tls_context.h"
#include "libs/outgoing/daily_limits.h"
#include "libs/outgoing/sender.h"
#include "libs/outgoing/sender_policy.h"
#include "libs/store/deliverer.h"
#include "services/webmail-api/metrics.h"

namespace godwit::webmail_api {

struct Settings {
  std::string hostname;
  std::string public_url;   // "" as the client names us
  uint16_t https_port = 0;  // of the first listener with TLS; 0: none
  jmap::Limits jmap;
  uint64_t message_size = 50 << 20;
  uint64_t uploads_size = 250 << 20;
  uint32_t event_streams = 32;
  uint32_t recipients = 1000;
  outgoing::SenderPolicy senders;
  uint32_t concurrent_checks = 32;
  uint32_t downloads = 16;
  uint32_t connections_per_address = 0;  // 0: no limit
  net::HttpLimits http;
  absl::Duration handshake_timeout = absl::Seconds(30);
  absl::Duration write_timeout = absl::Minutes(1);
  absl::Duration upload_lifetime = absl::Hours(24);
  absl::Duration event_stream_lifetime = absl::Hours(1);
  absl::Duration failure_delay = absl::Seconds(2);
  absl::Duration session_lifetime = absl::Hours(7 * 24);
};

// Everything outlives every request.
struct Environment {
  Settings settings;
  std::shared_ptr<net::TlsContext> tls;  // null: no TLS
  base::Secret fake_salt_key;
  base::Secret cache_key;  // of this process, random: for what must not be kept as it is
  db::Pool* database = nullptr;
  store::Deliverer* deliverer = nullptr;
  hint::HintSender* hints = nullptr;
  hint::Registry* registry = nullptr;
  hint::Presence* presence = nullptr;
  outgoing::Sender* sender = nullptr;
  outgoing::DailyLimits* daily_limits = nullptr;
  limit::FailedLogins* failed_logins = nullptr;
  const base::Clock* clock = nullptr;
  base::RandomSource* random = nullptr;
  Metrics* metrics = nullptr;
};

// Tells the gateways that watch the account, this one included.
inline void Announce(Environment* environment, store::AccountId account,
                     const store::Change& change) {
  if (change.modseq == 0) return;
  environment->registry->Changed(account, change.modseq);
  environment->hints->Send(store::ToInt(account), change.modseq, change.watchers);
}

}  // namespace godwit::webmail_api
