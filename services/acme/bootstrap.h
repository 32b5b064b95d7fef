#pragma once

// What has to be there before acme can run: authorities, and for each daemon a first certificate of
// mutual TLS, with which it calls acme.

#include <string>

#include "absl/status/status.h"
#include "libs/base/clock.h"
#include "services/acme/config.pb.h"

namespace godwit::acme {

// Makes what is missing in the database, renews what is due, and writes into `folder`:
//
//   NAME/rpc.pem, NAME/rpc-ca.pem, NAME/....pem   the bundle of each daemon (libs/certificates)
//   public/ca.pem                                 who signs what clients see: theirs to trust
//
// NAME/ is what the daemon's configuration names as its folder, here or on another machine. What is
// there already and right stays as it is, so this may run at any time, and as often as one likes.
//
// An authority that was made before acme was is taken over: from `folder`/public/ca.{pem,key} and
// `folder`/mesh/ca.{pem,key}, when the database has none; its key's file is removed then.
absl::Status Bootstrap(const Config& config, const std::string& folder, const base::Clock* clock);

}  // namespace godwit::acme
