#pragma once

// Every metric of webmail-api.

#include "libs/obs/metrics.h"

namespace godwit::webmail_api {

struct Metrics {
  obs::CounterFamily requests{
      "godwit_webmail_api_requests_total",
      "HTTP requests by what was asked for and by the first digit of the answer.",
      {{"resource",
        {"api", "session", "upload", "download", "events", "login", "page", "redirect"}},
       {"status", {"1", "2", "3", "4", "5"}}}};
  obs::CounterFamily calls{"godwit_webmail_api_calls_total",
                           "JMAP method calls by how they ended.",
                           {{"outcome", {"done", "refused", "failed"}}}};
  obs::Histogram call_seconds{"godwit_webmail_api_call_seconds", "A JMAP method call.",
                              obs::kSeconds};
  obs::CounterFamily logins{"godwit_webmail_api_logins_total",
                            "Passwords by how their check ended.",
                            {{"outcome", {"success", "failure", "limited", "unavailable"}}}};
  obs::CounterFamily exchanges{"godwit_webmail_api_limit_exchanges_total",
                               "Each second: what other replicas count was told and heard.",
                               {{"result", {"ok", "failed"}}}};
  obs::CounterFamily submissions{"godwit_webmail_api_submissions_total",
                                 "Messages that were to be sent.",
                                 {{"outcome", {"queued", "refused", "limited", "failed"}}}};
  obs::Gauge connections{"godwit_webmail_api_connections", "Open connections."};
  obs::Counter refused_connections{"godwit_webmail_api_refused_connections_total",
                                   "Connections of an address that had too many."};
  obs::Gauge event_streams{"godwit_webmail_api_event_streams", "Open event streams."};
  obs::Gauge accounts{"godwit_webmail_api_watched_accounts", "Accounts that are watched."};
  obs::Counter hints{"godwit_webmail_api_hints_total", "Changes of accounts we were told of."};
  obs::Counter healed{"godwit_webmail_api_healed_total", "Changes that only the slow poll found."};
};

}  // namespace godwit::webmail_api
