#include "libs/store/dkim_rotation.h"

#include <array>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kFind("dkim_rotation_find", Scope::kDirectory, Access::kRead, R"sql(
  SELECT selector, state, started_at, seen_at, ttl_seconds, switched_at, old_selectors, done_at
  FROM dkim_rotations WHERE domain = $1 AND algorithm = $2)sql");
const db::Statement kDropDone("dkim_rotation_drop_done", Scope::kDirectory, Access::kWrite,
                              "DELETE FROM dkim_rotations WHERE domain = $1 AND algorithm = $2 "
                              "AND state = 'done'");
const db::Statement kStart("dkim_rotation_start", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO dkim_rotations (domain, algorithm, selector, started_at) VALUES ($1, $2, $3, $4))sql");
const db::Statement kSeen("dkim_rotation_seen", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dkim_rotations SET state = 'wait', seen_at = coalesce(seen_at, $4),
    ttl_seconds = greatest(ttl_seconds, $5)
  WHERE domain = $1 AND algorithm = $2 AND selector = $3 AND state IN ('publish', 'wait'))sql");
const db::Statement kNotSeen("dkim_rotation_not_seen", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dkim_rotations SET state = 'publish', seen_at = NULL
  WHERE domain = $1 AND algorithm = $2 AND selector = $3 AND state IN ('publish', 'wait'))sql");
const db::Statement kSwitched("dkim_rotation_switched", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dkim_rotations SET state = 'retire', switched_at = $4, old_selectors = $5
  WHERE domain = $1 AND algorithm = $2 AND selector = $3 AND state = 'wait')sql");
const db::Statement kOthers("dkim_rotation_others", Scope::kDirectory, Access::kWrite, R"sql(
  SELECT selector FROM dkim_keys
  WHERE domain = $1 AND algorithm = $2 AND selector <> $3 AND state = 'active'
  ORDER BY selector FOR UPDATE)sql");
const db::Statement kForget("dkim_rotation_forget", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM dkim_keys WHERE domain = $1 AND selector = ANY ($2) AND state = 'retired')sql");
const db::Statement kDone("dkim_rotation_done", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dkim_rotations SET state = 'done', done_at = $4
  WHERE domain = $1 AND algorithm = $2 AND selector = $3 AND state = 'retire')sql");

constexpr std::array<std::string_view, 4> kStateNames = {"publish", "wait", "retire", "done"};

RotationState StateFrom(std::string_view name) {
  for (size_t i = 0; i < kStateNames.size(); ++i) {
    if (kStateNames[i] == name) return static_cast<RotationState>(i);
  }
  return RotationState::kDone;
}

Params Key(std::string_view domain, std::string_view algorithm) {
  Params params;
  params.Text(base::Lower(domain)).Text(algorithm);
  return params;
}

Params Key(const DkimRotation& rotation) {
  Params params = Key(rotation.domain, rotation.algorithm);
  params.Text(rotation.selector);
  return params;
}

// Somebody else took the step, or another rotation is under way.
absl::Status OneRow(const absl::StatusOr<db::Result>& done) {
  GODWIT_RETURN_IF_ERROR(done.status());
  if (done->affected() == 1) return absl::OkStatus();
  return base::FailedPrecondition("the rotation is in another state by now");
}

}  // namespace

std::string_view RotationStateName(RotationState state) {
  return kStateNames[static_cast<size_t>(state)];
}

absl::StatusOr<std::optional<DkimRotation>> FindDkimRotation(db::Connection& connection,
                                                             std::string_view domain,
                                                             std::string_view algorithm) {
  GODWIT_ASSIGN_OR_RETURN(const auto rows, connection.Execute(kFind, Key(domain, algorithm)));
  std::optional<DkimRotation> found;
  for (const db::Row row : rows) {
    DkimRotation rotation;
    rotation.domain = base::Lower(domain);
    rotation.algorithm = algorithm;
    rotation.selector = row.Text(0);
    rotation.state = StateFrom(row.Text(1));
    rotation.started = row.Time(2);
    rotation.seen = row.OptionalTime(3);
    rotation.ttl = absl::Seconds(row.Int(4));
    rotation.switched = row.OptionalTime(5);
    rotation.old_selectors = row.Texts(6);
    rotation.done = row.OptionalTime(7);
    found = std::move(rotation);
  }
  return found;
}

absl::Status StartDkimRotation(db::Connection& connection, const DkimKey& key,
                               const base::Secret& private_key, absl::Time now) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_RETURN_IF_ERROR(c.Execute(kDropDone, Key(key.domain, key.algorithm)).status());
    GODWIT_RETURN_IF_ERROR(AddDkimKey(c, key, private_key, now));
    Params params = Key(key.domain, key.algorithm);
    params.Text(base::Lower(key.selector)).Time(now);
    const absl::Status started = c.Execute(kStart, params).status();
    if (started.code() != absl::StatusCode::kAlreadyExists) return started;
    return base::FailedPrecondition("a rotation is under way");
  });
}

absl::Status NoteDkimRecord(db::Connection& connection, const DkimRotation& rotation,
                            std::optional<absl::Duration> ttl, absl::Time now) {
  Params params = Key(rotation);
  if (!ttl) return OneRow(connection.Execute(kNotSeen, params));
  params.Time(now).Int(absl::ToInt64Seconds(*ttl));
  return OneRow(connection.Execute(kSeen, params));
}

absl::Status SwitchDkimKeys(db::Connection& connection, const DkimRotation& rotation,
                            absl::Time now) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_ASSIGN_OR_RETURN(const auto rows, c.Execute(kOthers, Key(rotation)));
    std::vector<std::string> old;
    for (const db::Row row : rows) old.emplace_back(row.Text(0));
    Params params = Key(rotation);
    params.Time(now).Texts(old);
    GODWIT_RETURN_IF_ERROR(OneRow(c.Execute(kSwitched, params)));
    GODWIT_RETURN_IF_ERROR(ActivateDkimKey(c, rotation.domain, rotation.selector, now));
    for (const std::string& selector : old) {
      GODWIT_RETURN_IF_ERROR(RetireDkimKey(c, rotation.domain, selector, now));
    }
    return absl::OkStatus();
  });
}

absl::Status FinishDkimRotation(db::Connection& connection, const DkimRotation& rotation,
                                absl::Time now) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    Params params = Key(rotation);
    params.Time(now);
    GODWIT_RETURN_IF_ERROR(OneRow(c.Execute(kDone, params)));
    Params old;
    old.Text(rotation.domain).Texts(rotation.old_selectors);
    return c.Execute(kForget, old).status();
  });
}

}  // namespace godwit::store
