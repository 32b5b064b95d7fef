// A client's session with a server that says anything. Properties:
// - the same commands and outcomes for the bytes reply by reply and octet by octet;
// - every recipient is settled at the end, and a message that can't be delivered has no dot;
// - nothing with a bare CR or LF is sent, whatever the server says;
// - all in one packet: no crash, and nothing delivered without a positive reply.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "libs/base/check.h"
#include "libs/smtp/client_runner.h"

namespace {

using namespace std::string_view_literals;
using godwit::smtp::ClientOptions;
using godwit::smtp::ClientTranscript;
using godwit::smtp::OutgoingMessage;
using godwit::smtp::RecipientOutcome;
using godwit::smtp::RunClient;
using godwit::smtp::TlsUse;

std::vector<OutgoingMessage> Messages(bool bad) {
  OutgoingMessage message;
  message.envelope.reverse_path = {"from", "us.example"};
  for (const char* name : {"a", "b", "c"}) {
    message.envelope.recipients.push_back({{name, "x.example"}, {}});
  }
  message.text = bad ? ".a\r\nb\n.\r\nc" : ".a\r\n\r\n..\r\nb";
  message.chunk = 3;
  return {message, message};
}

// Without what stands in front of each chunk: they are pieces of lines.
std::string WithoutFrames(std::string_view sent) {
  std::string out;
  while (!sent.empty()) {
    const size_t end = std::min(sent.find("\r\n"), sent.size() - 2) + 2;
    const std::string line(sent.substr(0, end));
    sent.remove_prefix(end);
    if (!line.starts_with("BDAT ")) {
      out += line;
      continue;
    }
    const size_t size = std::strtoul(line.c_str() + 5, nullptr, 10);
    out += sent.substr(0, size);
    sent.remove_prefix(std::min(size, sent.size()));
  }
  return out;
}

void CheckSent(const std::string& all) {
  const std::string sent = WithoutFrames(all);
  for (size_t i = 0; i < sent.size(); ++i) {
    // A chunk may end between the two; then the connection ends with it.
    if (sent[i] == '\r' && i + 1 < sent.size()) GODWIT_CHECK(sent[i + 1] == '\n');
    if (sent[i] == '\n') GODWIT_CHECK(i > 0 && sent[i - 1] == '\r');
  }
}

void CheckSettled(const ClientTranscript& transcript, bool bad) {
  for (const auto& result : transcript.results) {
    for (const RecipientOutcome& each : result.recipients) {
      GODWIT_CHECK(each.state == RecipientOutcome::State::kDelivered ||
                   each.state == RecipientOutcome::State::kRefused);
      if (each.state != RecipientOutcome::State::kDelivered) continue;
      GODWIT_CHECK(!bad && each.reply.positive() && result.dot_sent && !result.uncertain);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const bool bad = (data[0] & 4) != 0;
  ClientOptions options{.hostname = "us.example"};
  options.tls = static_cast<TlsUse>(data[0] & 3);
  if ((data[0] & 8) != 0) {
    options.user = "me";
    options.password = godwit::base::Secret("pw");
  }
  options.chunk_size = (data[0] & 16) != 0 ? 4 : 1000;
  const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);

  const auto replies = godwit::smtp::SplitReplies(wire);
  const ClientTranscript whole = RunClient(options, Messages(bad), replies);
  CheckSent(whole.sent);
  CheckSettled(whole, bad);
  std::vector<std::string_view> octets;
  for (size_t i = 0; i < wire.size(); ++i) octets.push_back(wire.substr(i, 1));
  const ClientTranscript cut = RunClient(options, Messages(bad), octets);
  GODWIT_CHECK(cut.sent == whole.sent);
  GODWIT_CHECK(cut.actions == whole.actions);

  const ClientTranscript packet = RunClient(options, Messages(bad), {wire});
  CheckSent(packet.sent);
  CheckSettled(packet, bad);
  return 0;
}
