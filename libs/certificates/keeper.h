#pragma once

// Keeper: keeps the certificates of a daemon as acme pushes them.
//
//   // in Server::Start(), before certificate files are read
//   GODWIT_ASSIGN_OR_RETURN(keeper_, certificates::Keep(config_, &certificates_));
//
// `certificates_` is the daemon's net::CertificateWatch, or nullptr. Without a section
// `certificates` the result is a null pointer, and somebody else keeps the files.
//
// It watches acme (rpc::Subscription), writes what comes and fits together into the folder
// (bundle.h), and has the watch look at once; gRPC sees the new files by itself (libs/rpc/tls.h).
// Connections keep the certificates they began with. While acme is away the files stay as they are.
// It has a reactor of its own, because flushing files to the disk takes its time.

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/net/certificate_watch.h"
#include "libs/rpc/tls.h"

namespace godwit::config::v1 {
class Certificates;
class RpcTls;
class Tls;
}  // namespace godwit::config::v1

namespace godwit::certificates {

struct KeeperOptions {
  std::string target;  // of acme
  std::string folder;
  rpc::TlsFiles tls;
  // Files that must be there before Start() returns: public certificates, at the first start.
  std::vector<std::string> needed = {};
  absl::Duration patience = absl::Seconds(30);
  // When files have changed, on a thread of the keeper.
  std::function<void()> changed = nullptr;
};

class Keeper {
 public:
  // Blocks until the needed files are there. InvalidArgument when the files of mutual TLS can't be
  // read, DeadlineExceeded when the needed ones do not come.
  static absl::StatusOr<std::unique_ptr<Keeper>> Start(KeeperOptions options);
  // From the sections of a configuration; `tls` and `watch` may be null.
  static absl::StatusOr<std::unique_ptr<Keeper>> Start(const config::v1::Certificates& section,
                                                       const config::v1::RpcTls& rpc_tls,
                                                       const config::v1::Tls* tls,
                                                       net::CertificateWatch* watch);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

 private:
  struct State;
  explicit Keeper(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

template <typename Config>
absl::StatusOr<std::unique_ptr<Keeper>> Keep(const Config& config, net::CertificateWatch* watch) {
  if (!config.has_certificates()) return std::unique_ptr<Keeper>();
  const config::v1::Tls* tls = nullptr;
  if constexpr (requires { config.tls(); }) {
    if (config.has_tls()) tls = &config.tls();
  }
  return Keeper::Start(config.certificates(), config.rpc_tls(), tls, watch);
}

}  // namespace godwit::certificates
