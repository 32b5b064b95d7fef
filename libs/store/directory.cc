#include "libs/store/directory.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// $1 local part, $2 domain. The exact address comes before the one without its tag.
const db::Statement kLookup("directory_lookup", Scope::kDirectory, Access::kRead, R"sql(
  SELECT d.disabled, d.catch_all_account,
         coalesce(d.postmaster_account,
                  (SELECT s.value::bigint FROM settings s WHERE s.name = 'postmaster')),
         x.local_part, x.account_id, x.alias_id, l.public_posting
  FROM domains d
  LEFT JOIN LATERAL (
    SELECT a.local_part, a.account_id, a.alias_id FROM addresses a
    WHERE a.domain = d.name AND a.local_part IN ($1,
      CASE WHEN d.separator <> '' AND position(d.separator IN $1) > 1
           THEN left($1, position(d.separator IN $1) - 1) END)
    ORDER BY a.local_part = $1 DESC LIMIT 1) x ON true
  LEFT JOIN aliases l ON l.alias_id = x.alias_id
  WHERE d.name = $2)sql");

const db::Statement kPostmaster("directory_postmaster", Scope::kDirectory, Access::kRead,
                                "SELECT value::bigint FROM settings WHERE name = 'postmaster'");

// Members with the account of those that are ours; `ours` without an account is a dead member.
const db::Statement kMembers("directory_members", Scope::kDirectory, Access::kRead, R"sql(
  SELECT m.local_part || '@' || m.domain, d.name IS NOT NULL AS ours, a.account_id
  FROM alias_members m
  LEFT JOIN domains d ON d.name = m.domain
  LEFT JOIN addresses a ON a.domain = m.domain AND a.local_part = m.local_part
  WHERE m.alias_id = $1 ORDER BY 1)sql");

const db::Statement kIsMember("directory_is_member", Scope::kDirectory, Access::kRead, R"sql(
  SELECT 1 FROM alias_members m
  JOIN addresses a ON a.domain = m.domain AND a.local_part = m.local_part
  WHERE m.alias_id = $1 AND a.account_id = $2 LIMIT 1)sql");

const db::Statement kAccounts("directory_accounts", Scope::kBatch, Access::kRead,
                              "SELECT account_id, disabled, used_bytes, quota_bytes FROM accounts "
                              "WHERE account_id = ANY ($1)");

const db::Statement kDomain("directory_domain", Scope::kDirectory, Access::kRead,
                            "SELECT NOT disabled FROM domains WHERE name = $1");

const db::Statement kFindAccount(
    "directory_find_account", Scope::kDirectory, Access::kRead,
    "SELECT account_id FROM addresses WHERE domain = $2 AND local_part = $1 "
    "AND account_id IS NOT NULL");

// Fills disabled, used and quota; accounts that are gone are dropped.
absl::Status FillAccounts(db::Connection& connection, std::vector<LocalRecipient>* recipients) {
  if (recipients->empty()) return absl::OkStatus();
  std::vector<int64_t> ids;
  for (const LocalRecipient& recipient : *recipients) ids.push_back(ToInt(recipient.account));
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kAccounts, Params().Ints(ids)));
  std::vector<LocalRecipient> known;
  for (LocalRecipient& recipient : *recipients) {
    for (db::Row row : rows) {
      if (row.Int(0) != ToInt(recipient.account)) continue;
      recipient.disabled = row.Bool(1);
      recipient.used_bytes = row.Int(2);
      recipient.quota_bytes = row.Int(3);
      known.push_back(std::move(recipient));
      break;
    }
  }
  *recipients = std::move(known);
  return absl::OkStatus();
}

bool Has(const std::vector<LocalRecipient>& recipients, AccountId account) {
  return std::any_of(recipients.begin(), recipients.end(),
                     [&](const LocalRecipient& r) { return r.account == account; });
}

absl::Status ExpandAlias(db::Connection& connection, int64_t alias_id, Recipient* recipient) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kMembers, Params().Int(alias_id)));
  for (db::Row row : rows) {
    if (!row.Bool(1)) {
      recipient->external.emplace_back(row.Text(0));
      continue;
    }
    const std::optional<int64_t> account = row.OptionalInt(2);
    if (!account || Has(recipient->local, AccountId{*account})) continue;
    recipient->local.push_back({AccountId{*account}, std::string(row.Text(0))});
  }
  return FillAccounts(connection, &recipient->local);
}

absl::StatusOr<Recipient> ToAccount(db::Connection& connection, int64_t account,
                                    const std::string& address, Recipient recipient) {
  recipient.kind = RecipientKind::kAccount;
  recipient.local.push_back({AccountId{account}, address});
  GODWIT_RETURN_IF_ERROR(FillAccounts(connection, &recipient.local));
  if (recipient.local.empty()) recipient.kind = RecipientKind::kUnknownUser;
  return recipient;
}

