#pragma once

// SmtpClient: an SMTP client for tests, on a reactor of its own; every call blocks until it is
// done.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libs/net/reactor.h"
#include "libs/net/stream.h"
#include "libs/net/tls_context.h"
#include "libs/smtp/reply_parser.h"

namespace godwit::testing {

class SmtpClient {
 public:
  // Connects; the process dies when it can not.
  explicit SmtpClient(const net::Endpoint& endpoint);
  ~SmtpClient();

  // As it is, no line end added.
  void Send(std::string_view bytes);
  // "250 2.1.0 Sender OK": the code, the enhanced code and the lines joined by "|", the id in
  // brackets at the end taken away; "(closed)" at the end of the connection.
  std::string Reply();
  // Sends a line and gives the reply.
  std::string Say(std::string_view line);
  // False when the handshake fails.
  bool StartTls(std::shared_ptr<net::TlsContext> context, const std::string& server_name);
  net::TlsInfo tls_info() const { return stream_->tls_info(); }

  // EHLO, MAIL, RCPT..., DATA up to the 354 (or the first refusal, which is returned).
  std::string BeginMessage(const std::string& from, const std::vector<std::string>& to,
                           const std::string& mail_parameters = "");
  // The text, its end, and the reply.
  std::string EndMessage(std::string_view text);
  // Both.
  std::string SendMessage(const std::string& from, const std::vector<std::string>& to,
                          std::string_view text, const std::string& mail_parameters = "");

  // The id in brackets of the last reply.
  const std::string& last_id() const { return last_id_; }

 private:
  std::string Format(const smtp::Reply& reply);

  net::Reactor reactor_;
  std::unique_ptr<net::Stream> stream_;
  smtp::ReplyParser parser_;
  std::string received_;
  std::string last_id_;
  bool greeted_ = false;
};

}  // namespace godwit::testing
