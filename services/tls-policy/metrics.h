#pragma once

// Every metric of tls-policy.

#include "libs/obs/metrics.h"

namespace godwit::tls_policy {

struct Metrics {
  obs::CounterFamily resolves{
      "godwit_tls_policy_resolves_total",
      "Resolve calls by outcome.",
      {{"outcome", {"ok", "null_mx", "no_domain", "temporary", "overload", "unavailable"}}}};
  obs::CounterFamily hosts{
      "godwit_tls_policy_hosts_total",
      "Hosts in answers, by what they must prove.",
      {{"requirement", {"opportunistic", "encrypt", "mta_sts", "dane", "unusable"}}}};
  obs::Histogram seconds{"godwit_tls_policy_resolve_seconds", "Time of a Resolve call.",
                         obs::kSeconds};
  obs::Gauge in_progress{"godwit_tls_policy_resolves_in_progress", "Resolve calls in work."};
  obs::CounterFamily sts_fetches{
      "godwit_tls_policy_sts_fetches_total",
      "MTA-STS policies fetched, by result.",
      {{"result", {"fetched", "unreachable", "certificate", "invalid"}}}};
  obs::CounterFamily outcomes{"godwit_tls_policy_outcomes_total",
                              "TLS outcomes taken for reports.",
                              {{"result", {"success", "failure", "dropped"}}}};
  obs::CounterFamily reports{"godwit_tls_policy_reports_received_total",
                             "TLS reports of others by what became of them.",
                             {{"result", {"stored", "duplicate", "refused", "failed"}}}};
  obs::CounterFamily reported_sessions{
      "godwit_tls_policy_reported_sessions_total",
      "Sessions to our hosts that reports which were stored tell of, by how TLS went.",
      {{"result", {"success", "failure"}}}};
  obs::Gauge outcomes_pending{"godwit_tls_policy_outcomes_pending",
                              "Counters that wait to be written."};
};

}  // namespace godwit::tls_policy
