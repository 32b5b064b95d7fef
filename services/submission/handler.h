#pragma once

// SubmissionHandler: what submission does with one connection: lets users in, and makes
// Transactions for those who are.
//
// Failed logins are answered after a pause and counted, for the connection and for the network it
// comes from (limit::FailedLogins).

#include <memory>
#include <optional>
#include <string>

#include "libs/login/login.h"
#include "libs/smtpd/transaction.h"
#include "services/submission/services.h"

namespace godwit::submission {

class SubmissionHandler : public smtpd::Handler {
 public:
  explicit SubmissionHandler(Services* services) : services_(services) {}

  base::Task<smtp::AuthAnswer> Authenticate(smtpd::ClientFacts client,
                                            smtp::CheckAuth check) override;
  base::Task<smtp::AuthAnswer> Continue(smtpd::ClientFacts client,
                                        smtp::AuthResponse response) override;
  std::unique_ptr<smtpd::Transaction> NewTransaction(smtpd::ClientFacts client,
                                                     smtp::CheckMailFrom mail,
                                                     std::string id) override;

 private:
  // Without a step: the client's network has failed too often.
  base::Task<smtp::AuthAnswer> Answer(smtpd::ClientFacts client, std::optional<login::Step> step);
  base::Task<smtp::Reply> Refuse(smtpd::ClientFacts client, login::Refused refused);
  smtp::Reply LetIn(const smtpd::ClientFacts& client, login::Accepted accepted);

  Services* const services_;
  std::unique_ptr<login::Conversation> conversation_;
  login::Accepted user_;
  int failures_ = 0;
};

// What EHLO offers now.
smtp::ServerOptions OptionsNow(const Settings& settings, absl::Time now);

}  // namespace godwit::submission
