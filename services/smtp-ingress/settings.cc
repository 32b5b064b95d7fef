#include "services/smtp-ingress/settings.h"

#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"

namespace godwit::smtp_ingress {
namespace {

using OnFailure = DecisionPolicy::OnFailure;

OnFailure FromChoice(Policy::OnSender choice) {
  switch (choice) {
    case Policy::ON_SENDER_REJECT: return OnFailure::kReject;
    case Policy::ON_SENDER_JUNK: return OnFailure::kJunk;
    default: return OnFailure::kAccept;
  }
}

DecisionPolicy MakeDecisionPolicy(const Policy& policy) {
  DecisionPolicy out;
  switch (policy.dmarc_reject()) {
    case Policy::ON_REJECT_QUARANTINE: out.on_reject = OnFailure::kJunk; break;
    case Policy::ON_REJECT_ACCEPT: out.on_reject = OnFailure::kAccept; break;
    default: out.on_reject = OnFailure::kReject;
  }
  switch (policy.dmarc_quarantine()) {
    case Policy::ON_QUARANTINE_REJECT: out.on_quarantine = OnFailure::kReject; break;
    case Policy::ON_QUARANTINE_ACCEPT: out.on_quarantine = OnFailure::kAccept; break;
    default: out.on_quarantine = OnFailure::kJunk;
  }
  switch (policy.unusable_author()) {
    case Policy::ON_UNUSABLE_AUTHOR_JUNK: out.on_unusable_author = OnFailure::kJunk; break;
    case Policy::ON_UNUSABLE_AUTHOR_ACCEPT: out.on_unusable_author = OnFailure::kAccept; break;
    default: out.on_unusable_author = OnFailure::kReject;
  }
  switch (policy.dns_listed()) {
    case Policy::ON_LISTED_JUNK: out.on_listed = OnFailure::kJunk; break;
    case Policy::ON_LISTED_ACCEPT: out.on_listed = OnFailure::kAccept; break;
    default: out.on_listed = OnFailure::kReject;
  }
  out.on_spf_fail = FromChoice(policy.spf_fail());
  out.on_spf_error = FromChoice(policy.spf_error());
  out.on_reverse_dns = FromChoice(policy.reverse_dns());
  out.listed_weight = static_cast<int>(policy.dns_listed_weight());
  return out;
}

std::string AuthservId(const Config& config) {
  return config.authserv_id().empty() ? config.hostname() : config.authserv_id();
}

}  // namespace

Settings MakeSettings(const Config& config) {
  Settings settings;
  settings.hostname = config.hostname();
  settings.authserv_id = AuthservId(config);
  settings.smtp = runtime::MakeSmtpOptions(config.limits(), config.hostname());
  settings.smtp.require_tls = config.require_tls();
  // Bounces come to senders that were rewritten: whoever takes long senders has to take these.
  settings.smtp.forward_path = settings.smtp.reverse_path;
  settings.no_mail = config.no_mail();
  settings.dsn = config.has_delivery_queue();
  settings.verify = config.verification() != Config::VERIFICATION_OFF;
  settings.internal_clients.assign(config.internal().clients().begin(),
                                   config.internal().clients().end());
  if (settings.internal_clients.empty()) settings.internal_clients = {"delivery-queue"};
  settings.max_received_fields = config.limits().received_fields();
  settings.data_total = runtime::ToDuration(config.timeouts().data_total());
  settings.decision = MakeDecisionPolicy(config.policy());
  settings.recipient.reject_disabled =
      config.policy().disabled_recipients() == Policy::ON_DISABLED_REJECT;
  settings.recipient.may_send_on = config.has_delivery_queue();
  settings.recipient.unknown_after_data =
      config.policy().unknown_recipients() == Policy::WHEN_UNKNOWN_AFTER_DATA;
  return settings;
}

outgoing::Sender::Options MakeSenderOptions(const Config& config) {
  outgoing::Sender::Options options;
  options.queue.target = config.delivery_queue().target();
  options.queue.daemon = "delivery-queue";
  options.queue.tls = runtime::MakeRpcTls(config.rpc_tls());
  options.queue_deadline = runtime::ToDuration(config.delivery_queue().deadline());
  // It seals.
  options.signer.target = config.auth_verifier().target();
  options.signer.daemon = "auth-verifier";
  options.signer.tls = options.queue.tls;
  options.sign_deadline = runtime::ToDuration(config.auth_verifier().deadline());
  return options;
}

VerifyOptions MakeVerifyOptions(const Config& config) {
  VerifyOptions options;
  options.channel.target = config.auth_verifier().target();
  options.channel.daemon = "auth-verifier";
  options.channel.tls = runtime::MakeRpcTls(config.rpc_tls());
  options.authserv_id = AuthservId(config);
  options.deadline = runtime::ToDuration(config.auth_verifier().deadline());
  options.receiving = runtime::ToDuration(config.timeouts().data_total());
  return options;
}

}  // namespace godwit::smtp_ingress
