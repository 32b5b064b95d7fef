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
// The task runs on `executor` and ends the call with its Status. `in`, `out` and `reader` live
// until then. A stopped executor would leave the call open: stop the rpc::Server first. The
// caller's trace id goes back in the initial metadata.

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "libs/base/executor.h"
#include "libs/base/task.h"
#include "libs/rpc/status.h"

namespace godwit::rpc {

// The trace id that the caller sent, or "": at most 64 characters of [A-Za-z0-9._-].
std::string TraceOf(const grpc::CallbackServerContext& context);
// The daemon that calls, by its certificate (its first name).
std::string CallerOf(const grpc::CallbackServerContext& context);
// Sends the trace id back; called by the Serve functions.
void ReturnTrace(grpc::CallbackServerContext* context);

grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context, base::Executor* executor,
                                     base::Task<absl::Status> task);

// The requests of a client stream, one after the other. Belongs to one executor.
template <typename Request>
class RequestReader : public grpc::ServerReadReactor<Request> {
 public:
  // The next request; nothing when the client has sent its last one or is gone. The next is read
  // from the network only when asked for: that is the backpressure.
  base::Task<std::optional<Request>> Next() {
    read_ = base::Completion<bool>();
    base::Completion<bool> read = read_;
    this->StartRead(&request_);
    const bool ok = co_await read;
    if (!ok) co_return std::nullopt;
    co_return std::move(request_);
  }
  // True when the client is gone or the deadline is over: the reply will not be seen.
  bool cancelled() const { return context_->IsCancelled(); }

  // For ServeStream.
  explicit RequestReader(grpc::CallbackServerContext* context) : context_(context) {}
  void OnReadDone(bool ok) override { read_.Set(ok); }
  void OnDone() override { delete this; }

 private:
  grpc::CallbackServerContext* context_;
  Request request_;
  base::Completion<bool> read_;
};

namespace serve_internal {

template <typename Request, typename Handler>
base::Task<void> RunStream(RequestReader<Request>* reader, Handler handler) {
  absl::Status status = co_await handler(reader);
  reader->Finish(ToGrpc(status));
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

}  // namespace godwit::rpc
