#include "libs/rpc/tls.h"

#include <unistd.h>

#include "libs/base/status.h"

namespace godwit::rpc {

absl::Status CheckReadable(const TlsFiles& files) {
  for (const std::string* path : {&files.ca_file, &files.certificate_file, &files.key_file}) {
    if (access(path->c_str(), R_OK) != 0) {
      return base::InvalidArgument("the certificate file " + *path + " can't be read");
    }
  }
  return absl::OkStatus();
}

}  // namespace godwit::rpc
