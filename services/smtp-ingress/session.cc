#include "services/smtp-ingress/session.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"

namespace godwit::smtp_ingress {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

// Octets of data that are collected before they are sent on; a read is at most 16 KiB.
constexpr size_t kFlushAt = 64 * 1024;
// For the peer to take our last reply and close.
constexpr absl::Duration kLinger = absl::Seconds(2);

smtp::ServerOptions OptionsFor(const Services& services, ListenerKind kind) {
  smtp::ServerOptions options = services.settings.smtp;
  if (kind == ListenerKind::kInternal) {
    options.tls = true;
    options.extensions.Add(smtp::Extension::kOrigin);
  } else if (services.tls != nullptr) {
    options.extensions.Add(smtp::Extension::kStartTls);
  }
  return options;
}

}  // namespace

base::Task<void> Session::Serve(std::unique_ptr<net::Stream> stream, Services* services,
                                ListenerKind kind) {
  Session session(std::move(stream), services, kind);
  co_await session.Run();
}

Session::Session(std::unique_ptr<net::Stream> stream, Services* services, ListenerKind kind)
    : stream_(std::move(stream)),
      services_(services),
      kind_(kind),
      id_(services->random->Token(12)),
      smtp_(OptionsFor(*services, kind)) {
  ++services_->sessions;
  services_->metrics->sessions.Add(1);
  session_end_ = services_->clock->Monotonic() + services_->settings.session_total;
  stream_->set_write_timeout(services_->settings.write_timeout);
}

Session::~Session() {
  --services_->sessions;
  services_->metrics->sessions.Add(-1);
}

base::Task<void> Session::Run() {
  const bool full = services_->sessions > services_->settings.max_sessions;
  services_->metrics->connections.At({full ? "refused" : "accepted"}).Add();
  if (full) smtp_.Refuse(MakeReply(ReplyKind::kTooManyConnections));
  if (kind_ == ListenerKind::kInternal) {
    absl::Status accepted = co_await AcceptInternal();
    if (!accepted.ok()) {
      obs::Log(obs::Level::kWarning, "internal client refused",
               {{"session", id_}, {"client", stream_->peer().ToString()}, {"status", accepted}});
      co_return;
    }
  }
  bool open = true;
  while (open) {
    smtp::Action action = smtp_.Next(&in_);
    open = co_await Carry(std::move(action));
  }
  co_await EndTransaction();
  in_ = {};
  input_ = net::Input();
  co_await stream_->Shutdown(kLinger);
}

// Mutual TLS from the first octet; the name in the certificate says which daemon it is.
base::Task<absl::Status> Session::AcceptInternal() {
  absl::Status started = co_await stream_->StartTlsServer(services_->internal_tls,
                                                          services_->settings.handshake_timeout);
  if (!started.ok()) co_return started;
  const net::TlsInfo info = stream_->tls_info();
  const auto& allowed = services_->settings.internal_clients;
  const bool known =
      info.peer_verified &&
      std::any_of(info.peer_dns_names.begin(), info.peer_dns_names.end(),
                  [&](const std::string& name) {
                    return std::find(allowed.begin(), allowed.end(), name) != allowed.end();
                  });
  if (!known) co_return base::PermissionDenied("certificate of " + info.peer_subject);
  co_return absl::OkStatus();
}

base::Task<bool> Session::Carry(smtp::Action action) {
  bool open = true;
  if (std::holds_alternative<smtp::NeedInput>(action)) {
    open = co_await ReadMore();
  } else if (auto* send = std::get_if<smtp::Send>(&action)) {
    open = co_await Write(send->bytes);
  } else if (std::holds_alternative<smtp::StartTls>(action)) {
    open = co_await StartTls();
  } else if (std::holds_alternative<smtp::Close>(action)) {
    open = false;
  } else if (auto* mail = std::get_if<smtp::CheckMailFrom>(&action)) {
    co_await BeginTransaction(std::move(*mail));
  } else if (auto* rcpt = std::get_if<smtp::CheckRcpt>(&action)) {
    smtp::Reply reply = co_await transaction_->AddRecipient(std::move(*rcpt));
    smtp_.OnReply(reply);
  } else if (std::holds_alternative<smtp::BeginData>(action)) {
    data_end_ = services_->clock->Monotonic() + services_->settings.data_total;
    smtp::Reply reply = co_await transaction_->BeginData();
    smtp_.OnReply(reply);
  } else if (auto* chunk = std::get_if<smtp::DataChunk>(&action)) {
    co_await TakeChunk(chunk->bytes);
  } else if (auto* end = std::get_if<smtp::EndData>(&action)) {
    smtp::Reply reply = co_await transaction_->EndData(std::move(*end));
    transaction_.reset();
    smtp_.OnReply(reply);
  }
  co_return open;
}

