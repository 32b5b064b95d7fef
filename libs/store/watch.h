#pragma once

// Watchers: which gateways hold which accounts, so that a change is told to those only.
//
// A gateway process registers itself (an incarnation with a random id and the address that hints go
// to) and beats every few seconds. When its first session opens an account it calls WatchAccount,
// which returns the account's modseq: everything up to it is to be read from the store, everything
// after comes as a hint or with the slow poll. The functions that change an account return its
// watchers. Hints may be lost; the change log is what counts.
//
// The tables are UNLOGGED: a crash of PostgreSQL empties them. The gateway's own row is the
// sentinel: Heartbeat answers NotFound when it is gone, and the gateway registers anew and watches
// all its accounts again. Heartbeats use the database's clock, as leases do.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

enum class GatewayId : int64_t {};

// `daemon` is "imap-gateway" or "webmail-api", `address` the host:port of its Hint service.
absl::Status RegisterGateway(db::Connection& connection, GatewayId gateway, std::string_view daemon,
                             std::string_view address);

// Keeps the registration; also removes gateways silent for longer than `stale`. NotFound: the
// registration is gone, with all watchers.
absl::Status Heartbeat(db::Connection& connection, GatewayId gateway,
                       absl::Duration stale = absl::Seconds(60));

absl::Status UnregisterGateway(db::Connection& connection, GatewayId gateway);

// From the returned modseq on no change goes untold: the account's row is locked for this.
// NotFound without such an account; FailedPrecondition when the gateway is not registered.
absl::StatusOr<Modseq> WatchAccount(db::Connection& connection, AccountId account,
                                    GatewayId gateway);
absl::Status UnwatchAccount(db::Connection& connection, AccountId account, GatewayId gateway);

// The slow poll: the modseqs of many accounts, in this order; 0 for one that does not exist.
absl::StatusOr<std::vector<Modseq>> GetModseqs(db::Connection& connection,
                                               std::span<const AccountId> accounts);

}  // namespace godwit::store
