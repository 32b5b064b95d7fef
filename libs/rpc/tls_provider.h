#pragma once

// gRPC's side of TlsFiles. Private to libs/rpc.

#include <grpcpp/security/tls_certificate_provider.h>

#include <algorithm>
#include <memory>

#include "libs/rpc/tls.h"

namespace godwit::rpc {

// Reads the files now, and again when they have changed.
inline std::shared_ptr<grpc::experimental::FileWatcherCertificateProvider> ProviderFor(
    const TlsFiles& files) {
  const int64_t seconds = std::max<int64_t>(1, absl::ToInt64Seconds(files.reload));
  return std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      files.key_file, files.certificate_file, files.ca_file, static_cast<unsigned>(seconds));
}

}  // namespace godwit::rpc
