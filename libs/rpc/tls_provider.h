#pragma once

// gRPC's side of TlsFiles. Private to libs/rpc.

#include <grpcpp/security/tls_certificate_provider.h>

#include <memory>

#include "libs/rpc/tls.h"

namespace godwit::rpc {

// Reads the files now, and again when they have changed. All channels and servers of the process
// with the same files share one: each has a thread of its own. Any thread.
std::shared_ptr<grpc::experimental::FileWatcherCertificateProvider> ProviderFor(
    const TlsFiles& files);

}  // namespace godwit::rpc
