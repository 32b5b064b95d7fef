// AUTH (RFC 4954): the command, the lines of its exchange, and the driver's answers.

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/base/encoding.h"
#include "libs/smtp/server.h"

namespace godwit::smtp {

const std::string* ServerSession::FindMechanism(std::string_view name) const {
  for (const std::string& mechanism : options_.auth_mechanisms) {
    if (base::EqualsIgnoreCase(mechanism, name)) return &mechanism;
  }
  return nullptr;
}

std::optional<Reply> ServerSession::CheckAuthPossible() const {
  if (!options_.extensions.Has(Extension::kAuth)) {
    return MakeReply(ReplyKind::kBadSequence, "Authentication is not offered here");
  }
  // RFC 4954 §6: 538, the mechanism needs an encrypted connection; all of ours do.
  if (!Offers(Extension::kAuth)) return MakeReply(ReplyKind::kEncryptionRequired);
  if (state_ == State::kConnected || !esmtp_) return MakeReply(ReplyKind::kNeedGreeting);
  // RFC 4954 §4: neither after an AUTH that succeeded nor during a mail transaction.
  if (authenticated_) return MakeReply(ReplyKind::kBadSequence, "Authenticated already");
  if (in_transaction()) {
    return MakeReply(ReplyKind::kBadSequence, "Not during a mail transaction");
  }
  return std::nullopt;
}

ServerSession::Step ServerSession::HandleAuth(const Command& command) {
  if (auto reply = CheckAuthPossible()) return Error(*reply);
  // RFC 4954 §4: "AUTH" SP mechanism [SP initial-response]. Several spaces do no harm.
  const std::string_view argument = command.argument;
  const size_t space = argument.find(' ');
  const std::string* mechanism = FindMechanism(argument.substr(0, space));
  if (mechanism == nullptr) return Error(MakeReply(ReplyKind::kUnknownMechanism));
  CheckAuth action{*mechanism, std::nullopt};
  if (space != std::string_view::npos) {
    const std::string_view initial = base::Trim(argument.substr(space));
    // RFC 4954 §4: "=" is an initial response of no octets.
    auto bytes = base::Base64Decode(initial == "=" ? "" : initial);
    if (!bytes.ok()) return Error(MakeReply(ReplyKind::kBadAuthResponse));
    action.initial_response.emplace(*bytes);
  }
  awaiting_ = Awaiting::kAuth;
  return action;
}

ServerSession::Step ServerSession::NextAuthLine(std::string_view* in) {
  if (in->empty()) return NeedInput{};
  auto result = parser_.NextLine(in, options_.auth_line);
  if (std::holds_alternative<NeedMore>(result)) return NeedInput{};
  authenticating_ = false;
  if (auto* malformed = std::get_if<Malformed>(&result)) {
    // RFC 4954 §4: 500 for a line that is longer than our buffer, 501 for what is not base 64.
    const bool too_long = malformed->reply == MakeReply(ReplyKind::kLineTooLong);
    Error(MakeReply(too_long ? ReplyKind::kAuthLineTooLong : ReplyKind::kBadAuthResponse));
    if (malformed->fatal) {
      cut_ = kProtocol;
      closing_ = true;
    }
    return std::nullopt;
  }
  const std::string& line = std::get<std::string>(result);
  // RFC 4954 §4: "*" cancels, and is answered with 501.
  if (line == "*") return Error(MakeReply(ReplyKind::kAuthCancelled));
  auto bytes = base::Base64Decode(line);
  if (!bytes.ok()) return Error(MakeReply(ReplyKind::kBadAuthResponse));
  awaiting_ = Awaiting::kAuth;
  return AuthResponse{base::Secret(*bytes)};
}

void ServerSession::OnAuthAnswer(const AuthAnswer& answer) {
  GODWIT_CHECK(std::exchange(awaiting_, Awaiting::kNothing) == Awaiting::kAuth);
  if (const auto* challenge = std::get_if<AuthChallenge>(&answer)) {
    // RFC 4954 §4: 334 and base 64 on one line, of any length.
    output_ += "334 " + base::Base64Encode(challenge->data) + "\r\n";
    authenticating_ = true;
    return;
  }
  const Reply& reply = std::get<Reply>(answer);
  authenticated_ = reply.positive();
  if (reply.permanent()) {
    Error(reply);
  } else {
    Say(reply);
  }
}

}  // namespace godwit::smtp
