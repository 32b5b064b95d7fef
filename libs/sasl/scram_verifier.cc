#include "libs/sasl/scram_verifier.h"

#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/base/status.h"
#include "libs/sasl/opaque_string.h"

namespace godwit::sasl {
namespace {

const EVP_MD* Md(ScramHash hash) { return hash == ScramHash::kSha1 ? EVP_sha1() : EVP_sha256(); }

uint8_t* Bytes(std::string* text) { return reinterpret_cast<uint8_t*>(text->data()); }
const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

}  // namespace

namespace scram_internal {

std::string Hmac(ScramHash hash, std::string_view key, std::string_view text) {
  std::string out(EVP_MD_size(Md(hash)), '\0');
  unsigned size = 0;
  GODWIT_CHECK(HMAC(Md(hash), key.data(), key.size(), Bytes(text), text.size(), Bytes(&out),
                    &size) != nullptr);
  return out;
}

std::string Digest(ScramHash hash, std::string_view bytes) {
  std::string out(EVP_MD_size(Md(hash)), '\0');
  unsigned size = 0;
  GODWIT_CHECK(EVP_Digest(bytes.data(), bytes.size(), Bytes(&out), &size, Md(hash), nullptr) == 1);
  return out;
}

std::string Xor(std::string_view a, std::string_view b) {
  std::string out(a);
  for (size_t i = 0; i < out.size() && i < b.size(); ++i) out[i] = static_cast<char>(out[i] ^ b[i]);
  return out;
}

}  // namespace scram_internal

std::string_view MechanismName(ScramHash hash) {
  return hash == ScramHash::kSha1 ? "SCRAM-SHA-1" : "SCRAM-SHA-256";
}

absl::StatusOr<ScramKeys> MakeScramKeys(ScramHash hash, std::string_view password,
                                        std::string_view salt, uint32_t iterations) {
  if (salt.empty()) return base::InvalidArgument("SCRAM salt is empty");
  if (iterations < 1 || iterations > kMaxIterations) {
    return base::InvalidArgument("SCRAM iteration count is out of range");
  }
  GODWIT_ASSIGN_OR_RETURN(const base::Secret prepared, PreparePassword(password));
  // RFC 5802 §3: SaltedPassword := Hi(Normalize(password), salt, i), and Hi is PBKDF2.
  std::string salted(EVP_MD_size(Md(hash)), '\0');
  const std::string_view bytes = prepared.Reveal();
  if (PKCS5_PBKDF2_HMAC(bytes.data(), bytes.size(), Bytes(salt), salt.size(), iterations, Md(hash),
                        salted.size(), Bytes(&salted)) != 1) {
    return base::Internal("PBKDF2 failed");
  }
  ScramKeys keys;
  const std::string client_key = scram_internal::Hmac(hash, salted, "Client Key");
  keys.stored_key = scram_internal::Digest(hash, client_key);
  keys.server_key = scram_internal::Hmac(hash, salted, "Server Key");
  for (char& c : salted) c = 0;
  return keys;
}

std::optional<size_t> FindPassword(const ScramVerifiers& verifiers, std::string_view password) {
  const auto keys = MakeScramKeys(verifiers.hash, password, verifiers.salt, verifiers.iterations);
  if (!keys.ok()) return std::nullopt;
  std::optional<size_t> found;
  for (size_t i = 0; i < verifiers.keys.size(); ++i) {
    const bool same = base::ConstantTimeEquals(verifiers.keys[i].stored_key, keys->stored_key);
    if (same) found = i;
  }
  return found;
}

ScramVerifiers FakeVerifiers(ScramHash hash, const base::Secret& server_secret,
                             std::string_view username, uint32_t iterations) {
  std::string text("scram salt of nobody\n");
  text += MechanismName(hash);
  text += '\n';
  text += base::Lower(username);
  ScramVerifiers fake;
  fake.hash = hash;
  fake.salt =
      scram_internal::Hmac(ScramHash::kSha256, server_secret.Reveal(), text).substr(0, kSaltBytes);
  fake.iterations = iterations;
  return fake;
}

}  // namespace godwit::sasl
