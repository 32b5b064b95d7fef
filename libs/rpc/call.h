#pragma once

// Awaitable gRPC client calls. For the clients' .cc files only: it brings gRPC's headers.
//
//   absl::StatusOr<LookupReply> reply = co_await rpc::Call(
//       stub_.get(), &Directory::StubInterface::async_interface::Lookup, request,
//       {.deadline = absl::Seconds(5), .trace = trace});
//
//   auto stream = rpc::ClientStream<VerifyRequest, VerifyReply>::Open(
//       stub_.get(), &AuthVerifier::StubInterface::async_interface::Verify, {...});
//   absl::Status sent = co_await stream->Write(chunk);     // resumes when the next may be written
//   absl::StatusOr<VerifyReply> reply = co_await stream->Finish(last_chunk);
//
//   auto stream = rpc::ResponseStream<WatchReply>::Open(
//       stub_.get(), &Certificates::StubInterface::async_interface::Watch, request, {...});
//   while (std::optional<WatchReply> reply = co_await stream->Next()) ...
//   absl::Status why = co_await stream->Finish();
//
// The awaiting coroutine goes on on its own executor. Every call has a deadline; a server stream
// that is kept open for ever (subscription.h) takes InfiniteDuration() and relies on keepalive. A
// stream that is destroyed before Finish() is cancelled.

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/rpc/status.h"
#include "libs/rpc/trace.h"

namespace godwit::rpc {

struct CallOptions {
  absl::Duration deadline = absl::Seconds(10);
  std::string trace = {};  // the trace id of the message or session; "" sends none
};

// Sets deadline and trace id on a context.
void Prepare(grpc::ClientContext* context, const CallOptions& options);

// One unary call. The Status of the server, or Unavailable, DeadlineExceeded of the way to it.
template <typename Stub, typename Async, typename Request, typename Reply>
base::Task<absl::StatusOr<Reply>> Call(Stub* stub,
                                       void (Async::*method)(grpc::ClientContext*, const Request*,
                                                             Reply*,
                                                             std::function<void(grpc::Status)>),
                                       Request request, CallOptions options) {
  // On the heap: alive until gRPC has called back, even if nobody resumes us any more.
  struct State {
    grpc::ClientContext context;
    Request request;
    Reply reply;
  };
  auto state = std::make_shared<State>();
  state->request = std::move(request);
  Prepare(&state->context, options);
  base::Completion<grpc::Status> done;
  (stub->async()->*method)(&state->context, &state->request, &state->reply,
                           [state, done](grpc::Status status) { done.Set(std::move(status)); });
  grpc::Status status = co_await done;
  if (!status.ok()) co_return FromGrpc(status);
  co_return std::move(state->reply);
}

// A client stream: many requests, one reply. Belongs to one executor. One Write at a time.
template <typename Request, typename Reply>
class ClientStream {
 public:
  template <typename Stub, typename Async>
  static std::unique_ptr<ClientStream> Open(
      Stub* stub,
      void (Async::*method)(grpc::ClientContext*, Reply*, grpc::ClientWriteReactor<Request>*),
      CallOptions options) {
    auto stream = std::unique_ptr<ClientStream>(new ClientStream);
    Reactor* reactor = stream->reactor_.get();
    Prepare(&reactor->context, options);
    (stub->async()->*method)(&reactor->context, &reactor->reply, reactor);
    reactor->self = stream->reactor_;
    reactor->AddHold();  // ours, so that writes may come at any time until Finish()
    reactor->StartCall();
    return stream;
  }
  ~ClientStream() {
    if (finished_) return;
    reactor_->context.TryCancel();
    reactor_->RemoveHold();
  }
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  // Resumes when gRPC has taken the request before this one: its flow control is our backpressure,
  // and a request or two never wait. An error says only that the stream is broken (Unavailable);
  // Finish() has the reason.
  base::Task<absl::Status> Write(Request request) {
    const bool ok = co_await Taken();
    if (!ok) co_return base::Unavailable("the stream is closed");
    Send(std::move(request), grpc::WriteOptions());
    co_return absl::OkStatus();
  }

  // No more requests but `last`, if there is one; the reply or the status. Once.
  base::Task<absl::StatusOr<Reply>> Finish(std::optional<Request> last = std::nullopt) {
    const bool ok = co_await Taken();
    finished_ = true;
    std::shared_ptr<Reactor> reactor = reactor_;
    if (last && ok) {
      Send(*std::move(last), grpc::WriteOptions().set_last_message());
    } else {
      reactor->StartWritesDone();
    }
    reactor->RemoveHold();
    grpc::Status status = co_await reactor->done;
    if (!status.ok()) co_return FromGrpc(status);
    co_return std::move(reactor->reply);
  }

