#pragma once

// What a server said in its answer to EHLO (RFC 5321 §4.1.1.1), for the client's side. Unknown
// keywords and broken parameters are passed over: they are of no use to us.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libs/smtp/reply.h"

namespace godwit::smtp {

struct ServerFeatures {
  bool esmtp = false;                  // EHLO was answered; else HELO, and nothing below holds
  std::string name = {};               // the first word of the answer: who it says it is
  bool pipelining = false;             // RFC 2920
  bool start_tls = false;              // RFC 3207
  bool enhanced_codes = false;         // RFC 2034
  bool eight_bit_mime = false;         // RFC 6152
  bool smtputf8 = false;               // RFC 6531
  bool dsn = false;                    // RFC 3461
  bool require_tls = false;            // RFC 8689
  bool chunking = false;               // RFC 3030: BDAT
  bool origin = false;                 // XORIGIN, see origin.h
  bool takes_size = false;             // RFC 1870: the parameter SIZE
  uint64_t size = 0;                   // §4: the greatest message; 0: not told, or no bound
  std::vector<std::string> auth = {};  // RFC 4954 §3: mechanisms, upper case

  bool Authenticates(std::string_view mechanism) const;
  friend bool operator==(const ServerFeatures&, const ServerFeatures&) = default;
};

// Of a positive answer to EHLO.
ServerFeatures ReadFeatures(const Reply& reply);

}  // namespace godwit::smtp
