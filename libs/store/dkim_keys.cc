#include "libs/store/dkim_keys.h"

#include <array>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kAdd("dkim_add", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO dkim_keys (domain, selector, algorithm, private_key, public_key, created_at)
  VALUES ($1, $2, $3, $4, $5, $6))sql");
const db::Statement kList("dkim_list", Scope::kDirectory, Access::kRead, R"sql(
  SELECT domain, selector, algorithm, public_key, state, created_at, activated_at, retired_at
  FROM dkim_keys WHERE $1 = '' OR domain = $1 ORDER BY domain, selector)sql");
const db::Statement kActivate("dkim_activate", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dkim_keys SET state = 'active',
    activated_at = CASE WHEN state = 'active' THEN activated_at ELSE $3 END
  WHERE domain = $1 AND selector = $2)sql");
const db::Statement kRetire("dkim_retire", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dkim_keys SET state = 'retired',
    retired_at = CASE WHEN state = 'retired' THEN retired_at ELSE $3 END
  WHERE domain = $1 AND selector = $2 AND state <> 'pending')sql");
const db::Statement kRemove("dkim_remove", Scope::kDirectory, Access::kWrite,
                            "DELETE FROM dkim_keys WHERE domain = $1 AND selector = $2 "
                            "AND state <> 'active'");
const db::Statement kExists("dkim_exists", Scope::kDirectory, Access::kRead,
                            "SELECT 1 FROM dkim_keys WHERE domain = $1 AND selector = $2");

// Verifiers that look at the first signature only are the old ones: RSA comes first.
const db::Statement kRight("dkim_right", Scope::kDirectory, Access::kRead, R"sql(
  SELECT may_sign($2, d.name),
         array(SELECT k.key_id FROM dkim_keys k WHERE k.domain = d.name AND k.state = 'active'
               ORDER BY k.algorithm DESC, k.key_id)
  FROM domains d WHERE d.name = $1)sql");
const db::Statement kAccountEnabled("dkim_account_enabled", Scope::kOneAccount, Access::kRead,
                                    "SELECT NOT disabled FROM accounts WHERE account_id = $1");
const db::Statement kPrivate("dkim_private", Scope::kDirectory, Access::kRead, R"sql(
  SELECT key_id, selector, private_key FROM dkim_keys WHERE key_id = ANY ($1)
  ORDER BY array_position($1, key_id))sql");

constexpr std::array<std::string_view, 3> kStateNames = {"pending", "active", "retired"};

DkimKeyState StateFrom(std::string_view name) {
  for (size_t i = 0; i < kStateNames.size(); ++i) {
    if (kStateNames[i] == name) return static_cast<DkimKeyState>(i);
  }
  return DkimKeyState::kRetired;
}

// RFC 6376 §3.1: labels with dots between; those of host names (RFC 5890) are enough.
bool IsSelector(std::string_view selector) {
  if (selector.size() > 63) return false;
  for (const std::string_view label : base::Split(selector, '.')) {
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    for (const char c : label) {
      if (!base::IsAlnum(c) && c != '-') return false;
    }
  }
  return true;
}

// What a statement that touched no row means.
absl::Status Explain(db::Connection& connection, const Params& key,
                     std::string_view in_this_state) {
  GODWIT_ASSIGN_OR_RETURN(const auto rows, connection.Execute(kExists, key));
  if (rows.empty()) return base::NotFound("the domain has no key with this selector");
  return base::FailedPrecondition(in_this_state);
}

Params KeyName(std::string_view domain, std::string_view selector) {
  Params params;
  params.Text(base::Lower(domain)).Text(base::Lower(selector));
  return params;
}

}  // namespace

std::string_view DkimKeyStateName(DkimKeyState state) {
  return kStateNames[static_cast<size_t>(state)];
}

