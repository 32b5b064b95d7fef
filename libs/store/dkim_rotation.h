#pragma once

// The rotation of a DKIM key, kept in the store, so that it goes on where it stood whoever runs the
// next step, and whenever.
//
//   publish   the new key is pending; its record is not in the DNS yet, or went away
//   wait      the record is seen; caches may still know that there is none
//   retire    the new key signs, the old ones are retired; mail they signed is under way
//   done      the old keys are forgotten
//
// Forward only, but for wait -> publish. For administrators; a domain has one rotation for each
// algorithm. Names as in dkim_keys.h.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/secret.h"
#include "libs/db/connection.h"
#include "libs/store/dkim_keys.h"

namespace godwit::store {

enum class RotationState : uint8_t { kPublish, kWait, kRetire, kDone };
std::string_view RotationStateName(RotationState state);  // "publish"

struct DkimRotation {
  std::string domain;
  std::string algorithm;
  std::string selector;  // of the new key
  RotationState state = RotationState::kPublish;
  absl::Time started;
  std::optional<absl::Time> seen;      // since when the record is seen at every look
  absl::Duration ttl;                  // the longest that was seen
  std::optional<absl::Time> switched;  // since when the new key signs
  std::vector<std::string> old_selectors;
  std::optional<absl::Time> done;
};

// The one of this domain and algorithm; nothing when there never was one, or its key is gone.
absl::StatusOr<std::optional<DkimRotation>> FindDkimRotation(db::Connection& connection,
                                                             std::string_view domain,
                                                             std::string_view algorithm);
// Adds the pending key and begins its rotation, in the place of one that is done.
// FailedPrecondition while one is under way, and as AddDkimKey().
absl::Status StartDkimRotation(db::Connection& connection, const DkimKey& key,
                               const base::Secret& private_key, absl::Time now);
// What a look into the DNS gave: the record with its TTL, or nothing. publish -> wait, wait ->
// publish.
absl::Status NoteDkimRecord(db::Connection& connection, const DkimRotation& rotation,
                            std::optional<absl::Duration> ttl, absl::Time now);
// wait -> retire: the new key signs, and all others of the algorithm that signed do so no more.
// FailedPrecondition in another state.
absl::Status SwitchDkimKeys(db::Connection& connection, const DkimRotation& rotation,
                            absl::Time now);
// retire -> done: forgets the old keys, but for those that were activated again.
absl::Status FinishDkimRotation(db::Connection& connection, const DkimRotation& rotation,
                                absl::Time now);

}  // namespace godwit::store
