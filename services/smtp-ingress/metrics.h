#pragma once

// Every metric of smtp-ingress.

#include "libs/obs/metrics.h"

namespace godwit::smtp_ingress {

struct Metrics {
  obs::Gauge sessions{"godwit_smtp_ingress_sessions", "Sessions open now."};
  obs::CounterFamily connections{"godwit_smtp_ingress_connections_total",
                                 "Connections by what became of them.",
                                 {{"result", {"accepted", "refused"}}}};
  obs::CounterFamily handshakes{"godwit_smtp_ingress_tls_handshakes_total",
                                "TLS handshakes, after STARTTLS or at once.",
                                {{"result", {"ok", "failed"}}}};
  obs::CounterFamily limited{
      "godwit_smtp_ingress_limited_total",
      "What a limit stopped: connections turned away (connections, connection-rate, "
      "refused-recipients), sessions ended for their refused recipients, MAIL and messages "
      "deferred "
      "(bytes, memory).",
      {{"limit", {"connections", "connection-rate", "refused-recipients", "bytes", "memory"}}}};
  obs::CounterFamily cuts{
      "godwit_smtp_ingress_sessions_cut_total",
      "Sessions that we ended, by reason.",
      {{"reason",
        {"errors", "refused-recipients", "transactions", "idle-commands", "protocol",
         "command-time", "data-silence", "data-time", "session-time"}}}};
  obs::Counter slowed{"godwit_smtp_ingress_slowed_replies_total",
                      "Replies that had to wait, because their client was refused much."};
  obs::CounterFamily exchanges{"godwit_smtp_ingress_limit_exchanges_total",
                               "Each second: what other replicas count was told and heard.",
                               {{"result", {"ok", "failed"}}}};
  obs::CounterFamily refused_sessions{
      "godwit_smtp_ingress_refused_sessions_total",
      "Refused sessions and messages, by what became of the row for `godwitctl session`.",
      {{"result", {"kept", "sampled-out", "lost"}}}};
  obs::CounterFamily recipients{"godwit_smtp_ingress_recipients_total",
                                "Recipients by the answer to RCPT.",
                                {{"result", {"accepted", "deferred", "rejected"}}}};
  obs::CounterFamily messages{"godwit_smtp_ingress_messages_total",
                              "Messages by the answer to their end.",
                              {{"result", {"accepted", "junk", "deferred", "rejected"}}}};
  obs::CounterFamily decisions{
      "godwit_smtp_ingress_decisions_total",
      "Decisions on verified messages, by reason.",
      {{"reason",
        {"accepted", "author-unusable", "dmarc-reject", "dmarc-quarantine", "dmarc-temperror",
         "dmarc-overridden", "dns-listed", "spf-fail", "spf-error", "reverse-dns"}}}};
  obs::CounterFamily failures{
      "godwit_smtp_ingress_failures_total",
      "451 because something of ours failed.",
      {{"at", {"lookup", "verify", "stage", "seal", "send-on", "deliver"}}}};
  obs::CounterFamily notices{"godwit_smtp_ingress_notices_total",
                             "Notifications of delivery that a sender asked for, by what became of "
                             "them; \"skipped\": SPF did "
                             "not confirm the sender.",
                             {{"result", {"sent", "failed", "skipped"}}}};
  obs::CounterFamily seals{
      "godwit_smtp_ingress_seals_total",
      "ARC sets for messages that go on, by what became of them; \"none\": the "
      "chain has ended, or the domain has no key.",
      {{"result", {"sealed", "none", "failed"}}}};
  obs::Histogram message_bytes{"godwit_smtp_ingress_message_bytes", "Size of accepted messages.",
                               obs::kBytes};
  obs::Histogram verify_seconds{"godwit_smtp_ingress_verify_seconds",
                                "From the last octet of a message to its verdict.", obs::kSeconds};
  obs::Histogram deliver_seconds{"godwit_smtp_ingress_deliver_seconds",
                                 "From the verdict to the commit.", obs::kSeconds};
  obs::CounterFamily sent_on{"godwit_smtp_ingress_sent_on_total",
                             "Recipients whose mail the queue has taken, by why it goes on.",
                             {{"way", {"relay", "forward", "return"}}}};
  obs::Histogram send_on_seconds{"godwit_smtp_ingress_send_on_seconds",
                                 "From the verdict to the queue's answer.", obs::kSeconds};
  obs::Gauge memory_bytes{"godwit_smtp_ingress_message_memory_bytes",
                          "Octets of messages held in memory now."};
  obs::CounterFamily evaluations{"godwit_smtp_ingress_evaluations_total",
                                 "Messages told to auth-verifier for DMARC reports.",
                                 {{"outcome", {"sent", "dropped"}}}};
  obs::Counter hints_sent{"godwit_smtp_ingress_hints_sent_total", "Hints that gateways took."};
  obs::Counter hints_dropped{"godwit_smtp_ingress_hints_dropped_total",
                             "Hints that no gateway took; its slow poll heals."};
  obs::GaugeFamily sweep_backlog{
      "godwit_smtp_ingress_sweep_backlog",
      "What the sweep of the store left to do, each minute; counted up to 100,000.",
      {{"kind", {"staged-blobs", "dead-blobs", "mailboxes", "accounts"}}}};
};

}  // namespace godwit::smtp_ingress
