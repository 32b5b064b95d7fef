#include "libs/store/tls_policy.h"

#include <openssl/sha.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kFind("sts_find", Scope::kDirectory, Access::kRead, R"sql(
  SELECT record_id, mode, mx, max_age_seconds, fetched_at FROM sts_policies WHERE domain = $1)sql");

const db::Statement kUse("sts_use", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE sts_policies SET used_at = $2
  WHERE domain = $1 AND used_at < $2 - interval '6 hours')sql");

const db::Statement kPut("sts_put", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO sts_policies (domain, record_id, mode, mx, max_age_seconds, fetched_at, expires_at,
                            used_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
  ON CONFLICT (domain) DO UPDATE SET record_id = excluded.record_id, mode = excluded.mode,
    mx = excluded.mx, max_age_seconds = excluded.max_age_seconds,
    fetched_at = excluded.fetched_at, expires_at = excluded.expires_at
  WHERE sts_policies.fetched_at <= excluded.fetched_at)sql");

// The first condition is the widest, and has the index.
const db::Statement kTakeDue("sts_take_due", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE sts_policies SET tried_at = $1 WHERE domain IN (
    SELECT domain FROM sts_policies
    WHERE fetched_at + least(interval '1 day', max_age_seconds * interval '0.5 second') <= $1
      AND expires_at > $1 AND used_at > $1 - interval '30 days'
      AND tried_at <= $1 - interval '1 hour'
    ORDER BY greatest(fetched_at, tried_at) LIMIT $2 FOR UPDATE SKIP LOCKED)
  RETURNING domain)sql");

const db::Statement kSeen("tls_policies_add", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO tls_policies_seen (day, domain, policy_key, policy_type, policy, mx_patterns)
  VALUES (($1::timestamptz AT TIME ZONE 'UTC')::date, $2, $3, $4, $5, $6)
  ON CONFLICT DO NOTHING)sql");

// A fixed order of rows, so that two at the same time do not lock each other out.
const db::Statement kAdd("tls_outcomes_add", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO tls_outcomes (day, domain, policy_key, result, mx_host, mx_helo, sending_ip,
                            receiving_ip, reason, sessions)
  SELECT (at AT TIME ZONE 'UTC')::date, domain, key, result, mx_host, mx_helo, sending, receiving,
         reason, sum(sessions)
  FROM unnest($1::timestamptz[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::text[],
              $7::bytea[], $8::bytea[], $9::text[], $10::bigint[])
    AS t (at, domain, key, result, mx_host, mx_helo, sending, receiving, reason, sessions)
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9
  ON CONFLICT (day, domain, policy_key, result, mx_host, mx_helo, sending_ip, receiving_ip, reason)
  DO UPDATE SET sessions = tls_outcomes.sessions + excluded.sessions)sql");

const db::Statement kSweepPolicies("sts_sweep", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM sts_policies WHERE domain IN (
    SELECT domain FROM sts_policies WHERE expires_at < $1 ORDER BY expires_at LIMIT $2))sql");

const db::Statement kSweepOutcomes("tls_outcomes_sweep", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM tls_outcomes WHERE ctid IN (
    SELECT ctid FROM tls_outcomes WHERE day < ($1::timestamptz AT TIME ZONE 'UTC')::date
    LIMIT $2))sql");

const db::Statement kSweepSeen("tls_policies_sweep", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM tls_policies_seen WHERE ctid IN (
    SELECT ctid FROM tls_policies_seen WHERE day < ($1::timestamptz AT TIME ZONE 'UTC')::date
    LIMIT $2))sql");

// Lengths in front, so that no two lists give the same text.
std::string PolicyKey(const TlsOutcome& outcome) {
  std::string text = std::to_string(outcome.policy_type);
  for (const auto* list : {&outcome.policy, &outcome.mx_patterns}) {
    text += '|';
    for (const std::string& each : *list) text += std::to_string(each.size()) + ':' + each;
  }
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), 16);
}

