#include "services/smtp-ingress/certificate_watch.h"

#include <sys/stat.h>

#include <utility>

namespace godwit::smtp_ingress {

CertificateWatch::CertificateWatch(std::shared_ptr<net::TlsContext> context,
                                   std::vector<std::string> files)
    : context_(std::move(context)), files_(std::move(files)), seen_(Look()) {}

CertificateWatch::State CertificateWatch::Look() const {
  State state;
  for (const std::string& file : files_) {
    struct stat info = {};
    if (::stat(file.c_str(), &info) != 0) info = {};
    state.push_back(info.st_mtim.tv_sec * int64_t{1000000000} + info.st_mtim.tv_nsec);
    state.push_back(info.st_size);
    state.push_back(static_cast<int64_t>(info.st_ino));
  }
  return state;
}

absl::Status CertificateWatch::Check() {
  State now = Look();
  if (now == seen_) return absl::OkStatus();
  absl::Status reloaded = context_->Reload();
  if (reloaded.ok()) seen_ = std::move(now);
  return reloaded;
}

}  // namespace godwit::smtp_ingress
