#include "libs/testing/smtp_client.h"

#include <utility>
#include <vector>

#include "libs/base/check.h"
#include "libs/net/connector.h"

namespace godwit::testing {
namespace {

base::Task<absl::StatusOr<std::unique_ptr<net::Stream>>> ConnectTask(net::Endpoint endpoint) {
  net::ConnectOptions options;
  options.to = endpoint;
  return net::Connect(std::move(options));
}

base::Task<absl::Status> WriteTask(net::Stream* stream, std::string bytes) {
  absl::Status status = co_await stream->Write(bytes);
  co_return status;
}

base::Task<std::string> ReadTask(net::Stream* stream) {
  net::Input input = co_await stream->Read(absl::Seconds(30));
  co_return std::string(input.event == net::Ready::kReadable ? input.bytes() : "");
}

base::Task<bool> CloseTask(net::Stream* stream) {
  stream->Close();
  co_return true;
}

}  // namespace

SmtpClient::SmtpClient(const net::Endpoint& endpoint) {
  auto stream = reactor_.RunUntilDone(ConnectTask(endpoint));
  GODWIT_CHECK(stream.ok());
  stream_ = *std::move(stream);
}

SmtpClient::~SmtpClient() { reactor_.RunUntilDone(CloseTask(stream_.get())); }

void SmtpClient::Send(std::string_view bytes) {
  // A server that has closed is seen by the next Reply().
  (void)reactor_.RunUntilDone(WriteTask(stream_.get(), std::string(bytes)));
}

std::string SmtpClient::Format(const smtp::Reply& reply) {
  std::string out = std::to_string(reply.code);
  if (!reply.enhanced.empty()) out += " " + reply.enhanced;
  for (size_t i = 0; i < reply.lines.size(); ++i) out += (i == 0 ? " " : "|") + reply.lines[i];
  const size_t bracket = out.rfind(" [");
  if (bracket != std::string::npos && out.back() == ']') {
    last_id_ = out.substr(bracket + 2, out.size() - bracket - 3);
    out.resize(bracket);
  }
  return out;
}

std::string SmtpClient::Reply() {
  for (;;) {
    std::string_view in = received_;
    auto result = parser_.Next(&in);
    received_.erase(0, received_.size() - in.size());
    if (auto* reply = std::get_if<smtp::Reply>(&result)) return Format(*reply);
    GODWIT_CHECK(!std::holds_alternative<smtp::MalformedReply>(result));
    received_ = reactor_.RunUntilDone(ReadTask(stream_.get()));
    if (received_.empty()) return "(closed)";
  }
}

std::string SmtpClient::Say(std::string_view line) {
  Send(std::string(line) + "\r\n");
  return Reply();
}

bool SmtpClient::StartTls(std::shared_ptr<net::TlsContext> context,
                          const std::string& server_name) {
  greeted_ = false;
  return reactor_
      .RunUntilDone(stream_->StartTlsClient(std::move(context), server_name, absl::Seconds(10)))
      .ok();
}

std::string SmtpClient::BeginMessage(const std::string& from, const std::vector<std::string>& to,
                                     const std::string& mail_parameters) {
  if (!std::exchange(greeted_, true)) Say("EHLO client.test");
  std::string reply = Say("MAIL FROM:<" + from + ">" + mail_parameters);
  for (const std::string& address : to) {
    if (reply[0] == '2') reply = Say("RCPT TO:<" + address + ">");
  }
  return reply[0] == '2' ? Say("DATA") : reply;
}

std::string SmtpClient::EndMessage(std::string_view text) {
  Send(std::string(text) + ".\r\n");
  return Reply();
}

std::string SmtpClient::SendMessage(const std::string& from, const std::vector<std::string>& to,
                                    std::string_view text, const std::string& mail_parameters) {
  const std::string begun = BeginMessage(from, to, mail_parameters);
  return begun.substr(0, 3) == "354" ? EndMessage(text) : begun;
}

}  // namespace godwit::testing
