#include "libs/smtp/client_runner.h"

#include <utility>

namespace godwit::smtp {

std::string_view FailureName(ClientFailure::Kind kind) {
  switch (kind) {
    case ClientFailure::Kind::kRefused: return "refused";
    case ClientFailure::Kind::kTlsUnavailable: return "no-tls";
    case ClientFailure::Kind::kAuth: return "auth";
    case ClientFailure::Kind::kProtocol: return "protocol";
    case ClientFailure::Kind::kLost: return "lost";
    case ClientFailure::Kind::kBadMessage: return "bad-message";
  }
  return "";
}

std::string Describe(const TransactionResult& result) {
  std::string out;
  for (const RecipientOutcome& each : result.recipients) {
    if (!out.empty()) out += ' ';
    switch (each.state) {
      case RecipientOutcome::State::kPending: out += "pending"; break;
      case RecipientOutcome::State::kAccepted: out += "accepted"; break;
      case RecipientOutcome::State::kDelivered: out += "delivered"; break;
      case RecipientOutcome::State::kRefused:
        out += (each.ours ? "own:" : "refused:") + std::to_string(each.reply.code);
        break;
    }
  }
  return out + (result.uncertain ? " uncertain" : "");
}

ClientRunner::ClientRunner(ClientOptions options, std::vector<OutgoingMessage> messages)
    : session_(std::move(options)), messages_(std::move(messages)) {
  Feed("");
}

void ClientRunner::Feed(std::string_view in) {
  while (!closed_ && Carry(session_.Next(&in))) {
  }
}

std::string ClientRunner::TakeSent() {
  std::string fresh = transcript_.sent.substr(taken_);
  taken_ = transcript_.sent.size();
  return fresh;
}

void ClientRunner::Advance() {
  if (next_ == messages_.size()) {
    session_.Quit();
    return;
  }
  given_ = 0;
  session_.Begin(messages_[next_++].envelope);
}

void ClientRunner::Give() {
  const OutgoingMessage& message = messages_[next_ - 1];
  if (given_ >= message.text.size()) {
    session_.EndData();
    return;
  }
  const auto piece = std::string_view(message.text).substr(given_, message.chunk);
  given_ += piece.size();
  session_.Data(piece);
}

// False when the session waits for input or has ended.
bool ClientRunner::Carry(ClientAction action) {
  auto& actions = transcript_.actions;
  if (std::holds_alternative<NeedInput>(action)) return false;
  if (auto* send = std::get_if<Send>(&action)) {
    transcript_.sent += send->bytes;
  } else if (std::holds_alternative<StartTls>(action)) {
    actions.push_back("STARTTLS");
    session_.OnTlsStarted();
  } else if (std::holds_alternative<Ready>(action)) {
    actions.push_back("READY");
    Advance();
  } else if (std::holds_alternative<GiveData>(action)) {
    if (given_ == 0) actions.push_back("DATA");
    Give();
  } else if (std::holds_alternative<Done>(action)) {
    actions.push_back("DONE " + Describe(session_.result()));
    transcript_.results.push_back(session_.result());
  } else if (auto* failed = std::get_if<Failed>(&action)) {
    actions.push_back("FAILED " + std::string(FailureName(failed->failure.kind)));
    transcript_.failures.push_back(failed->failure);
    transcript_.results.push_back(session_.result());
  } else {
    actions.push_back("CLOSE");
    closed_ = true;
  }
  return true;
}

std::vector<std::string_view> SplitReplies(std::string_view wire) {
  std::vector<std::string_view> chunks;
  size_t begin = 0;
  for (size_t at = 0; at < wire.size();) {
    const size_t lf = wire.find('\n', at);
    const size_t end = lf == std::string_view::npos ? wire.size() : lf + 1;
    const bool goes_on = end - at > 4 && wire[at + 3] == '-';
    at = end;
    if (goes_on && at < wire.size()) continue;
    chunks.push_back(wire.substr(begin, at - begin));
    begin = at;
  }
  return chunks;
}

ClientTranscript RunClient(const ClientOptions& options,
                           const std::vector<OutgoingMessage>& messages,
                           const std::vector<std::string_view>& chunks) {
  ClientRunner runner(options, messages);
  for (std::string_view chunk : chunks) runner.Feed(chunk);
  if (!runner.closed()) {
    runner.session().OnLost("end of stream");
    runner.Feed("");
  }
  return runner.transcript();
}

}  // namespace godwit::smtp
