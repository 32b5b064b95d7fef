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
// "MAIL <a@b>", "RCPT <c@d>", "DATA", "MESSAGE <text>", "REFUSED", "STARTTLS", "CLOSE".
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

}  // namespace godwit::smtp
