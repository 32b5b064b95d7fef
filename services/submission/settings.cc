#include "services/submission/settings.h"

#include <algorithm>

#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"

namespace godwit::submission {
namespace {

smtp::ServerOptions MakeServerOptions(const Config& config) {
  smtp::ServerOptions options = runtime::MakeSmtpOptions(config.limits(), config.hostname());
  options.require_auth = true;
  // RFC 8314 §3: nothing of a user goes in the clear.
  options.require_tls = !config.login().allow_plaintext();
  options.auth_without_tls = config.login().allow_plaintext();
  // Strongest first: clients take the first that they know.
  options.auth_mechanisms = {"SCRAM-SHA-256", "PLAIN", "LOGIN"};
  options.extensions.Add(smtp::Extension::kAuth);
  options.extensions.Add(smtp::Extension::kDsn);
  options.extensions.Add(smtp::Extension::kRequireTls);
  if (runtime::ToDuration(config.policy().future_release()) > absl::ZeroDuration()) {
    options.extensions.Add(smtp::Extension::kFutureRelease);
  }
  return options;
}

}  // namespace

Settings MakeSettings(const Config& config) {
  const Policy& policy = config.policy();
  Settings settings;
  settings.hostname = config.hostname();
  settings.smtp = MakeServerOptions(config);
  settings.max_received_fields = config.limits().received_fields();
  settings.failure_delay = runtime::ToDuration(config.login().failure_delay());
  settings.failures = static_cast<int>(config.login().failures());
  settings.null_reverse_path = policy.null_reverse_path() != Policy::NULL_REVERSE_PATH_REJECT;
  settings.senders.alias_members = policy.alias_senders() == config::v1::ALIAS_SENDERS_MEMBERS;
  settings.senders.catch_all = policy.catch_all_senders() != config::v1::CATCH_ALL_SENDERS_NOBODY;
  settings.hide_client = policy.client_trace() != Policy::CLIENT_TRACE_VISIBLE;
  settings.address_literals = policy.address_literals() == Policy::ADDRESS_LITERALS_ACCEPT;
  settings.future_release = runtime::ToDuration(policy.future_release());
  return settings;
}

outgoing::Sender::Options MakeSenderOptions(const Config& config) {
  outgoing::Sender::Options options;
  options.signer.target = config.auth_verifier().target();
  options.signer.daemon = "auth-verifier";
  options.signer.tls = runtime::MakeRpcTls(config.rpc_tls());
  options.sign_deadline = runtime::ToDuration(config.auth_verifier().deadline());
  options.queue.target = config.delivery_queue().target();
  options.queue.daemon = "delivery-queue";
  options.queue.tls = options.signer.tls;
  options.queue_deadline = runtime::ToDuration(config.delivery_queue().deadline());
  return options;
}

int64_t MemoryOfAccount(const Config& config) {
  // A buffer that grows may be twice as large as what is in it.
  const uint64_t one_message = 2 * config.limits().message_size();
  return static_cast<int64_t>(std::max(config.limits().memory() / 4, one_message));
}

outgoing::DailyLimits::Options MakeDailyLimits(const Config& config) {
  return {.messages = config.daily().messages(), .recipients = config.daily().recipients()};
}

}  // namespace godwit::submission