// RFC 5321 §4.5.1: <postmaster> without a domain has to be accepted.
absl::StatusOr<Recipient> LookupBarePostmaster(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kPostmaster, Params()));
  if (rows.empty()) return Recipient{.kind = RecipientKind::kUnknownUser};
  return ToAccount(connection, rows[0].Int(0), "postmaster", {});
}

// What the directory's row says about `local` at `domain`.
absl::StatusOr<Recipient> Decide(db::Connection& connection, const std::string& local,
                                 const std::string& domain, const db::Row& row) {
  Recipient recipient;
  if (row.Bool(0)) {
    recipient.kind = RecipientKind::kDomainDisabled;
    return recipient;
  }
  const std::optional<std::string_view> found = row.OptionalText(3);
  if (found) {
    const std::string address = std::string(*found) + "@" + domain;
    recipient.by_tag = *found != local;
    if (const auto account = row.OptionalInt(4)) {
      return ToAccount(connection, *account, address, std::move(recipient));
    }
    recipient.kind = RecipientKind::kAlias;
    recipient.alias = address;
    recipient.alias_public = row.Bool(6);
    GODWIT_RETURN_IF_ERROR(ExpandAlias(connection, row.Int(5), &recipient));
    return recipient;
  }
  // RFC 5321 §4.5.1: every domain has a postmaster.
  if (const auto postmaster = row.OptionalInt(2); postmaster && local == "postmaster") {
    return ToAccount(connection, *postmaster, local + "@" + domain, std::move(recipient));
  }
  if (const auto catch_all = row.OptionalInt(1)) {
    recipient.by_catch_all = true;
    return ToAccount(connection, *catch_all, local + "@" + domain, std::move(recipient));
  }
  recipient.kind = RecipientKind::kUnknownUser;
  return recipient;
}

}  // namespace

absl::StatusOr<AddressParts> SplitAddress(std::string_view address) {
  const size_t at = address.rfind('@');
  if (at == std::string_view::npos || at == 0 || at + 1 == address.size()) {
    return base::InvalidArgument("not an address");
  }
  return AddressParts{base::Lower(address.substr(0, at)), base::Lower(address.substr(at + 1))};
}

absl::StatusOr<Recipient> LookupRecipient(db::Connection& connection, std::string_view local_part,
                                          std::string_view domain) {
  const std::string local = base::Lower(local_part);
  const std::string name = base::Lower(domain);
  if (name.empty()) {
    if (local == "postmaster") return LookupBarePostmaster(connection);
    return Recipient{.kind = RecipientKind::kUnknownDomain};
  }
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kLookup, Params().Text(local).Text(name)));
  if (rows.empty()) return Recipient{.kind = RecipientKind::kUnknownDomain};
  return Decide(connection, local, name, rows[0]);
}

absl::StatusOr<bool> IsLocalDomain(db::Connection& connection, std::string_view domain) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kDomain, Params().Text(base::Lower(domain))));
  return !rows.empty() && rows[0].Bool(0);
}

absl::StatusOr<AccountId> FindAccount(db::Connection& connection, std::string_view address) {
  GODWIT_ASSIGN_OR_RETURN(auto parts, SplitAddress(address));
  GODWIT_ASSIGN_OR_RETURN(
      auto rows,
      connection.Execute(kFindAccount, Params().Text(parts.local_part).Text(parts.domain)));
  if (rows.empty()) return base::NotFound("no account has this address");
  return AccountId{rows[0].Int(0)};
}

absl::StatusOr<SenderRight> FindSenderRight(db::Connection& connection, AccountId account,
                                            std::string_view address) {
  auto parts = SplitAddress(address);
  if (!parts.ok()) return SenderRight::kNone;
  GODWIT_ASSIGN_OR_RETURN(
      auto rows, connection.Execute(kLookup, Params().Text(parts->local_part).Text(parts->domain)));
  if (rows.empty()) return SenderRight::kNone;
  const db::Row row = rows[0];
  if (row.Bool(0)) return SenderRight::kDomainDisabled;
  // An address or alias of its own stands before postmaster and catch-all, as with receiving.
  if (row.OptionalInt(4) == ToInt(account)) return SenderRight::kOwn;
  if (const auto alias = row.OptionalInt(5)) {
    GODWIT_ASSIGN_OR_RETURN(
        auto member, connection.Execute(kIsMember, Params().Int(*alias).Int(ToInt(account))));
    return member.empty() ? SenderRight::kNone : SenderRight::kAliasMember;
  }
  if (!row.IsNull(3)) return SenderRight::kNone;
  if (row.OptionalInt(2) && parts->local_part == "postmaster") {
    return row.OptionalInt(2) == ToInt(account) ? SenderRight::kOwn : SenderRight::kNone;
  }
  return row.OptionalInt(1) == ToInt(account) ? SenderRight::kCatchAll : SenderRight::kNone;
}

}  // namespace godwit::store
