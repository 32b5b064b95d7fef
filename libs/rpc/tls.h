#pragma once

// The files of one side of mutual TLS between daemons. All are PEM. They are read again when they
// change (looked at each `reload`), without a restart; connections that stand stay. Certificate and
// key may be in one file, which is then replaced at once by renaming (libs/certificates does so).

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace godwit::rpc {

struct TlsFiles {
  std::string ca_file;           // who signs the daemons
  std::string certificate_file;  // ours; its SAN DNS name (else its CN) is the daemon's name
  std::string key_file;
  absl::Duration reload = absl::Seconds(5);  // at least one second
};

// InvalidArgument with the name of the first file that can't be read.
absl::Status CheckReadable(const TlsFiles& files);

}  // namespace godwit::rpc
