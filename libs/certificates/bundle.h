#pragma once

// Bundle: the certificates of one daemon, and the folder they are kept in.
//
//   rpc.pem      certificate and key of mutual TLS between daemons
//   rpc-ca.pem   who signs those
//   NAME.pem     certificate and key of the public certificate NAME
//
// Certificate and key are one file, so that one rename replaces both: a reader never sees halves of
// two. Chain first, leaf first of all.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/base/secret.h"

namespace godwit::certificates {

inline constexpr char kRpcFile[] = "rpc.pem";
inline constexpr char kRpcAuthoritiesFile[] = "rpc-ca.pem";

struct Identity {
  std::string name;
  std::string chain_pem;
  base::Secret key_pem;
};

struct Bundle {
  Identity rpc;
  std::string rpc_authorities_pem;
  std::vector<Identity> public_ones;
};

// Letters, digits, '.', '-' and '_', at most 200, not beginning with '.', and none of the two names
// above: what may be the name of a public certificate.
bool IsCertificateName(std::string_view name);

// Writes what differs from what is there, each file whole: written beside, flushed, renamed. The
// folder (made when it is not there, 0700) and the files (0600) are the owner's alone. True when
// something changed. InvalidArgument for a name that is none, Unavailable when a file can't be
// written: the others are tried. Files of certificates that are not in the bundle stay. Blocks.
absl::StatusOr<bool> WriteBundle(const std::string& folder, const Bundle& bundle);

// One file, as WriteBundle does. True when it was changed.
absl::StatusOr<bool> ReplaceFile(const std::string& path, std::string_view contents);

}  // namespace godwit::certificates
