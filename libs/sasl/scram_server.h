#pragma once

// The server side of SCRAM (RFC 5802, RFC 7677) as a machine from messages to messages, without
// base 64 (that is the protocol's, not the mechanism's), random numbers or storage.
//
//   ScramServer scram({ScramHash::kSha256, server_nonce});
//   auto first = scram.OnClientFirst(bytes);          // who is it?
//   auto challenge = scram.OnVerifiers(verifiers);    // r=...,s=...,i=...
//   auto verdict = scram.OnClientFinal(bytes);        // which credential; v=...
//
// States: start -> named -> challenged -> done; a step out of turn fails. Errors are
// InvalidArgument for a message that is no SCRAM (or tries to downgrade) and Unauthenticated for a
// wrong proof. Nothing distinguishes an unknown user from a wrong password when the caller passes
// FakeVerifiers() for it.

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "libs/sasl/scram_verifier.h"

namespace godwit::sasl {

struct ScramOptions {
  ScramHash hash = ScramHash::kSha256;
  // Printable ASCII without comma, unpredictable, at least 18 bytes of randomness in base 64.
  std::string server_nonce;
  // The client chose the -PLUS mechanism.
  bool plus = false;
  // We offered a -PLUS mechanism on this connection: a client that says "y" was lied to by
  // somebody in the middle (RFC 5802 §6).
  bool plus_offered = false;
  // For -PLUS: the binding's type ("tls-exporter", RFC 9266) and its bytes.
  std::string binding_type;
  std::string binding_data;
};

class ScramServer {
 public:
  explicit ScramServer(ScramOptions options);

  struct Identity {
    std::string username;          // decoded, as the client gave it
    std::string authorization_id;  // "" when it asks for none
  };
  absl::StatusOr<Identity> OnClientFirst(std::string_view message);

  // The server-first-message. `verifiers.hash` must be ours.
  absl::StatusOr<std::string> OnVerifiers(ScramVerifiers verifiers);

  struct Verdict {
    size_t credential = 0;  // index into the verifiers' keys
    std::string message;    // the server-final-message
  };
  absl::StatusOr<Verdict> OnClientFinal(std::string_view message);

  ScramHash hash() const { return options_.hash; }

 private:
  enum class State { kStart, kNamed, kChallenged, kDone };

  absl::Status ReadGs2Header(std::string_view* message, Identity* identity);
  absl::Status CheckBinding(std::string_view field) const;

  ScramOptions options_;
  State state_ = State::kStart;
  std::string gs2_header_;
  std::string client_first_bare_;
  std::string nonce_;  // the client's and ours
  std::string server_first_;
  ScramVerifiers verifiers_;
};

}  // namespace godwit::sasl
