#pragma once

// Every metric of submission.

#include "libs/obs/metrics.h"

namespace godwit::submission {

struct Metrics {
  obs::Gauge sessions{"godwit_submission_sessions", "Sessions open now."};
  obs::CounterFamily connections{"godwit_submission_connections_total",
                                 "Connections by what became of them.",
                                 {{"result", {"accepted", "refused"}}}};
  obs::CounterFamily handshakes{"godwit_submission_tls_handshakes_total",
                                "TLS handshakes, after STARTTLS or at once.",
                                {{"result", {"ok", "failed"}}}};
  obs::CounterFamily cuts{
      "godwit_submission_sessions_cut_total",
      "Sessions that we ended, by reason.",
      {{"reason",
        {"errors", "refused-recipients", "transactions", "idle-commands", "protocol",
         "command-time", "login-time", "data-silence", "data-time", "session-time"}}}};
  obs::CounterFamily turned_away{"godwit_submission_turned_away_total",
                                 "Connections of networks that had too many.",
                                 {{"limit", {"connections", "connection-rate"}}}};
  obs::CounterFamily exchanges{"godwit_submission_limit_exchanges_total",
                               "Each second: what other replicas count was told and heard.",
                               {{"result", {"ok", "failed"}}}};
  obs::CounterFamily logins{"godwit_submission_logins_total",
                            "Logins by how they ended.",
                            {{"outcome", {"success", "failure", "limited", "unavailable"}}}};
  obs::CounterFamily recipients{"godwit_submission_recipients_total",
                                "Recipients by the answer to RCPT.",
                                {{"result", {"accepted", "deferred", "rejected"}}}};
  obs::CounterFamily messages{"godwit_submission_messages_total",
                              "Messages by the answer to their end.",
                              {{"result", {"accepted", "deferred", "rejected"}}}};
  obs::CounterFamily failures{"godwit_submission_failures_total",
                              "451 because something of ours failed.",
                              {{"at", {"lookup", "sign", "enqueue"}}}};
  obs::CounterFamily limited{"godwit_submission_limited_total",
                             "451 because an account has used up its day.",
                             {{"what", {"messages", "recipients"}}}};
  obs::Histogram message_bytes{"godwit_submission_message_bytes", "Size of accepted messages.",
                               obs::kBytes};
  obs::Histogram sign_seconds{"godwit_submission_sign_seconds",
                              "From the last octet of a message to its signature.", obs::kSeconds};
  obs::Histogram enqueue_seconds{"godwit_submission_enqueue_seconds",
                                 "From the signature to the queue's answer.", obs::kSeconds};
  obs::Gauge memory_bytes{"godwit_submission_message_memory_bytes",
                          "Octets of messages held in memory now."};
};

}  // namespace godwit::submission
