#include "libs/smtp/session_runner.h"

#include <utility>

#include "libs/base/ascii.h"

namespace godwit::smtp {

SessionRunner::SessionRunner(ServerOptions options, SessionPolicy policy)
    : policy_(std::move(policy)), session_(std::move(options)) {
  Feed("");
}

void SessionRunner::Feed(std::string_view in) {
  while (!closed_ && Carry(session_.Next(&in))) {
  }
}

std::string SessionRunner::TakeReplies() {
  std::string fresh = transcript_.replies.substr(taken_);
  taken_ = transcript_.replies.size();
  return fresh;
}

void SessionRunner::Note(std::string_view what, std::string_view argument) {
  std::string line(what);
  if (!argument.empty()) {
    line += ' ';
    line += argument;
  }
  transcript_.actions.push_back(std::move(line));
}

void SessionRunner::Carry(const EndData& end) {
  std::string message = std::exchange(message_, {});
  if (end.refused) {
    Note("REFUSED");
    session_.OnReply(*end.refused);
    return;
  }
  Note("MESSAGE", message);
  transcript_.messages.push_back(message);
  session_.OnReply(policy_.end_data(message));
}

void SessionRunner::Carry(const CheckAuth& auth) {
  std::string text = auth.mechanism;
  if (auth.initial_response) text += " " + std::string(auth.initial_response->Reveal());
  Note("AUTH", text);
  session_.OnAuthAnswer(policy_.auth(auth));
}

// False when the session waits for input or has ended.
bool SessionRunner::Carry(Action action) {
  if (std::holds_alternative<NeedInput>(action)) return false;
  if (auto* send = std::get_if<Send>(&action)) {
    transcript_.replies += send->bytes;
  } else if (auto* auth = std::get_if<CheckAuth>(&action)) {
    Carry(*auth);
  } else if (auto* response = std::get_if<AuthResponse>(&action)) {
    Note("RESPONSE", response->bytes.Reveal());
    session_.OnAuthAnswer(policy_.auth_response(*response));
  } else if (auto* mail = std::get_if<CheckMailFrom>(&action)) {
    Note("MAIL", mail->reverse_path.ToPath());
    session_.OnReply(policy_.mail(*mail));
  } else if (auto* rcpt = std::get_if<CheckRcpt>(&action)) {
    Note("RCPT", rcpt->forward_path.ToPath());
    session_.OnReply(policy_.rcpt(*rcpt));
  } else if (std::holds_alternative<BeginData>(action)) {
    Note("DATA");
    session_.OnReply(policy_.begin_data());
  } else if (auto* chunk = std::get_if<DataChunk>(&action)) {
    message_ += chunk->bytes;
  } else if (auto* end = std::get_if<EndData>(&action)) {
    Carry(*end);
  } else if (std::holds_alternative<AbandonData>(action)) {
    Note("ABANDON");
    message_.clear();
  } else if (std::holds_alternative<StartTls>(action)) {
    Note("STARTTLS");
    session_.OnTlsStarted();
  } else {
    Note("CLOSE");
    closed_ = true;
  }
  return true;
}

Transcript RunSession(const ServerOptions& options, const std::vector<std::string_view>& chunks,
                      const SessionPolicy& policy) {
  SessionRunner runner(options, policy);
  for (std::string_view chunk : chunks) runner.Feed(chunk);
  return runner.transcript();
}

Dialog PlayDialog(const ServerOptions& options, const SessionPolicy& policy,
                  std::string_view text) {
  SessionRunner runner(options, policy);
  std::string sent;
  Dialog dialog;
  const auto flush = [&] {
    if (!sent.empty()) runner.Feed(sent);
    sent.clear();
    dialog.got += runner.TakeReplies();
  };
  for (std::string_view line : base::Split(text, '\n')) {
    line = base::Trim(line);
    if (line.empty()) continue;
    const std::string rest(line.size() > 3 ? line.substr(3) : "");
    if (line.substr(0, 2) == "C:") {
      sent += rest + "\r\n";
      continue;
    }
    flush();
    dialog.want += rest == "(closed)" ? rest : rest + "\r\n";
    if (rest == "(closed)" && runner.closed()) dialog.got += rest;
  }
  flush();
  return dialog;
}

}  // namespace godwit::smtp
