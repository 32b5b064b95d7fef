#pragma once

// Exchange: one SASL authentication on the server's side, whatever the mechanism, as a machine
// from the client's bytes to actions (RFC 4422). IMAP and submission drive it the same way; base
// 64 and "*" (cancel) are the protocol's business.
//
//   auto exchange = Exchange::Start("PLAIN", parameters);   // nullptr: no such mechanism
//   Action action = has_initial ? exchange->OnResponse(bytes) : exchange->OnNoInitialResponse();
//   Challenge      send it, give the answer to OnResponse()
//   NeedVerifiers  look the user up, give what is stored to OnVerifiers()
//   CheckPassword  the client showed its password: the end; the caller compares (FindPassword)
//   Proved         the client proved a credential: the end
//   Failure        the end; the text is for logs, the client learns only that it failed
//
// PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login-00, for old clients), SCRAM-SHA-1 and
// SCRAM-SHA-256 with and without -PLUS. Which of them may be used on a connection (PLAIN only with
// TLS) is the caller's decision.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libs/base/secret.h"
#include "libs/sasl/scram_server.h"

namespace godwit::sasl {

struct Challenge {
  std::string data;
};
struct NeedVerifiers {
  std::string username;
  ScramHash hash = ScramHash::kSha256;
};
struct CheckPassword {
  std::string username;
  std::string authorization_id;  // "" when it is the user's own
  base::Secret password;
};
struct Proved {
  std::string username;
  std::string authorization_id;
  size_t credential = 0;  // index into the keys given to OnVerifiers()
};
struct Failure {
  std::string reason;
};
using Action = std::variant<Challenge, NeedVerifiers, CheckPassword, Proved, Failure>;

struct Parameters {
  std::string server_nonce;  // for SCRAM, see ScramOptions
  bool plus_offered = false;
  std::string binding_type;  // "" when the connection has none: no -PLUS
  std::string binding_data;
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  // `mechanism` in any case.
  static std::unique_ptr<Exchange> Start(std::string_view mechanism, const Parameters& parameters);

  // The command came without an initial response: what to ask first.
  virtual Action OnNoInitialResponse() = 0;
  virtual Action OnResponse(std::string_view bytes) = 0;
  // Only after NeedVerifiers.
  virtual Action OnVerifiers(ScramVerifiers verifiers);
};

}  // namespace godwit::sasl
