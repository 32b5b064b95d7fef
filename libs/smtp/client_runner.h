#pragma once

// ClientRunner: a driver of ClientSession for tests and fuzzing: hands over messages, feeds what a
// server says, and writes down what happened.

#include <string>
#include <string_view>
#include <vector>

#include "libs/smtp/client.h"

namespace godwit::smtp {

struct OutgoingMessage {
  ClientMessage envelope;
  std::string text;
  size_t chunk = 65536;  // it is handed over in pieces of this size
};

struct ClientTranscript {
  std::string sent;
  // "READY", "STARTTLS", "DATA", "DONE delivered refused:550", "FAILED protocol", "CLOSE"
  std::vector<std::string> actions;
  std::vector<TransactionResult> results;
  std::vector<ClientFailure> failures;
};

class ClientRunner {
 public:
  // After the last message it says QUIT.
  ClientRunner(ClientOptions options, std::vector<OutgoingMessage> messages);

  // Runs until the session wants more input, or has closed.
  void Feed(std::string_view in);
  bool closed() const { return closed_; }
  ClientSession& session() { return session_; }
  const ClientTranscript& transcript() const { return transcript_; }
  // What was sent since the last call.
  std::string TakeSent();

 private:
  bool Carry(ClientAction action);
  void Advance();
  void Give();

  ClientSession session_;
  std::vector<OutgoingMessage> messages_;
  size_t next_ = 0;
  size_t given_ = 0;
  ClientTranscript transcript_;
  size_t taken_ = 0;
  bool closed_ = false;
};

// "delivered", "refused:550", ...
std::string Describe(const TransactionResult& result);
std::string_view FailureName(ClientFailure::Kind kind);

// Cuts a server's bytes behind each complete reply, as a server that waits for its client sends
// them.
std::vector<std::string_view> SplitReplies(std::string_view wire);

// Feeds the chunks, then the end of the stream.
ClientTranscript RunClient(const ClientOptions& options,
                           const std::vector<OutgoingMessage>& messages,
                           const std::vector<std::string_view>& chunks);

}  // namespace godwit::smtp
