#pragma once

// SessionRunner: a driver of ServerSession for tests and fuzzing: feeds chunks, answers every check
// by a policy, and writes down what happened.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/smtp/server.h"

namespace godwit::smtp {

struct SessionPolicy {
  // Whoever says "secret" is let in; who says nothing at first is asked once.
  std::function<AuthAnswer(const CheckAuth&)> auth = [](const CheckAuth& check) -> AuthAnswer {
    if (!check.initial_response) return AuthChallenge{"more"};
    return JudgePassword(check.initial_response->Reveal());
  };
  std::function<AuthAnswer(const AuthResponse&)> auth_response =
      [](const AuthResponse& response) -> AuthAnswer {
    return JudgePassword(response.bytes.Reveal());
  };
  static AuthAnswer JudgePassword(std::string_view bytes) {
    return MakeReply(bytes == "secret" ? ReplyKind::kAuthenticated : ReplyKind::kAuthFailed);
  }
  std::function<Reply(const CheckMailFrom&)> mail = [](const CheckMailFrom&) {
    return MakeReply(ReplyKind::kSenderOk);
  };
  std::function<Reply(const CheckRcpt&)> rcpt = [](const CheckRcpt&) {
    return MakeReply(ReplyKind::kRecipientOk);
  };
  std::function<Reply()> begin_data = [] { return MakeReply(ReplyKind::kStartMailInput); };
  std::function<Reply(const std::string&)> end_data = [](const std::string&) {
    return MakeReply(ReplyKind::kAccepted);
  };
};

// What does not depend on how replies are grouped: all of them joined, and the actions in order:
// "AUTH PLAIN secret", "RESPONSE secret", "MAIL <a@b>", "RCPT <c@d>", "DATA", "MESSAGE <text>",
// "REFUSED", "ABANDON", "STARTTLS", "CLOSE".
struct Transcript {
  std::string replies;
  std::vector<std::string> actions;
  std::vector<std::string> messages;
  friend bool operator==(const Transcript&, const Transcript&) = default;
};

class SessionRunner {
 public:
  explicit SessionRunner(ServerOptions options, SessionPolicy policy = {});

  // Runs until the session wants more input, or has closed.
  void Feed(std::string_view in);
  bool closed() const { return closed_; }
  ServerSession& session() { return session_; }
  const Transcript& transcript() const { return transcript_; }
  // The replies since the last call.
  std::string TakeReplies();

 private:
  bool Carry(Action action);
  void Carry(const EndData& end);
  void Carry(const CheckAuth& auth);
  void Note(std::string_view what, std::string_view argument = {});

  SessionPolicy policy_;
  ServerSession session_;
  Transcript transcript_;
  std::string message_;
  size_t taken_ = 0;
  bool closed_ = false;
};

Transcript RunSession(const ServerOptions& options, const std::vector<std::string_view>& chunks,
                      const SessionPolicy& policy = {});

// A dialogue of lines "C: ..." (CRLF added, consecutive ones sent together) and "S: ..." (all that
// comes back); "S: (closed)" stands for the end of the connection. Equal when it went as written.
struct Dialog {
  std::string want;
  std::string got;
};
Dialog PlayDialog(const ServerOptions& options, const SessionPolicy& policy, std::string_view text);

}  // namespace godwit::smtp
