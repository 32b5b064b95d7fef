#include "libs/sasl/scram_server.h"

#include <optional>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/secret.h"
#include "libs/base/status.h"

namespace godwit::sasl {
namespace {

constexpr size_t kMaxMessage = 4096;

// Cuts off everything up to the next comma, and the comma.
std::string_view TakeField(std::string_view* message) {
  const size_t comma = message->find(',');
  const std::string_view field = message->substr(0, comma);
  message->remove_prefix(comma == std::string_view::npos ? message->size() : comma + 1);
  return field;
}

// The value of "k=value"; nullopt when the field is another attribute.
std::optional<std::string_view> ValueOf(std::string_view field, char attribute) {
  if (field.size() < 2 || field[0] != attribute || field[1] != '=') return std::nullopt;
  return field.substr(2);
}

// RFC 5802 §5.1: "," is "=2C" and "=" is "=3D" in a saslname; any other "=" is an error.
std::optional<std::string> DecodeSaslName(std::string_view text) {
  std::string name;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\0') return std::nullopt;
    if (text[i] != '=') {
      name += text[i];
      continue;
    }
    const std::string_view code = text.substr(i, 3);
    if (code != "=2C" && code != "=3D") return std::nullopt;
    name += code == "=2C" ? ',' : '=';
    i += 2;
  }
  if (name.empty() || !base::IsUtf8(name)) return std::nullopt;
  return name;
}

// RFC 5802 §7: printable, without comma.
bool IsNonce(std::string_view text) {
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e || c == ',') return false;
  }
  return !text.empty();
}

}  // namespace

ScramServer::ScramServer(ScramOptions options) : options_(std::move(options)) {}

absl::Status ScramServer::ReadGs2Header(std::string_view* message, Identity* identity) {
  const std::string_view whole = *message;
  const std::string_view flag = TakeField(message);
  if (options_.plus) {
    if (ValueOf(flag, 'p') != options_.binding_type) {
      return base::InvalidArgument("channel binding of another type than offered");
    }
  } else if (flag == "y") {
    // RFC 5802 §6: the client can bind and believes that we can not.
    if (options_.plus_offered) return base::InvalidArgument("channel binding was downgraded");
  } else if (flag != "n") {
    return base::InvalidArgument("bad gs2 header");
  }
  const std::string_view authorization = TakeField(message);
  if (!authorization.empty()) {
    const auto value = ValueOf(authorization, 'a');
    const auto name = value ? DecodeSaslName(*value) : std::nullopt;
    if (!name) return base::InvalidArgument("bad authorization identity");
    identity->authorization_id = *name;
  }
  gs2_header_ = whole.substr(0, whole.size() - message->size());
  // A header without its second comma leaves nothing behind it.
  if (gs2_header_.back() != ',') return base::InvalidArgument("bad gs2 header");
  return absl::OkStatus();
}

absl::StatusOr<ScramServer::Identity> ScramServer::OnClientFirst(std::string_view message) {
  if (std::exchange(state_, State::kDone) != State::kStart) {
    return base::InvalidArgument("client-first-message out of turn");
  }
  if (message.empty() || message.size() > kMaxMessage) {
    return base::InvalidArgument("client-first-message is empty or too long");
  }
  Identity identity;
  GODWIT_RETURN_IF_ERROR(ReadGs2Header(&message, &identity));
  client_first_bare_ = message;
  // RFC 5802 §5.1: "m=" in front is an extension that we must understand, and we know none.
  const auto username = ValueOf(TakeField(&message), 'n');
  const auto name = username ? DecodeSaslName(*username) : std::nullopt;
  if (!name) return base::InvalidArgument("bad username or unknown mandatory extension");
  const auto client_nonce = ValueOf(TakeField(&message), 'r');
  if (!client_nonce || !IsNonce(*client_nonce)) return base::InvalidArgument("bad client nonce");
  identity.username = *name;
  nonce_ = *client_nonce;
  nonce_ += options_.server_nonce;
  state_ = State::kNamed;
  return identity;
}

absl::StatusOr<std::string> ScramServer::OnVerifiers(ScramVerifiers verifiers) {
  if (std::exchange(state_, State::kDone) != State::kNamed || verifiers.hash != options_.hash) {
    return base::InvalidArgument("verifiers out of turn or of another hash");
  }
  verifiers_ = std::move(verifiers);
  server_first_ = "r=" + nonce_ + ",s=" + base::Base64Encode(verifiers_.salt) +
                  ",i=" + std::to_string(verifiers_.iterations);
  state_ = State::kChallenged;
  return server_first_;
}

absl::Status ScramServer::CheckBinding(std::string_view field) const {
  // RFC 5802 §6: "c=" repeats the gs2 header, followed by the binding's bytes for "p".
  std::string expected = gs2_header_;
  if (options_.plus) expected += options_.binding_data;
  if (ValueOf(field, 'c') != base::Base64Encode(expected)) {
    return base::InvalidArgument("channel binding does not match");
  }
  return absl::OkStatus();
}

absl::StatusOr<ScramServer::Verdict> ScramServer::OnClientFinal(std::string_view message) {
  if (std::exchange(state_, State::kDone) != State::kChallenged || message.size() > kMaxMessage) {
    return base::InvalidArgument("client-final-message out of turn or too long");
  }
  const size_t proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return base::InvalidArgument("no proof");
  const auto proof = base::Base64Decode(message.substr(proof_at + 3));
  std::string_view without_proof = message.substr(0, proof_at);
  if (!proof.ok()) return base::InvalidArgument("proof is not base 64");

  std::string auth_message = client_first_bare_ + "," + server_first_ + ",";
  auth_message += without_proof;
  GODWIT_RETURN_IF_ERROR(CheckBinding(TakeField(&without_proof)));
  if (ValueOf(TakeField(&without_proof), 'r') != nonce_) {
    return base::InvalidArgument("nonce is not the one of this exchange");
  }
  std::optional<size_t> found;
  for (size_t i = 0; i < verifiers_.keys.size(); ++i) {
    // RFC 5802 §3: ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage); H(ClientKey) is known.
    const ScramKeys& keys = verifiers_.keys[i];
    const std::string signature = scram_internal::Hmac(hash(), keys.stored_key, auth_message);
    const std::string client_key = scram_internal::Xor(*proof, signature);
    const std::string stored = scram_internal::Digest(hash(), client_key);
    if (base::ConstantTimeEquals(stored, keys.stored_key)) found = i;
  }
  if (!found) return base::Unauthenticated("wrong proof");
  const std::string& server_key = verifiers_.keys[*found].server_key;
  const std::string signature = scram_internal::Hmac(hash(), server_key, auth_message);
  return Verdict{*found, "v=" + base::Base64Encode(signature)};
}

}  // namespace godwit::sasl