base::Task<void> Session::BeginTransaction(smtp::CheckMailFrom mail) {
  co_await EndTransaction();
  // On the internal listener a daemon says where mail comes from, always.
  if (kind_ == ListenerKind::kInternal && !mail.parameters.origin) {
    smtp_.OnReply(MakeReply(ReplyKind::kBadArguments, "XORIGIN is required here"));
    co_return;
  }
  std::string id = id_ + "." + std::to_string(++transactions_);
  transaction_ = std::make_unique<Transaction>(services_, Facts(), std::move(mail), std::move(id));
  smtp_.OnReply(MakeReply(ReplyKind::kSenderOk));
}

// A transaction that the client gave up.
base::Task<void> Session::EndTransaction() {
  if (transaction_ == nullptr) co_return;
  co_await transaction_->Abandon();
  transaction_.reset();
}

base::Task<void> Session::TakeChunk(std::string_view bytes) {
  transaction_->Append(bytes);
  if (transaction_->pending() >= kFlushAt) co_await transaction_->Flush();
}

ClientFacts Session::Facts() const {
  ClientFacts facts;
  facts.address = stream_->peer().address;
  facts.greeting_name = smtp_.greeting_name();
  facts.with.esmtp = smtp_.esmtp();
  facts.with.tls = smtp_.tls();
  facts.internal = kind_ == ListenerKind::kInternal;
  if (stream_->is_tls()) {
    const net::TlsInfo info = stream_->tls_info();
    facts.tls = info.version + " " + info.cipher;
    if (!info.group.empty()) facts.tls += " " + info.group;
  }
  return facts;
}

absl::Duration Session::NextTimeout() const {
  const Settings& settings = services_->settings;
  const absl::Duration now = services_->clock->Monotonic();
  if (smtp_.in_data()) return std::min(settings.data_block_timeout, data_end_ - now);
  return std::min(settings.command_timeout, session_end_ - now);
}

base::Task<bool> Session::ReadMore() {
  if (smtp_.in_data()) co_await transaction_->Flush();
  in_ = {};
  input_ = net::Input();  // gives the buffer back while we wait
  const bool cut = services_->cutting && !smtp_.in_data();
  if (cut || (services_->draining && smtp_.idle())) {
    smtp_.End(MakeReply(ReplyKind::kShuttingDown));
    co_return true;
  }
  const absl::Duration timeout = NextTimeout();
  if (timeout <= absl::ZeroDuration()) {
    smtp_.End(MakeReply(ReplyKind::kTimeout));
    co_return true;
  }
  input_ = co_await stream_->Read(timeout);
  if (input_.event == net::Ready::kClosed) co_return false;
  if (input_.event == net::Ready::kReadable) in_ = input_.bytes();
  if (input_.event == net::Ready::kTimeout) smtp_.End(MakeReply(ReplyKind::kTimeout));
  co_return true;
}

base::Task<bool> Session::Write(std::string_view bytes) {
  absl::Status written = co_await stream_->Write(bytes);
  co_return written.ok();
}

base::Task<bool> Session::StartTls() {
  co_await EndTransaction();
  absl::Status started =
      co_await stream_->StartTlsServer(services_->tls, services_->settings.handshake_timeout);
  services_->metrics->starttls.At({started.ok() ? "ok" : "failed"}).Add();
  if (!started.ok()) {
    obs::Log(obs::Level::kInfo, "tls handshake failed",
             {{"session", id_}, {"client", stream_->peer().ToString()}, {"status", started}});
    co_return false;
  }
  smtp_.OnTlsStarted();
  co_return true;
}

}  // namespace godwit::smtp_ingress
