#include "libs/sasl/exchange.h"

#include <optional>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::sasl {
namespace {

constexpr size_t kMaxField = 1024;

bool IsGoodField(std::string_view text) {
  return !text.empty() && text.size() <= kMaxField && text.find('\0') == text.npos &&
         base::IsUtf8(text);
}

// RFC 4616 §2: message = [authzid] NUL authcid NUL passwd.
class Plain : public Exchange {
 public:
  Action OnNoInitialResponse() override { return Challenge{""}; }

  Action OnResponse(std::string_view bytes) override {
    const std::vector<std::string_view> fields = base::Split(bytes, '\0');
    if (fields.size() != 3) return Failure{"PLAIN message has not three fields"};
    const bool good_authorization = fields[0].empty() || IsGoodField(fields[0]);
    if (!good_authorization || !IsGoodField(fields[1]) || !IsGoodField(fields[2])) {
      return Failure{"PLAIN field is empty, too long or not UTF-8"};
    }
    return CheckPassword{std::string(fields[1]), std::string(fields[0]), base::Secret(fields[2])};
  }
};

class Login : public Exchange {
 public:
  Action OnNoInitialResponse() override { return Challenge{"Username:"}; }

  Action OnResponse(std::string_view bytes) override {
    if (!IsGoodField(bytes)) return Failure{"LOGIN field is empty, too long or not UTF-8"};
    if (username_.empty()) {
      username_ = bytes;
      return Challenge{"Password:"};
    }
    return CheckPassword{username_, "", base::Secret(bytes)};
  }

 private:
  std::string username_;
};

class Scram : public Exchange {
 public:
  explicit Scram(ScramOptions options) : server_(std::move(options)) {}

  // RFC 4422 §5.1: a mechanism where the client begins answers nothing with an empty challenge.
  Action OnNoInitialResponse() override { return Challenge{""}; }

  Action OnResponse(std::string_view bytes) override {
    if (proved_) return OnAcknowledgement(bytes);
    return named_ ? OnFinal(bytes) : OnFirst(bytes);
  }

  Action OnVerifiers(ScramVerifiers verifiers) override {
    auto challenge = server_.OnVerifiers(std::move(verifiers));
    if (!challenge.ok()) return Fail(challenge.status());
    return Challenge{*std::move(challenge)};
  }

 private:
  static Action Fail(const absl::Status& status) {
    return Failure{std::string(base::Message(status))};
  }

  Action OnFirst(std::string_view bytes) {
    auto identity = server_.OnClientFirst(bytes);
    if (!identity.ok()) return Fail(identity.status());
    named_ = *std::move(identity);
    return NeedVerifiers{named_->username, server_.hash()};
  }

  Action OnFinal(std::string_view bytes) {
    auto verdict = server_.OnClientFinal(bytes);
    if (!verdict.ok()) return Fail(verdict.status());
    proved_ = verdict->credential;
    // RFC 4422 §3.6: neither IMAP nor SMTP can carry data with success, so it is one more
    // challenge, answered by an empty response.
    return Challenge{std::move(verdict->message)};
  }

  Action OnAcknowledgement(std::string_view bytes) {
    if (!bytes.empty()) return Failure{"data after the SCRAM exchange"};
    return Proved{named_->username, named_->authorization_id, *proved_};
  }

  ScramServer server_;
  std::optional<ScramServer::Identity> named_;
  std::optional<size_t> proved_;
};

std::unique_ptr<Exchange> StartScram(ScramHash hash, bool plus, const Parameters& parameters) {
  if (plus && parameters.binding_type.empty()) return nullptr;
  ScramOptions options;
  options.hash = hash;
  options.server_nonce = parameters.server_nonce;
  options.plus = plus;
  options.plus_offered = parameters.plus_offered;
  options.binding_type = parameters.binding_type;
  options.binding_data = parameters.binding_data;
  return std::make_unique<Scram>(std::move(options));
}

}  // namespace

Action Exchange::OnVerifiers(ScramVerifiers /*verifiers*/) {
  return Failure{"the mechanism uses no verifiers"};
}

std::unique_ptr<Exchange> Exchange::Start(std::string_view mechanism,
                                          const Parameters& parameters) {
  const std::string name = base::Upper(mechanism);
  if (name == "PLAIN") return std::make_unique<Plain>();
  if (name == "LOGIN") return std::make_unique<Login>();
  if (name == "SCRAM-SHA-256") return StartScram(ScramHash::kSha256, false, parameters);
  if (name == "SCRAM-SHA-256-PLUS") return StartScram(ScramHash::kSha256, true, parameters);
  if (name == "SCRAM-SHA-1") return StartScram(ScramHash::kSha1, false, parameters);
  if (name == "SCRAM-SHA-1-PLUS") return StartScram(ScramHash::kSha1, true, parameters);
  return nullptr;
}

}  // namespace godwit::sasl
