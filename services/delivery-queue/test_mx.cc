#include "services/delivery-queue/test_mx.h"

#include <catch2/catch.hpp>
#include <utility>

#include "libs/base/status.h"
#include "libs/smtpd/transaction.h"

namespace godwit::delivery_queue {

using smtp::MakeReply;
using smtp::ReplyKind;

class TestMxTransaction : public smtpd::Transaction {
 public:
  TestMxTransaction(TestMx* mx, const smtpd::ClientFacts& client, smtp::CheckMailFrom mail)
      : mx_(mx) {
    message_.from = mail.reverse_path.ToString();
    message_.mail = mail.parameters;
    message_.tls = client.with.tls;
    message_.session = client.session;
  }
  base::Task<smtp::Reply> Begin() override { co_return MakeReply(ReplyKind::kSenderOk); }
  base::Task<smtp::Reply> AddRecipient(smtp::CheckRcpt rcpt) override {
    smtp::Reply reply = MakeReply(ReplyKind::kRecipientOk);
    const std::string to = rcpt.forward_path.ToString();
    if (mx_->on_rcpt) reply = mx_->on_rcpt(to);
    if (reply.positive()) {
      message_.to.push_back(to);
      message_.rcpt.push_back(rcpt.parameters);
    }
    co_return reply;
  }
  base::Task<smtp::Reply> BeginData() override { co_return MakeReply(ReplyKind::kStartMailInput); }
  void Append(std::string_view bytes) override { message_.text += bytes; }
  size_t pending() const override { return 0; }
  base::Task<void> Flush() override { co_return; }
  base::Task<smtp::Reply> EndData(smtp::EndData end) override {
    if (end.refused) co_return *end.refused;
    smtp::Reply reply = MakeReply(ReplyKind::kAccepted);
    if (mx_->on_message) reply = mx_->on_message(message_);
    if (reply.positive()) {
      std::lock_guard lock(mx_->mutex_);
      mx_->taken_.push_back(message_);
    }
    if (mx_->reply_after > absl::ZeroDuration()) {
      (void)co_await net::Reactor::Current()->Sleep(mx_->reply_after);
    }
    co_return reply;
  }
  base::Task<void> Abandon() override { co_return; }

 private:
  TestMx* const mx_;
  TakenMessage message_;
};

class TestMxHandler : public smtpd::Handler {
 public:
  explicit TestMxHandler(TestMx* mx) : mx_(mx) { ++mx->connections; }
  std::unique_ptr<smtpd::Transaction> NewTransaction(smtpd::ClientFacts client,
                                                     smtp::CheckMailFrom mail,
                                                     std::string) override {
    return std::make_unique<TestMxTransaction>(mx_, client, std::move(mail));
  }

 private:
  TestMx* const mx_;
};

TestMx::TestMx(Options options)
    : reactors_({.threads = 1, .reactor = {.sweep_period = absl::Milliseconds(20)}}) {
  smtpd::FrontOptions front;
  front.sessions = &sessions_;
  front.connections = &accepted_;
  front.handshakes = &handshakes_;
  front.cuts = &cuts_;
  front_ = std::make_unique<smtpd::Front>(&reactors_, std::move(front));
  net::ListenOptions listen;
  listen.endpoint = *net::Endpoint::Parse(options.host + ":" + std::to_string(options.port));
  smtpd::Profile profile;
  profile.tls = options.tls;
  profile.implicit_tls = options.implicit_tls;
  profile.smtp = [extensions = options.extensions, tls = options.tls != nullptr,
                  implicit = options.implicit_tls] {
    smtp::ServerOptions smtp;
    smtp.hostname = "mx.test.example";
    smtp.forward_path = smtp::kWidePath;
    smtp.extensions = extensions;
    if (tls && !implicit) smtp.extensions.Add(smtp::Extension::kStartTls);
    smtp.tls = implicit;
    return smtp;
  };
  profile.new_handler = [this] { return std::make_unique<TestMxHandler>(this); };
  const absl::Status listening = front_->Listen(std::move(listen), std::move(profile));
  if (!listening.ok()) FAIL(base::ToString(listening));
}

TestMx::~TestMx() {
  front_->Drain(absl::ZeroDuration());
  reactors_.Stop();
}

std::vector<TakenMessage> TestMx::messages() const {
  std::lock_guard lock(mutex_);
  return taken_;
}

bool TestMx::WaitFor(size_t count) const {
  for (int i = 0; i < 1000; ++i) {
    if (messages().size() >= count) return true;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return false;
}

}  // namespace godwit::delivery_queue
