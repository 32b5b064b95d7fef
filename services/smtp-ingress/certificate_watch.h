#pragma once

// CertificateWatch: has a TLS context read its files again when one of them changed. Looks at
// times, sizes and inodes only; a file that is replaced by renaming is seen too.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "libs/net/tls_context.h"

namespace godwit::smtp_ingress {

class CertificateWatch {
 public:
  CertificateWatch(std::shared_ptr<net::TlsContext> context, std::vector<std::string> files);

  // Call now and then, on one thread. A context that does not reload keeps what it has, and is
  // tried again the next time: a chain and its key are two files, and may be written one after the
  // other. OK when nothing changed.
  absl::Status Check();

 private:
  using State = std::vector<int64_t>;
  State Look() const;

  const std::shared_ptr<net::TlsContext> context_;
  const std::vector<std::string> files_;
  State seen_;
};

}  // namespace godwit::smtp_ingress
