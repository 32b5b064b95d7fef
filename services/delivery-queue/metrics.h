#pragma once

// Every metric of delivery-queue.

#include "libs/obs/metrics.h"

namespace godwit::delivery_queue {

// Why recipients are put off, as the label has it.
inline constexpr char kAtRoute[] = "route";
inline constexpr char kAtConnect[] = "connect";
inline constexpr char kAtTls[] = "tls";
inline constexpr char kAtGreeting[] = "greeting";
inline constexpr char kAtMail[] = "mail";
inline constexpr char kAtRcpt[] = "rcpt";
inline constexpr char kAtData[] = "data";

struct Metrics {
  obs::CounterFamily enqueued{
      "godwit_delivery_queue_enqueued_total",
      "Enqueue calls by how they ended.",
      {{"result", {"taken", "duplicate", "refused", "overload", "failed"}}}};
  obs::Histogram enqueue_seconds{"godwit_delivery_queue_enqueue_seconds",
                                 "From the last octet of a message to its commit.", obs::kSeconds};
  obs::Histogram first_attempt_seconds{
      "godwit_delivery_queue_first_attempt_seconds",
      "From a message's commit to the beginning of its first dialogue.", obs::kSeconds};
  obs::CounterFamily recipients{
      "godwit_delivery_queue_recipients_total",
      "Recipients by what an attempt came to.",
      {{"route", {"internal", "direct", "smarthost", "relay", "capture", "none"}},
       {"result", {"delivered", "deferred", "failed"}}}};
  obs::CounterFamily deferrals{
      "godwit_delivery_queue_deferrals_total",
      "Recipients put off, by where it went wrong.",
      {{"at", {"route", "connect", "tls", "greeting", "mail", "rcpt", "data"}}}};
  obs::CounterFamily sessions{
      "godwit_delivery_queue_sessions_total",
      "Outgoing sessions by what protects them.",
      {{"tls", {"none", "opportunistic", "encrypt", "mta-sts", "dane", "internal", "failed"}}}};
  obs::CounterFamily notices{"godwit_delivery_queue_notices_total",
                             "Delivery status notifications written.",
                             {{"action", {"failed", "delayed", "delivered", "relayed"}}}};
  obs::Counter notices_lost{"godwit_delivery_queue_notices_lost_total",
                            "Notifications that could not be written or enqueued: a sender is not "
                            "told."};
  obs::Counter uncertain{"godwit_delivery_queue_uncertain_total",
                         "Final dots whose reply never came: the message may come twice."};
  obs::Counter stale{
      "godwit_delivery_queue_stale_writes_total",
      "Outcomes that came after the lease was lost: nothing was written, and what was "
      "delivered may come twice."};
  obs::Counter lease_too_short{"godwit_delivery_queue_lease_too_short_total",
                               "Messages given up before the final dot, for want of lease."};
  obs::Gauge messages{"godwit_delivery_queue_messages", "Messages in the shards of this replica."};
  obs::Gauge held{"godwit_delivery_queue_held_messages", "Of these, held."};
  obs::Gauge oldest_seconds{"godwit_delivery_queue_oldest_message_age_seconds",
                            "Age of the oldest message in the shards of this replica, not held."};
  obs::Gauge in_memory{"godwit_delivery_queue_messages_in_memory", "Messages in work."};
  obs::Gauge memory_bytes{"godwit_delivery_queue_message_memory_bytes",
                          "Octets of messages that are kept for their first attempt."};
  obs::Gauge connections{"godwit_delivery_queue_connections", "Outgoing connections open now."};
  obs::Gauge shards{"godwit_delivery_queue_leased_shards",
                    "Shards leased by this replica, of 256."};
  obs::Gauge share{"godwit_delivery_queue_fair_share_of_shards",
                   "Shards that this replica should have."};
  obs::Counter database_failures{"godwit_delivery_queue_database_failures_total",
                                 "Beats, loads, records and measurements that the database did "
                                 "not take."};
};

}  // namespace godwit::delivery_queue
