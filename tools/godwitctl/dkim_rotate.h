#pragma once

// godwitctl dkim rotate: a signing key is changed for a new one, step by step (libs/store/
// dkim_rotation.h). A run takes every step that is due and says what the next one waits for, so
// that running it again, by hand or by cron, is all there is to do; a run that breaks off is taken
// up by the next.
//
// The record has to be seen at every look from the first one on for as long as its TTL, and `wait`
// at least: a cache that knew that there is no record forgets it in that time. The old keys sign
// until then, and no more afterwards; their records stay in the DNS for `retire_after`.

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/dkim/keys.h"
#include "libs/dns/resolver.h"
#include "tools/godwitctl/report.h"

namespace godwit::ctl {

struct RotateOptions {
  std::string domain;  // A-labels, lower case
  dkim::KeyType type = dkim::KeyType::kRsa;
  int bits = 2048;
  std::string selector;  // of the new key; "" is made of the date
  absl::Duration wait = absl::Hours(1);
  absl::Duration retire_after = absl::Hours(168);
  // A new rotation begins only when the key that signs is older than this.
  std::optional<absl::Duration> older_than;
  // A new rotation begins although the last one is done.
  bool again = false;
};

// `resolver` without a cache of its own, so that TTLs are fresh. What the DNS does not say now is
// no error: the report tells it.
absl::StatusOr<Report> RotateKey(db::Connection& connection, dns::Resolver* resolver,
                                 const RotateOptions& options, absl::Time now);

}  // namespace godwit::ctl
