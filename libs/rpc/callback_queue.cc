#include "libs/rpc/callback_queue.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

namespace godwit::rpc {

void KeepCallbackQueue() {
  // A server without a port: it serves nobody, and is never destroyed.
  static const grpc::Server* const keeper = [] {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(new grpc::CallbackGenericService);
    return builder.BuildAndStart().release();
  }();
  (void)keeper;
}

}  // namespace godwit::rpc
