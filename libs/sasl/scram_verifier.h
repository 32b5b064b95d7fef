#pragma once

// What a server stores of a password for SCRAM (RFC 5802 §3): nothing that lets anybody log in.
//
// All credentials of one account (passwords of several devices, say) share one salt and one
// iteration count per hash, because the server names these before it knows which one the client
// will prove. A proof, and a plain password, is tried against each.
//
// Pure functions; any thread. Deriving costs two SHA compressions an iteration (about a
// millisecond for 4096 of SHA-256).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/secret.h"

namespace godwit::sasl {

enum class ScramHash { kSha1, kSha256 };

// "SCRAM-SHA-256", without -PLUS.
std::string_view MechanismName(ScramHash hash);

// RFC 7677 §4: at least 4096.
inline constexpr uint32_t kMinIterations = 4096;
// An upper bound for what we derive, so that a damaged row can not stop a thread.
inline constexpr uint32_t kMaxIterations = 1'000'000;
inline constexpr size_t kSaltBytes = 16;

// One credential's keys, raw bytes of the hash's size.
struct ScramKeys {
  std::string stored_key;
  std::string server_key;
  friend bool operator==(const ScramKeys&, const ScramKeys&) = default;
};

// All that an account has for one hash. `keys` may be empty: then every proof is wrong.
struct ScramVerifiers {
  ScramHash hash = ScramHash::kSha256;
  std::string salt;
  uint32_t iterations = kMinIterations;
  std::vector<ScramKeys> keys;
};

// Keys of `password` under salt and iterations. InvalidArgument where PreparePassword() refuses
// the password, the salt is empty, or the iterations are out of [1, kMaxIterations].
absl::StatusOr<ScramKeys> MakeScramKeys(ScramHash hash, std::string_view password,
                                        std::string_view salt, uint32_t iterations);

// Which of `verifiers.keys` belongs to `password`; nullopt for none. Takes the same time whether
// and which one it is. For PLAIN and LOGIN.
std::optional<size_t> FindPassword(const ScramVerifiers& verifiers, std::string_view password);

// For a user that is not there: a salt that is always the same for the same name, and no keys, so
// that an attacker can not tell (RFC 5802 §9). `server_secret` is the installation's.
ScramVerifiers FakeVerifiers(ScramHash hash, const base::Secret& server_secret,
                             std::string_view username, uint32_t iterations = kMinIterations);

namespace scram_internal {
// HMAC and H of RFC 5802 §2.2, with the mechanism's hash.
std::string Hmac(ScramHash hash, std::string_view key, std::string_view text);
std::string Digest(ScramHash hash, std::string_view bytes);
std::string Xor(std::string_view a, std::string_view b);
}  // namespace scram_internal

}  // namespace godwit::sasl