  // Gives up: a Write() or Finish() under way ends with an error (Cancelled).
  void Cancel() { reactor_->context.TryCancel(); }

 private:
  struct Reactor : grpc::ClientWriteReactor<Request> {
    void OnWriteDone(bool ok) override { written.Set(ok); }
    void OnDone(const grpc::Status& status) override {
      done.Set(status);
      auto last = std::move(self);  // may be the last owner
    }
    grpc::ClientContext context;
    Request request;
    Reply reply;
    base::Completion<bool> written;
    base::Completion<grpc::Status> done;
    std::shared_ptr<Reactor> self;  // until gRPC is done with us
  };

  ClientStream() : reactor_(std::make_shared<Reactor>()) {}

  // Whether gRPC took the last request, as soon as that is known.
  base::Task<bool> Taken() {
    if (!writing_) co_return true;
    writing_ = false;
    const bool ok = co_await reactor_->written;
    broken_ = broken_ || !ok;
    co_return !broken_;
  }

  void Send(Request request, grpc::WriteOptions options) {
    reactor_->request = std::move(request);
    reactor_->written = base::Completion<bool>();
    writing_ = true;
    reactor_->StartWrite(&reactor_->request, options);
  }

  std::shared_ptr<Reactor> reactor_;
  bool writing_ = false;  // nobody has waited for the last request yet
  bool broken_ = false;
  bool finished_ = false;
};

// A server stream: one request, many responses. Belongs to one executor. One Next() at a time.
template <typename Response>
class ResponseStream {
 public:
  template <typename Stub, typename Async, typename Request>
  static std::unique_ptr<ResponseStream> Open(
      Stub* stub,
      void (Async::*method)(grpc::ClientContext*, const Request*,
                            grpc::ClientReadReactor<Response>*),
      Request request, CallOptions options) {
    auto own = std::make_shared<ReactorOf<Request>>();
    own->request = std::move(request);
    Prepare(&own->context, options);
    (stub->async()->*method)(&own->context, &own->request, own.get());
    own->self = own;
    own->AddHold();  // ours, so that reads may come at any time until Finish()
    own->StartCall();
    return std::unique_ptr<ResponseStream>(new ResponseStream(own));
  }
  ~ResponseStream() {
    if (finished_) return;
    reactor_->context.TryCancel();
    reactor_->RemoveHold();
  }
  ResponseStream(const ResponseStream&) = delete;
  ResponseStream& operator=(const ResponseStream&) = delete;

  // The next response; nothing when the server has sent its last one or the stream is broken. The
  // next is taken from the network only when asked for: that is the backpressure.
  base::Task<std::optional<Response>> Next() {
    std::shared_ptr<Reactor> reactor = reactor_;
    reactor->read = base::Completion<bool>();
    base::Completion<bool> read = reactor->read;
    reactor->StartRead(&reactor->response);
    const bool ok = co_await read;
    ended_ = !ok;
    if (!ok) co_return std::nullopt;
    co_return std::move(reactor->response);
  }

  // How the stream ended; before the end it cancels it (Cancelled). Once.
  base::Task<absl::Status> Finish() {
    finished_ = true;
    std::shared_ptr<Reactor> reactor = reactor_;
    if (!ended_) reactor->context.TryCancel();
    reactor->RemoveHold();
    grpc::Status status = co_await reactor->done;
    co_return FromGrpc(status);
  }

  // Gives up: a Next() under way ends with nothing.
  void Cancel() { reactor_->context.TryCancel(); }

 private:
  struct Reactor : grpc::ClientReadReactor<Response> {
    void OnReadDone(bool ok) override { read.Set(ok); }
    void OnDone(const grpc::Status& status) override {
      done.Set(status);
      auto last = std::move(self);  // may be the last owner
    }
    grpc::ClientContext context;
    Response response;
    base::Completion<bool> read;
    base::Completion<grpc::Status> done;
    std::shared_ptr<Reactor> self;  // until gRPC is done with us
  };
  template <typename Request>
  struct ReactorOf : Reactor {
    Request request;  // gRPC reads it while it starts
  };

  explicit ResponseStream(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  std::shared_ptr<Reactor> reactor_;
  bool ended_ = false;
  bool finished_ = false;
};

}  // namespace godwit::rpc
