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
        {"accepted", "author-unusable", "dmarc-reject", "dmarc-quarantine", "dmarc-temperror"}}}};
  obs::CounterFamily failures{"godwit_smtp_ingress_failures_total",
                              "451 because something of ours failed.",
                              {{"at", {"lookup", "verify", "stage", "send-on", "deliver"}}}};
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
  obs::Counter hints_sent{"godwit_smtp_ingress_hints_sent_total", "Hints that gateways took."};
  obs::Counter hints_dropped{"godwit_smtp_ingress_hints_dropped_total",
                             "Hints that no gateway took; its slow poll heals."};
  obs::GaugeFamily sweep_backlog{
      "godwit_smtp_ingress_sweep_backlog",
      "What the sweep of the store left to do, each minute; counted up to 100,000.",
      {{"kind", {"staged-blobs", "dead-blobs", "mailboxes", "accounts"}}}};
};

}  // namespace godwit::smtp_ingress
