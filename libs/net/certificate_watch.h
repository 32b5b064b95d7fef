#pragma once

// CertificateWatch: has TLS contexts read their files again when one of these changed. Looks at
// times, sizes and inodes only; a file that is replaced by renaming is seen too.
//
//   net::CertificateWatch watch;
//   watch.Add(context);                                       // before Run()
//   base::SpawnOn(reactor, watch.Run(reactor, absl::Seconds(10)));
//   ...
//   watch.Check();                                            // on SIGHUP
//
// Connections keep the certificates they began with (tls_context.h). Any thread, but for Add().

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/net/reactor.h"
#include "libs/net/tls_context.h"

namespace godwit::net {

class CertificateWatch {
 public:
  void Add(std::shared_ptr<TlsContext> context);

  // Looks at all files now. A context that does not reload keeps what it has, and is tried again
  // the next time: a chain and its key are two files, and may be written one after the other. The
  // first error; OK when nothing changed.
  absl::Status Check();

  // Check() every `interval`, until the reactor stops. What goes wrong is logged once as long as it
  // stays the same. The watch outlives it.
  base::Task<void> Run(Reactor* reactor, absl::Duration interval);

 private:
  using State = std::vector<int64_t>;
  struct Watched {
    std::shared_ptr<TlsContext> context;
    std::vector<std::string> files;
    State seen;
  };
  static State Look(const std::vector<std::string>& files);

  std::mutex mutex_;
  std::vector<Watched> watched_;  // guarded by mutex_
};

}  // namespace godwit::net
