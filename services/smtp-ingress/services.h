#pragma once

// What the sessions of smtp-ingress share: settings, and the ways to everything outside. Made by
// Server, outlives every session. The settings do not change while it runs.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/db/pool.h"
#include "libs/hint/hint_sender.h"
#include "libs/net/tls_context.h"
#include "libs/smtp/server.h"
#include "libs/store/deliverer.h"
#include "services/smtp-ingress/decision.h"
#include "services/smtp-ingress/metrics.h"
#include "services/smtp-ingress/recipient.h"
#include "services/smtp-ingress/verify_client.h"

namespace godwit::smtp_ingress {

// The configuration as plain values; the fields of config.proto say what they mean.
struct Settings {
  std::string hostname;
  std::string authserv_id;
  smtp::ServerOptions smtp;
  std::vector<std::string> internal_clients;
  int64_t max_sessions = 5000;
  int64_t max_memory = 512 << 20;
  size_t max_received_fields = 100;
  absl::Duration command_timeout = absl::Minutes(5);
  absl::Duration data_block_timeout = absl::Minutes(3);
  absl::Duration data_total = absl::Minutes(30);
  absl::Duration session_total = absl::Hours(2);
  absl::Duration handshake_timeout = absl::Seconds(30);
  absl::Duration write_timeout = absl::Minutes(2);
  DecisionPolicy decision;
  RecipientPolicy recipient;
};

struct Services {
  Settings settings;
  const base::Clock* clock = nullptr;
  base::RandomSource* random = nullptr;
  db::Pool* pool = nullptr;
  store::Deliverer* deliverer = nullptr;
  VerifyClient* verifier = nullptr;
  hint::HintSender* hints = nullptr;
  Metrics* metrics = nullptr;
  std::shared_ptr<net::TlsContext> tls;           // STARTTLS; null: not offered
  std::shared_ptr<net::TlsContext> internal_tls;  // of the internal listener
  std::atomic<bool> draining{false};              // sessions end with 421 as soon as they are idle
  std::atomic<bool> cutting{false};               // and now all that wait for a command
  std::atomic<int64_t> sessions{0};
  std::atomic<int64_t> memory{0};  // octets of messages held by all sessions
};

}  // namespace godwit::smtp_ingress
