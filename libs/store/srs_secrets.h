#pragma once

// The secrets that envelope senders are signed with when mail is forwarded (libs/srs): in the
// directory, so that what one replica signs every other verifies.

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/secret.h"
#include "libs/db/connection.h"

namespace godwit::store {

// The newest first; there is always one.
absl::StatusOr<std::vector<base::Secret>> ListSrsSecrets(db::Connection& connection);

// `secret` (16 octets or more) signs from now on. Those that have signed nothing for `keep` go.
absl::Status AddSrsSecret(db::Connection& connection, const base::Secret& secret, absl::Time now,
                          absl::Duration keep);

}  // namespace godwit::store
