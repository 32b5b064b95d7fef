#pragma once

// Every metric of acme.

#include "libs/obs/metrics.h"

namespace godwit::acme {

struct Metrics {
  obs::GaugeFamily certificates{"godwit_acme_certificates",
                                "Certificates that are kept alive.",
                                {{"kind", {"public", "rpc"}}}};
  obs::GaugeFamily expiry{"godwit_acme_expiry_seconds",
                          "Until the end of the certificate that ends first.",
                          {{"kind", {"public", "rpc", "authority"}}}};
  obs::CounterFamily issued{"godwit_acme_issued_total",
                            "Attempts to make or renew a certificate.",
                            {{"kind", {"public", "rpc"}}, {"result", {"ok", "failed"}}}};
  obs::CounterFamily failures{"godwit_acme_failures_total",
                              "Looks at the table that failed, and own files not written.",
                              {{"at", {"database", "folder"}}}};
  obs::Gauge watchers{"godwit_acme_watchers", "Daemons that watch now."};
  obs::Counter pushes{"godwit_acme_pushes_total", "Sets of certificates that were pushed."};
};

}  // namespace godwit::acme
