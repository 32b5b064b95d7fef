#pragma once

// Is this the server that the TLSA records speak of? (RFC 7671, RFC 7672 §3.) Pure: the records,
// the chain that the server showed, the names it may have and the time in, a verdict out.
//
//   const dane::Verdict verdict = dane::Verify({.records = records, .names = {"mx.example.org"}},
//                                              chain_der, clock->Now());
//
// The records must come from a DNSSEC-authentic answer; that is for the caller to know. That the
// server holds the key of its first certificate is shown by the TLS handshake.

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/dns_answer.h"

namespace godwit::dane {

struct Reference {
  std::vector<base::DnsTlsa> records;
  // For usage 2 the certificate must be for one of them (RFC 7672 §3.2.2); usage 3 asks for none.
  std::vector<std::string> names;
};

enum class VerdictCode {
  kMatched,
  kNoMatch,         // no record fits the chain
  kExpired,         // a trust anchor fits; a certificate of the chain is not valid now
  kHostMismatch,    // a trust anchor fits; the certificate is for other names
  kUntrusted,       // a trust anchor fits; the chain does not verify up to it
  kNoUsableRecord,  // none of the records can be used (RFC 7672 §3.1)
  kBadCertificate,  // none was shown, or the first does not parse
};
std::string_view VerdictName(VerdictCode code);

struct Verdict {
  VerdictCode code = VerdictCode::kNoMatch;
  std::string record;  // that matched: "3 1 1 01ab..."
  std::string reason;  // for logs; "" for kMatched
};

// `chain` holds DER certificates in the order shown, the server's own first. Bounded: at most ten
// certificates and twenty records are looked at.
Verdict Verify(const Reference& reference, const std::vector<std::string>& chain, absl::Time now);

}  // namespace godwit::dane