absl::Status AddPolicies(db::Connection& connection, const std::vector<TlsOutcome>& outcomes,
                         const std::vector<std::string>& keys) {
  std::map<std::tuple<int64_t, std::string, std::string>, const TlsOutcome*> policies;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const int64_t day = absl::ToUnixSeconds(outcomes[i].at) / (24 * 60 * 60);
    policies[{day, outcomes[i].domain, keys[i]}] = &outcomes[i];
  }
  for (const auto& [id, outcome] : policies) {
    Params params;
    params.Time(outcome->at).Text(outcome->domain).Bytes(std::get<2>(id));
    params.Int(outcome->policy_type).Texts(outcome->policy).Texts(outcome->mx_patterns);
    GODWIT_RETURN_IF_ERROR(connection.Execute(kSeen, params).status());
  }
  return absl::OkStatus();
}

absl::Status AddCounts(db::Connection& connection, const std::vector<TlsOutcome>& outcomes,
                       const std::vector<std::string>& keys) {
  std::vector<absl::Time> times;
  std::vector<int64_t> results;
  std::vector<int64_t> sessions;
  std::vector<std::string_view> domains, policies, hosts, helos, sending, receiving, reasons;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const TlsOutcome& each = outcomes[i];
    times.push_back(each.at);
    domains.push_back(each.domain);
    policies.push_back(keys[i]);
    results.push_back(each.result);
    hosts.push_back(each.mx_host);
    helos.push_back(each.mx_helo);
    sending.push_back(each.sending_ip);
    receiving.push_back(each.receiving_ip);
    reasons.push_back(each.reason);
    sessions.push_back(each.sessions);
  }
  Params params;
  params.Times(times).Texts(domains).BytesArray(policies).Ints(results).Texts(hosts).Texts(helos);
  params.BytesArray(sending).BytesArray(receiving).Texts(reasons).Ints(sessions);
  return connection.Execute(kAdd, params).status();
}

}  // namespace

absl::StatusOr<std::optional<StsPolicy>> FindStsPolicy(db::Connection& connection,
                                                       std::string_view domain) {
  Params params;
  params.Text(domain);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFind, params));
  if (rows.empty()) return std::optional<StsPolicy>();
  const db::Row row = rows[0];
  StsPolicy policy;
  policy.domain = domain;
  policy.record_id = row.Text(0);
  policy.mode = row.Text(1);
  policy.mx = row.Texts(2);
  policy.max_age = absl::Seconds(row.Int(3));
  policy.fetched = row.Time(4);
  return std::optional(std::move(policy));
}

absl::Status MarkStsPolicyUsed(db::Connection& connection, std::string_view domain,
                               absl::Time now) {
  Params params;
  params.Text(domain).Time(now);
  return connection.Execute(kUse, params).status();
}

absl::Status PutStsPolicy(db::Connection& connection, const StsPolicy& policy, absl::Time now) {
  Params params;
  params.Text(policy.domain).Text(policy.record_id).Text(policy.mode).Texts(policy.mx);
  params.Int(absl::ToInt64Seconds(policy.max_age)).Time(policy.fetched);
  params.Time(policy.fetched + policy.max_age).Time(now);
  return connection.Execute(kPut, params).status();
}

absl::StatusOr<std::vector<std::string>> TakeDueStsPolicies(db::Connection& connection,
                                                            absl::Time now, int most) {
  Params params;
  params.Time(now).Int(most);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kTakeDue, params));
  std::vector<std::string> domains;
  for (db::Row row : rows) domains.emplace_back(row.Text(0));
  return domains;
}

absl::Status AddTlsOutcomes(db::Connection& connection, const std::vector<TlsOutcome>& outcomes) {
  if (outcomes.empty()) return absl::OkStatus();
  std::vector<std::string> keys;
  for (const TlsOutcome& each : outcomes) keys.push_back(PolicyKey(each));
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_RETURN_IF_ERROR(AddPolicies(c, outcomes, keys));
    return AddCounts(c, outcomes, keys);
  });
}

absl::StatusOr<int64_t> SweepTlsPolicy(db::Connection& connection, absl::Time now,
                                       absl::Time oldest, int most) {
  // A policy that has just expired still helps people who look into it.
  Params policies;
  policies.Time(now - absl::Hours(24)).Int(most);
  Params days;
  days.Time(oldest).Int(most);
  GODWIT_ASSIGN_OR_RETURN(auto first, connection.Execute(kSweepPolicies, policies));
  GODWIT_ASSIGN_OR_RETURN(auto second, connection.Execute(kSweepOutcomes, days));
  GODWIT_ASSIGN_OR_RETURN(auto third, connection.Execute(kSweepSeen, days));
  return first.affected() + second.affected() + third.affected();
}

}  // namespace godwit::store
