#pragma once

// What the connections of smtp-ingress share: settings, and the ways to everything outside. Made by
// Server, outlives every connection. The settings do not change while it runs.

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/db/pool.h"
#include "libs/dns/resolver.h"
#include "libs/hint/hint_sender.h"
#include "libs/limit/clients.h"
#include "libs/outgoing/sender.h"
#include "libs/smtp/server.h"
#include "libs/smtpd/memory.h"
#include "libs/store/deliverer.h"
#include "services/smtp-ingress/callout.h"
#include "services/smtp-ingress/decision.h"
#include "services/smtp-ingress/evaluation_sender.h"
#include "services/smtp-ingress/metrics.h"
#include "services/smtp-ingress/notifier.h"
#include "services/smtp-ingress/recipient.h"
#include "services/smtp-ingress/recipient_cache.h"
#include "services/smtp-ingress/report_addresses.h"
#include "services/smtp-ingress/session_log.h"
#include "services/smtp-ingress/verify_client.h"

namespace godwit::smtp_ingress {

// The configuration as plain values; the fields of config.proto say what they mean.
struct Settings {
  std::string hostname;
  std::string authserv_id;
  smtp::ServerOptions smtp;
  bool no_mail = false;
  bool dsn = false;  // offered
  bool verify = true;
  std::vector<std::string> internal_clients;
  size_t max_received_fields = 100;
  absl::Duration data_total = absl::Minutes(30);
  DecisionPolicy decision;
  RecipientPolicy recipient;
};

// Of messages that go on, and are held as a whole: a few that come slowly would else take the room
// of all others.
struct WholeMemory {
  WholeMemory(int64_t all, int64_t one_client, obs::Gauge* gauge)
      : budget(all, gauge), by_client(one_client) {}
  smtpd::MemoryBudget budget;
  smtpd::MemoryByOwner by_client;
};

struct Services {
  Settings settings;
  const base::Clock* clock = nullptr;
  base::RandomSource* random = nullptr;
  db::Pool* pool = nullptr;
  store::Deliverer* deliverer = nullptr;
  VerifyClient* verifier = nullptr;
  outgoing::Sender* sender = nullptr;  // null: nothing goes on to other servers
  const Notifier* notifier = nullptr;  // null: DSN is not offered
  Callout* callout = nullptr;
  RecipientCache* recipients = nullptr;
  dns::Resolver* resolver = nullptr;  // null: domains of senders are not looked up
  EvaluationSender* evaluations = nullptr;
  const ReportAddresses* report_addresses = nullptr;
  hint::HintSender* hints = nullptr;
  smtpd::MemoryBudget* memory = nullptr;  // of the messages of all connections
  WholeMemory* whole_memory = nullptr;    // beside that
  limit::ClientLimits* clients = nullptr;
  SessionLog* session_log = nullptr;
  Metrics* metrics = nullptr;
};

}  // namespace godwit::smtp_ingress
