#include "services/submission/handler.h"

#include <utility>

#include "libs/base/check.h"
#include "libs/login/failed_logins.h"
#include "libs/net/reactor.h"
#include "libs/obs/log.h"
#include "services/submission/transaction.h"

namespace godwit::submission {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

}  // namespace

smtp::ServerOptions OptionsNow(const Settings& settings, absl::Time now) {
  smtp::ServerOptions options = settings.smtp;
  // RFC 4865 §3: the longest interval in seconds, and the latest moment.
  options.future_release =
      std::to_string(absl::ToInt64Seconds(settings.future_release)) + " " +
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now + settings.future_release, absl::UTCTimeZone());
  return options;
}

base::Task<smtp::AuthAnswer> SubmissionHandler::Authenticate(smtpd::ClientFacts client,
                                                             smtp::CheckAuth check) {
  conversation_ = services_->authenticator->Start(check.mechanism);
  GODWIT_CHECK(conversation_ != nullptr);  // one that we offer
  base::Task<login::Step> begun = conversation_->Begin(std::move(check.initial_response));
  limit::LoginAttempt attempt = conversation_->AttemptFrom(client.address);
  auto step =
      co_await login::RunCounted(services_->failed_logins, std::move(attempt), std::move(begun));
  smtp::AuthAnswer answer = co_await Answer(std::move(client), std::move(step));
  co_return answer;
}

base::Task<smtp::AuthAnswer> SubmissionHandler::Continue(smtpd::ClientFacts client,
                                                         smtp::AuthResponse response) {
  base::Task<login::Step> next = conversation_->Answer(std::move(response.bytes));
  limit::LoginAttempt attempt = conversation_->AttemptFrom(client.address);
  auto step =
      co_await login::RunCounted(services_->failed_logins, std::move(attempt), std::move(next));
  smtp::AuthAnswer answer = co_await Answer(std::move(client), std::move(step));
  co_return answer;
}

base::Task<smtp::AuthAnswer> SubmissionHandler::Answer(smtpd::ClientFacts client,
                                                       std::optional<login::Step> step) {
  if (!step) {
    services_->metrics->logins.At({"limited"}).Add();
    co_return MakeReply(ReplyKind::kTooManyErrors, "Too many failed logins, try again later");
  }
  if (auto* challenge = std::get_if<sasl::Challenge>(&*step)) {
    co_return smtp::AuthChallenge{std::move(challenge->data)};
  }
  if (auto* accepted = std::get_if<login::Accepted>(&*step)) {
    co_return LetIn(client, std::move(*accepted));
  }
  if (auto* refused = std::get_if<login::Refused>(&*step)) {
    smtp::Reply reply = co_await Refuse(std::move(client), std::move(*refused));
    co_return reply;
  }
  services_->metrics->logins.At({"unavailable"}).Add();
  obs::Log(obs::Level::kWarning, "login not possible",
           {{"session", client.session}, {"status", std::get<absl::Status>(*step)}});
  co_return MakeReply(ReplyKind::kAuthNotPossible);
}

// Every failure looks the same and comes after the same pause; only who showed the right password
// learns that the account is disabled.
base::Task<smtp::Reply> SubmissionHandler::Refuse(smtpd::ClientFacts client,
                                                  login::Refused refused) {
  services_->metrics->logins.At({"failure"}).Add();
  obs::Log(obs::Level::kInfo, "login failed",
           {{"session", client.session},
            {"client", client.address.ToString()},
            {"reason", refused.reason}});
  const bool running = co_await net::Reactor::Current()->Sleep(services_->settings.failure_delay);
  if (!running || ++failures_ >= services_->settings.failures) {
    co_return MakeReply(ReplyKind::kTooManyErrors, "Too many failed logins");
  }
  co_return MakeReply(refused.disabled ? ReplyKind::kAccountDisabled : ReplyKind::kAuthFailed);
}

smtp::Reply SubmissionHandler::LetIn(const smtpd::ClientFacts& client, login::Accepted accepted) {
  services_->metrics->logins.At({"success"}).Add();
  obs::Log(obs::Level::kInfo, "login",
           {{"session", client.session},
            {"account", store::ToInt(accepted.login.account)},
            {"client", client.address.ToString()},
            {"mechanism", accepted.mechanism},
            {"tls", client.tls}});
  user_ = std::move(accepted);
  conversation_.reset();
  return MakeReply(ReplyKind::kAuthenticated);
}

std::unique_ptr<smtpd::Transaction> SubmissionHandler::NewTransaction(smtpd::ClientFacts client,
                                                                      smtp::CheckMailFrom mail,
                                                                      std::string id) {
  return std::make_unique<Transaction>(services_, std::move(client), user_, std::move(mail),
                                       std::move(id));
}

}  // namespace godwit::submission
