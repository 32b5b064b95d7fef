#pragma once

// Every metric of imap-gateway.

#include "libs/obs/metrics.h"

namespace godwit::imap_gateway {

struct Metrics {
  obs::Gauge sessions{"godwit_imap_gateway_sessions", "Open connections."};
  obs::Gauge idling{"godwit_imap_gateway_idle_sessions", "Sessions in IDLE."};
  obs::Gauge accounts{"godwit_imap_gateway_watched_accounts", "Accounts that are watched."};
  obs::CounterFamily logins{"godwit_imap_gateway_logins_total",
                            "Logins by how they ended.",
                            {{"outcome", {"success", "failure", "limited", "unavailable"}}}};
  obs::CounterFamily exchanges{"godwit_imap_gateway_limit_exchanges_total",
                               "Each second: what other replicas count was told and heard.",
                               {{"result", {"ok", "failed"}}}};
  obs::CounterFamily commands{"godwit_imap_gateway_commands_total",
                              "Commands by their tagged answer.",
                              {{"condition", {"OK", "NO", "BAD"}}}};
  obs::Histogram command_seconds{"godwit_imap_gateway_command_seconds",
                                 "From a command to its tagged answer.", obs::kSeconds};
  obs::CounterFamily messages{"godwit_imap_gateway_messages_total",
                              "Messages by what was done with them.",
                              {{"action", {"fetched", "appended", "copied", "expunged"}}}};
  obs::Counter fetched_bytes{"godwit_imap_gateway_fetched_bytes_total",
                             "Octets of messages that were sent."};
  obs::Counter hints{"godwit_imap_gateway_hints_total", "Changes of accounts we were told of."};
  obs::Counter healed{"godwit_imap_gateway_healed_total", "Changes that only the slow poll found."};
  obs::CounterFamily byes{
      "godwit_imap_gateway_byes_total",
      "Sessions that we ended, by reason.",
      {{"reason", {"timeout", "errors", "drain", "failure", "logins", "locked"}}}};
};

}  // namespace godwit::imap_gateway
