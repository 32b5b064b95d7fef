#pragma once

// gRPC handlers as coroutines. For rpc_service.cc only: it brings gRPC's headers.
//
//   grpc::ServerUnaryReactor* Lookup(grpc::CallbackServerContext* context, const LookupRequest* in,
//                                    LookupReply* out) override {
//     return rpc::ServeUnary(context, executors_->Next(), DoLookup(in, out,
//     rpc::TraceOf(*context)));
//   }
//   base::Task<absl::Status> DoLookup(const LookupRequest* in, LookupReply* out, std::string
//   trace);
//
//   grpc::ServerReadReactor<VerifyRequest>* Verify(grpc::CallbackServerContext* context,
//                                                  VerifyReply* out) override {
//     return rpc::ServeStream<VerifyRequest>(context, executors_->Next(),
//         [this, out, trace = rpc::TraceOf(*context)](rpc::RequestReader<VerifyRequest>* reader) {
//           return DoVerify(reader, out, trace);          // base::Task<absl::Status>
//         });
//   }
//   // in DoVerify: while (auto request = co_await reader->Next()) ...
//
//   grpc::ServerWriteReactor<WatchReply>* Watch(grpc::CallbackServerContext* context,
//                                               const WatchRequest* in) override {
//     return rpc::ServeResponses<WatchReply>(context, executors_->Next(),
//         [this, request = *in](rpc::ResponseWriter<WatchReply>* writer) {
//           return DoWatch(request, writer);              // base::Task<absl::Status>
//         });
//   }
//   // in DoWatch: absl::Status sent = co_await writer->Write(reply);
//
// The task runs on `executor` and ends the call with its Status. `in`, `out`, `reader` and `writer`
// live until then. A stopped executor would leave the call open: stop the rpc::Server first. The
// caller's trace id goes back in the initial metadata. What needs no coroutine is answered at once,
// on gRPC's thread, by Answer().

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "libs/base/executor.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/rpc/status.h"

namespace godwit::rpc {

// The trace id that the caller sent, or "": at most 64 characters of [A-Za-z0-9._-].
std::string TraceOf(const grpc::CallbackServerContext& context);
// The daemon that calls, by its certificate (its first name).
std::string CallerOf(const grpc::CallbackServerContext& context);
// Sends the trace id back; called by the functions below.
void ReturnTrace(grpc::CallbackServerContext* context);

// Ends a unary call here and now.
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status);

grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context, base::Executor* executor,
                                     base::Task<absl::Status> task);

// The requests of a client stream, one after the other. Belongs to one executor.
template <typename Request>
class RequestReader : public grpc::ServerReadReactor<Request> {
 public:
  // The next request; nothing when the client has sent its last one or is gone. While the handler
  // works on one, the next is read from the network and no more: that is the backpressure.
  base::Task<std::optional<Request>> Next() {
    if (!reading_) Read();
    base::Completion<bool> read = read_;
    const bool ok = co_await read;
    reading_ = false;
    if (!ok) co_return std::nullopt;
    Request request = std::move(request_);
    Read();
    co_return request;
  }
  // True when the client is gone or the deadline is over: the reply will not be seen.
  bool cancelled() const { return context_->IsCancelled(); }

  // For ServeStream.
  explicit RequestReader(grpc::CallbackServerContext* context) : context_(context) {}
  void OnReadDone(bool ok) override { read_.Set(ok); }
  void OnDone() override { delete this; }

 private:
  void Read() {
    reading_ = true;
    request_.Clear();
    read_ = base::Completion<bool>();
    this->StartRead(&request_);
  }

  grpc::CallbackServerContext* context_;
  Request request_;
  base::Completion<bool> read_;
  bool reading_ = false;
};

// The responses of a server stream. Belongs to one executor; one Write at a time.
template <typename Response>
class ResponseWriter : public grpc::ServerWriteReactor<Response> {
 public:
  // Resumes when gRPC has taken the response: one waits here, the rest is gRPC's flow control, so a
  // slow client holds the handler up and no memory grows. Cancelled when the client is gone; the
  // handler should end then.
  base::Task<absl::Status> Write(Response response) {
    response_ = std::move(response);
    written_ = base::Completion<bool>();
    base::Completion<bool> written = written_;
    this->StartWrite(&response_);
    const bool ok = co_await written;
    if (!ok) co_return base::Cancelled("the client is gone");
    co_return absl::OkStatus();
  }

  // Has `wake` called once on the executor when the client goes or the deadline is over; at once
  // when that has happened. For a handler that waits for something else than Write(): it sets what
  // the handler waits for. Not called once the handler has ended. Call it once.
  void OnGone(absl::AnyInvocable<void()> wake) {
    wake_->call = std::move(wake);
    if (cancelled()) Wake(wake_);
  }
  // True when the client is gone or the deadline is over.
  bool cancelled() const { return context_->IsCancelled(); }

  // For ServeResponses.
  ResponseWriter(grpc::CallbackServerContext* context, base::Executor* executor)
      : context_(context), executor_(executor) {}
  void Close(const absl::Status& status) {
    wake_->call = nullptr;
    this->Finish(ToGrpc(status));
  }
  void OnWriteDone(bool ok) override { written_.Set(ok); }
  void OnCancel() override {
    executor_->Post([wake = wake_] { Wake(wake); });
  }
  void OnDone() override { delete this; }

 private:
  // Touched on the executor only; outlives this object while a cancellation is on its way.
  struct WakeUp {
    absl::AnyInvocable<void()> call;
  };
  static void Wake(const std::shared_ptr<WakeUp>& wake) {
    if (auto call = std::exchange(wake->call, nullptr)) call();
  }

  grpc::CallbackServerContext* const context_;
  base::Executor* const executor_;
  const std::shared_ptr<WakeUp> wake_ = std::make_shared<WakeUp>();
  Response response_;
  base::Completion<bool> written_;
};

namespace serve_internal {

template <typename Request, typename Handler>
base::Task<void> RunStream(RequestReader<Request>* reader, Handler handler) {
  absl::Status status = co_await handler(reader);
  reader->Finish(ToGrpc(status));
}

template <typename Response, typename Handler>
base::Task<void> RunResponses(ResponseWriter<Response>* writer, Handler handler) {
  absl::Status status = co_await handler(writer);
  writer->Close(status);
}

}  // namespace serve_internal

template <typename Request, typename Handler>
grpc::ServerReadReactor<Request>* ServeStream(grpc::CallbackServerContext* context,
                                              base::Executor* executor, Handler handler) {
  ReturnTrace(context);
  auto* reader = new RequestReader<Request>(context);
  base::SpawnOn(executor, serve_internal::RunStream<Request>(reader, std::move(handler)));
  return reader;
}

template <typename Response, typename Handler>
grpc::ServerWriteReactor<Response>* ServeResponses(grpc::CallbackServerContext* context,
                                                   base::Executor* executor, Handler handler) {
  ReturnTrace(context);
  auto* writer = new ResponseWriter<Response>(context, executor);
  base::SpawnOn(executor, serve_internal::RunResponses<Response>(writer, std::move(handler)));
  return writer;
}

}  // namespace godwit::rpc
