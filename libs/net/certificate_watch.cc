#include "libs/net/certificate_watch.h"

#include <sys/stat.h>

#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"

namespace godwit::net {

void CertificateWatch::Add(std::shared_ptr<TlsContext> context) {
  std::lock_guard lock(mutex_);
  Watched& watched = watched_.emplace_back();
  // What it has seen is not known: the files may have changed since the context read them.
  watched.files = context->files();
  watched.context = std::move(context);
}

CertificateWatch::State CertificateWatch::Look(const std::vector<std::string>& files) {
  State state;
  for (const std::string& file : files) {
    struct stat info = {};
    if (::stat(file.c_str(), &info) != 0) info = {};
    state.push_back(info.st_mtim.tv_sec * int64_t{1000000000} + info.st_mtim.tv_nsec);
    state.push_back(info.st_size);
    state.push_back(static_cast<int64_t>(info.st_ino));
  }
  return state;
}

absl::Status CertificateWatch::Check() {
  std::lock_guard lock(mutex_);
  absl::Status first;
  for (Watched& watched : watched_) {
    State now = Look(watched.files);
    if (now == watched.seen) continue;
    absl::Status reloaded = watched.context->Reload();
    if (reloaded.ok()) watched.seen = std::move(now);
    first.Update(reloaded);
  }
  return first;
}

base::Task<void> CertificateWatch::Run(Reactor* reactor, absl::Duration interval) {
  absl::Status last;
  for (;;) {
    const bool running = co_await reactor->Sleep(interval);
    if (!running) co_return;
    absl::Status status = Check();
    if (!status.ok() && status != last) {
      obs::Log(obs::Level::kWarning, "certificates not reloaded", {{"status", status}});
    }
    last = std::move(status);
  }
}

}  // namespace godwit::net