absl::Status AddDkimKey(db::Connection& connection, const DkimKey& key,
                        const base::Secret& private_key, absl::Time now) {
  if (!IsSelector(key.selector)) return base::InvalidArgument("not a selector");
  if (key.algorithm != "rsa-sha256" && key.algorithm != "ed25519-sha256") {
    return base::InvalidArgument("unknown algorithm");
  }
  Params params = KeyName(key.domain, key.selector);
  params.Text(key.algorithm).Bytes(private_key.Reveal()).Bytes(key.public_key).Time(now);
  const absl::Status added = connection.Execute(kAdd, params).status();
  switch (added.code()) {
    case absl::StatusCode::kFailedPrecondition:
      return base::FailedPrecondition("the domain is not ours");
    case absl::StatusCode::kAlreadyExists:
      return base::AlreadyExists("the domain has a key with this selector");
    default: return added;
  }
}

absl::StatusOr<std::vector<DkimKey>> ListDkimKeys(db::Connection& connection,
                                                  std::string_view domain) {
  GODWIT_ASSIGN_OR_RETURN(const auto rows,
                          connection.Execute(kList, Params().Text(base::Lower(domain))));
  std::vector<DkimKey> keys;
  for (const db::Row row : rows) {
    DkimKey key;
    key.domain = row.Text(0);
    key.selector = row.Text(1);
    key.algorithm = row.Text(2);
    key.public_key = row.Bytes(3);
    key.state = StateFrom(row.Text(4));
    key.created = row.Time(5);
    key.activated = row.OptionalTime(6);
    key.retired = row.OptionalTime(7);
    keys.push_back(std::move(key));
  }
  return keys;
}

absl::Status ActivateDkimKey(db::Connection& connection, std::string_view domain,
                             std::string_view selector, absl::Time now) {
  Params params = KeyName(domain, selector);
  params.Time(now);
  GODWIT_ASSIGN_OR_RETURN(const auto done, connection.Execute(kActivate, params));
  if (done.affected() > 0) return absl::OkStatus();
  return base::NotFound("the domain has no key with this selector");
}

absl::Status RetireDkimKey(db::Connection& connection, std::string_view domain,
                           std::string_view selector, absl::Time now) {
  Params params = KeyName(domain, selector);
  params.Time(now);
  GODWIT_ASSIGN_OR_RETURN(const auto done, connection.Execute(kRetire, params));
  if (done.affected() > 0) return absl::OkStatus();
  return Explain(connection, KeyName(domain, selector), "the key never signed: remove it");
}

absl::Status RemoveDkimKey(db::Connection& connection, std::string_view domain,
                           std::string_view selector) {
  const Params params = KeyName(domain, selector);
  GODWIT_ASSIGN_OR_RETURN(const auto done, connection.Execute(kRemove, params));
  if (done.affected() > 0) return absl::OkStatus();
  return Explain(connection, params, "the key is active: retire it first");
}

absl::StatusOr<SigningRight> LookupSigningRight(db::Connection& connection, AccountId account,
                                                std::string_view domain) {
  const std::array<db::Connection::Call, 2> calls = {
      db::Connection::Call{&kRight, Params().Text(base::Lower(domain)).Int(ToInt(account))},
      db::Connection::Call{&kAccountEnabled, Params().Int(ToInt(account))}};
  GODWIT_ASSIGN_OR_RETURN(const auto results,
                          connection.ExecutePipeline(calls, db::Isolation::kSnapshotReadOnly));
  SigningRight right;
  if (results[0].empty()) return right;
  const bool enabled = !results[1].empty() && results[1][0].Bool(0);
  right.ours = true;
  right.permitted = enabled && results[0][0].Bool(0);
  right.key_ids = results[0][0].Ints(1);
  return right;
}

absl::StatusOr<std::vector<StoredSigningKey>> ReadSigningKeys(db::Connection& connection,
                                                              const std::vector<int64_t>& key_ids) {
  GODWIT_ASSIGN_OR_RETURN(const auto rows, connection.Execute(kPrivate, Params().Ints(key_ids)));
  std::vector<StoredSigningKey> keys;
  for (const db::Row row : rows) {
    keys.push_back({row.Int(0), std::string(row.Text(1)), base::Secret(row.Bytes(2))});
  }
  return keys;
}

}  // namespace godwit::store
