#pragma once

// Every metric of auth-verifier.

#include "libs/obs/metrics.h"

namespace godwit::auth_verifier {

struct Metrics {
  obs::Gauge messages_in_progress{"godwit_auth_verifier_messages_in_progress",
                                  "Messages that are being verified, signed or sealed now."};
  obs::CounterFamily messages{"godwit_auth_verifier_messages_total",
                              "Messages by how their verification ended.",
                              {{"outcome", {"verdict", "unavailable", "overload", "cancelled"}}}};
  obs::Histogram seconds{"godwit_auth_verifier_after_data_seconds",
                         "From the last byte of a message to its verdict.", obs::kSeconds};
  obs::CounterFamily spf{
      "godwit_auth_verifier_spf_total",
      "SPF results of MAIL FROM.",
      {{"result", {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}}}};
  obs::CounterFamily dkim{
      "godwit_auth_verifier_dkim_total",
      "DKIM results, one a signature.",
      {{"result", {"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}}}};
  obs::CounterFamily dmarc{"godwit_auth_verifier_dmarc_total",
                           "DMARC results.",
                           {{"result", {"none", "pass", "fail", "temperror", "permerror"}}}};
  obs::CounterFamily arc{"godwit_auth_verifier_arc_total",
                         "Results of ARC chains.",
                         {{"result", {"none", "pass", "fail"}}}};
  obs::GaugeFamily lists{"godwit_auth_verifier_dns_lists",
                         "DNS lists of the configuration, by whether they are asked.",
                         {{"state", {"in_order", "out_of_order"}}}};
  obs::CounterFamily list_results{
      "godwit_auth_verifier_dns_list_results_total",
      "What DNS lists said of clients, senders and authors.",
      {{"kind", {"block", "allow"}}, {"result", {"listed", "not-listed", "error", "no-answer"}}}};
  obs::Gauge own_addresses_listed{"godwit_auth_verifier_own_addresses_listed",
                                  "Pairs of an address of ours and a DNS list that lists it."};
  obs::CounterFamily overrides{"godwit_auth_verifier_dmarc_overrides_total",
                               "DMARC results that are not to be acted on, by why.",
                               {{"type", {"trusted_forwarder"}}}};
  obs::CounterFamily signings{
      "godwit_auth_verifier_signings_total",
      "Messages to be signed by how it ended.",
      {{"outcome",
        {"signed", "invalid", "refused", "no_key", "unavailable", "overload", "cancelled"}}}};
  obs::CounterFamily sealings{"godwit_auth_verifier_sealings_total",
                              "Messages to be sealed (ARC) by how it ended.",
                              {{"outcome",
                                {"sealed", "not_sealed", "invalid", "refused", "no_key",
                                 "unavailable", "overload", "cancelled"}}}};
  obs::CounterFamily signatures{"godwit_auth_verifier_signatures_total",
                                "DKIM signatures made.",
                                {{"algorithm", {"rsa-sha256", "ed25519-sha256"}}}};
  obs::Histogram sign_seconds{"godwit_auth_verifier_sign_seconds",
                              "From the last byte of a message to its signatures.", obs::kSeconds};
  obs::CounterFamily evaluations{
      "godwit_auth_verifier_evaluations_total",
      "Messages that reports are to tell of, by whether they are counted "
      "in a row of one or found no room.",
      {{"outcome", {"counted", "dropped", "failed"}}}};
  obs::CounterFamily reports{
      "godwit_auth_verifier_reports_total",
      "DMARC aggregate reports by what became of them at one address. Refused: by the receiver's "
      "DNS "
      "or the queue; later: it is tried again.",
      {{"outcome", {"sent", "suppressed", "refused", "too_large", "later"}}}};
  obs::CounterFamily received{
      "godwit_auth_verifier_reports_received_total",
      "Mail to report addresses by whether a DMARC or TLS report in it was kept.",
      {{"outcome", {"stored", "refused"}}}};
  obs::Gauge signing_domains{"godwit_auth_verifier_signing_domains",
                             "Domains whose keys are kept in memory."};
};

}  // namespace godwit::auth_verifier
