#pragma once

// TestMx: a mail server in this process, on Godwit's own server side (libs/smtpd), that takes what
// it is told to take and remembers it.
//
//   TestMx mx({.tls = context});
//   mx.on_rcpt = [](const std::string& to) { return smtp::MakeReply(smtp::ReplyKind::kUnknownUser);
//   };
//   ... mx.port() ... mx.WaitFor(1) ... mx.messages().at(0).text ...

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "libs/net/reactor.h"
#include "libs/net/tls_context.h"
#include "libs/obs/metrics.h"
#include "libs/smtp/server.h"
#include "libs/smtpd/front.h"

namespace godwit::delivery_queue {

struct TakenMessage {
  std::string from;
  std::vector<std::string> to;
  smtp::MailParameters mail;
  std::vector<smtp::RcptParameters> rcpt;
  bool tls = false;
  std::string session;
  std::string text;
};

class TestMx {
 public:
  struct Options {
    std::shared_ptr<net::TlsContext> tls = nullptr;  // null: no STARTTLS
    bool implicit_tls = false;
    smtp::ExtensionSet extensions = smtp::ServerOptions().extensions;
    uint16_t port = 0;
    std::string host = "127.0.0.1";
  };
  explicit TestMx(Options options);
  TestMx() : TestMx(Options()) {}
  ~TestMx();

  uint16_t port() const { return front_->endpoints().at(0).port; }
  std::vector<TakenMessage> messages() const;
  // Until so many messages are there; false after ten seconds.
  bool WaitFor(size_t count) const;

  // Set before use. Nothing: they are taken.
  std::function<smtp::Reply(const std::string& to)> on_rcpt;
  std::function<smtp::Reply(const TakenMessage& message)> on_message;
  std::atomic<int> connections{0};
  // The dot is taken, and its reply waits for so long.
  absl::Duration reply_after;

 private:
  friend class TestMxTransaction;
  friend class TestMxHandler;
  obs::Gauge sessions_{"godwit_test_mx_sessions", "Open now."};
  obs::CounterFamily accepted_{
      "godwit_test_mx_connections_total", "Connections.", {{"result", {"accepted", "refused"}}}};
  obs::CounterFamily handshakes_{
      "godwit_test_mx_handshakes_total", "Handshakes.", {{"result", {"ok", "failed"}}}};
  obs::CounterFamily cuts_{
      "godwit_test_mx_sessions_cut_total",
      "Sessions that it ended.",
      {{"reason",
        {"errors", "refused-recipients", "transactions", "idle-commands", "protocol",
         "command-time", "data-silence", "data-time", "session-time"}}}};
  net::ReactorPool reactors_;
  std::unique_ptr<smtpd::Front> front_;
  mutable std::mutex mutex_;
  std::vector<TakenMessage> taken_;
};

}  // namespace godwit::delivery_queue
