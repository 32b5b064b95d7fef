#include "libs/store/directory.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// $1 domain; $2, $3 the local part and what may stand before its tag, folded and kept, in parallel.
// The longest that is there counts: the exact one first.
const db::Statement kLookup("directory_lookup", Scope::kDirectory, Access::kRead, R"sql(
  SELECT d.disabled, d.kind, d.listed_only, d.catch_all_account, d.postmaster_account,
         (SELECT s.value::bigint FROM settings s WHERE s.name = 'postmaster'),
         x.local_part, x.account_id, x.alias_id, x.relayed, x.refusal, x.senders, l.public_posting,
         CASE WHEN d.callout THEN d.next_hop ELSE '' END
  FROM domains d
  LEFT JOIN LATERAL (
    SELECT a.* FROM addresses a
    WHERE a.domain = d.name AND a.local_part = ANY (
      CASE WHEN d.case_sensitive THEN $3::text[] ELSE $2::text[] END)
      AND (length(a.local_part) = length(($2::text[])[1])
           OR position(substr(($2::text[])[1], length(a.local_part) + 1, 1) IN d.separator) > 0)
    ORDER BY length(a.local_part) DESC LIMIT 1) x ON true
  LEFT JOIN aliases l ON l.alias_id = x.alias_id
  WHERE d.name = $1)sql");
enum LookupColumn {
  kDisabledColumn,
  kKindColumn,
  kListedOnlyColumn,
  kCatchAllColumn,
  kOwnPostmasterColumn,
  kPostmasterColumn,
  kLocalPartColumn,
  kAccountColumn,
  kAliasColumn,
  kRelayedColumn,
  kRefusalColumn,
  kSendersColumn,
  kPublicColumn,
  kCalloutColumn,
};

const db::Statement kPostmaster("directory_postmaster", Scope::kDirectory, Access::kRead,
                                "SELECT value::bigint FROM settings WHERE name = 'postmaster'");

// Members with the account of those that are here. A member may be older than its domain is ours,
// and is written as it was given then. With `relay` nobody is here.
const db::Statement kMembers("directory_members", Scope::kDirectory, Access::kRead, R"sql(
  SELECT m.local_part, m.domain, a.local_part, a.account_id
  FROM alias_members m
  LEFT JOIN domains d ON d.name = m.domain AND d.kind <> 'relay'
  LEFT JOIN addresses a ON a.domain = d.name AND a.account_id IS NOT NULL
    AND a.local_part IN (m.local_part, local_part_at(d.name, m.local_part,
                                                     lower(m.local_part COLLATE "C")))
  WHERE m.alias_id = $1 ORDER BY 1, 2)sql");

const db::Statement kIsMember("directory_is_member", Scope::kDirectory, Access::kRead, R"sql(
  SELECT 1 FROM alias_members m
  JOIN addresses a ON a.domain = m.domain
    AND a.local_part IN (m.local_part, local_part_at(m.domain, m.local_part,
                                                     lower(m.local_part COLLATE "C")))
  WHERE m.alias_id = $1 AND a.account_id = $2 LIMIT 1)sql");

const db::Statement kAccounts("directory_accounts", Scope::kBatch, Access::kRead,
                              "SELECT account_id, disabled, used_bytes, quota_bytes FROM accounts "
                              "WHERE account_id = ANY ($1)");

const db::Statement kDomain("directory_domain", Scope::kDirectory, Access::kRead,
                            "SELECT NOT disabled FROM domains WHERE name = $1");

const db::Statement kDomainRoute("directory_domain_route", Scope::kDirectory, Access::kRead,
                                 "SELECT kind, next_hop FROM domains WHERE name = $1");

const db::Statement kFindAccount(
    "directory_find_account", Scope::kDirectory, Access::kRead,
    "SELECT account_id, local_part FROM addresses WHERE domain = $1 "
    "AND local_part = local_part_at($1, $2, $3) AND account_id IS NOT NULL");

Params LookupParams(const AddressParts& parts) {
  const std::string& folded = parts.local_part.folded;
  const std::string& kept = parts.local_part.kept;
  std::vector<std::string_view> by_case[2] = {{folded}, {kept}};
  for (std::string_view text : BeforeTags(folded)) by_case[0].push_back(text);
  for (std::string_view text : BeforeTags(kept)) by_case[1].push_back(text);
  Params params;
  params.Text(parts.domain);
  for (const auto& list : by_case) params.Texts(std::span<const std::string_view>(list));
  return params;
}

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
    const std::optional<int64_t> account = row.OptionalInt(3);
    if (!account) {
      recipient->external.push_back({std::string(row.Text(0)), std::string(row.Text(1))});
      continue;
    }
    if (Has(recipient->local, AccountId{*account})) continue;
    recipient->local.push_back(
        {AccountId{*account}, std::string(row.Text(2)) + "@" + std::string(row.Text(1))});
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

DomainKind KindOf(const db::Row& row) { return DomainKindFromName(row.Text(kKindColumn)); }

// Mail for every address of the domain that is not here goes on.
bool AllGoesOn(const db::Row& row) {
  return KindOf(row) != DomainKind::kLocal && !row.Bool(kListedOnlyColumn);
}

// RFC 5321 §4.5.1: every domain has a postmaster. Where its mail goes on, that is the other
// server's, unless the domain says otherwise.
std::optional<int64_t> PostmasterOf(const db::Row& row) {
  const auto own = row.OptionalInt(kOwnPostmasterColumn);
  return own || KindOf(row) != DomainKind::kLocal ? own : row.OptionalInt(kPostmasterColumn);
}

// Nobody has the address by name: who takes it for others.
absl::StatusOr<Recipient> DecideUnnamed(db::Connection& connection, const AddressParts& parts,
                                        const db::Row& row, Recipient recipient) {
  const std::string address = parts.local_part.folded + "@" + parts.domain;
  const bool is_postmaster = parts.local_part.folded == "postmaster";
  if (const auto postmaster = PostmasterOf(row); is_postmaster && postmaster) {
    return ToAccount(connection, *postmaster, address, std::move(recipient));
  }
  if (AllGoesOn(row) || (is_postmaster && KindOf(row) != DomainKind::kLocal)) {
    recipient.kind = RecipientKind::kRelay;
    // What is refused needs no question.
    const bool ask = !is_postmaster && recipient.refusal.empty();
    if (ask) recipient.callout = row.Text(kCalloutColumn);
    return recipient;
  }
  if (const auto catch_all = row.OptionalInt(kCatchAllColumn)) {
    recipient.by_catch_all = true;
    return ToAccount(connection, *catch_all, address, std::move(recipient));
  }
  recipient.kind = RecipientKind::kUnknownUser;
  return recipient;
}

// The address stands here, with an account, as an alias, or to say that it goes on.
absl::StatusOr<Recipient> DecideNamed(db::Connection& connection, const AddressParts& parts,
                                      const db::Row& row, Recipient recipient) {
  const std::string address = std::string(row.Text(kLocalPartColumn)) + "@" + parts.domain;
  // With `relay` it does not matter who is here.
  const bool here = KindOf(row) != DomainKind::kRelay;
  const auto account = row.OptionalInt(kAccountColumn);
  if (here && account) return ToAccount(connection, *account, address, std::move(recipient));
  const auto alias = row.OptionalInt(kAliasColumn);
  if (here && alias) {
    recipient.kind = RecipientKind::kAlias;
    recipient.alias = address;
    recipient.alias_public = row.Bool(kPublicColumn);
    GODWIT_RETURN_IF_ERROR(ExpandAlias(connection, *alias, &recipient));
    return recipient;
  }
  // Left from when the domain was relayed, it is nobody's.
  if (KindOf(row) != DomainKind::kLocal && row.Bool(kRelayedColumn)) {
    recipient.kind = RecipientKind::kRelay;
    // Whether the other server has tags, too, it knows.
    if (recipient.by_tag) recipient.callout = row.Text(kCalloutColumn);
    return recipient;
  }
  if (!here) return DecideUnnamed(connection, parts, row, std::move(recipient));
  // One that only says that it is refused.
  recipient.kind = RecipientKind::kUnknownUser;
  return recipient;
}

// What the directory's row says about the address.
absl::StatusOr<Recipient> Decide(db::Connection& connection, const AddressParts& parts,
                                 const db::Row& row) {
  Recipient recipient;
  if (row.Bool(kDisabledColumn)) {
    recipient.kind = RecipientKind::kDomainDisabled;
    return recipient;
  }
  const std::optional<std::string_view> found = row.OptionalText(kLocalPartColumn);
  if (!found) return DecideUnnamed(connection, parts, row, std::move(recipient));
  recipient.by_tag = found->size() != parts.local_part.folded.size();
  recipient.refusal = row.Text(kRefusalColumn);
  recipient.senders = row.Texts(kSendersColumn);
  return DecideNamed(connection, parts, row, std::move(recipient));
}

}  // namespace

std::string_view DomainKindName(DomainKind kind) {
  switch (kind) {
    case DomainKind::kLocal: return "local";
    case DomainKind::kRelay: return "relay";
    case DomainKind::kLocalThenRelay: return "local-then-relay";
  }
  return "local";
}

DomainKind DomainKindFromName(std::string_view name) {
  if (name == "relay") return DomainKind::kRelay;
  if (name == "local-then-relay") return DomainKind::kLocalThenRelay;
  return DomainKind::kLocal;
}

absl::StatusOr<AddressParts> SplitAddress(std::string_view address) {
  const size_t at = address.rfind('@');
  if (at == std::string_view::npos || at == 0 || at + 1 == address.size()) {
    return base::InvalidArgument("not an address");
  }
  std::string_view local_part = address.substr(0, at);
  std::optional<smtp::Address> quoted;
  if (local_part.starts_with('"')) {
    quoted = smtp::ParseMailbox(std::string(local_part) + "@quoted", {1000, 255, 1000});
    if (!quoted || quoted->local_part.empty()) return base::InvalidArgument("not an address");
    local_part = quoted->local_part;
  }
  return AddressParts{MakeLocalPart(local_part), base::Lower(address.substr(at + 1))};
}

absl::StatusOr<Recipient> LookupRecipient(db::Connection& connection, std::string_view local_part,
                                          std::string_view domain) {
  const AddressParts parts{MakeLocalPart(local_part), base::Lower(domain)};
  if (parts.domain.empty()) {
    if (parts.local_part.folded == "postmaster") return LookupBarePostmaster(connection);
    return Recipient{.kind = RecipientKind::kUnknownDomain};
  }
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kLookup, LookupParams(parts)));
  if (rows.empty()) return Recipient{.kind = RecipientKind::kUnknownDomain};
  return Decide(connection, parts, rows[0]);
}

absl::StatusOr<bool> IsLocalDomain(db::Connection& connection, std::string_view domain) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kDomain, Params().Text(base::Lower(domain))));
  return !rows.empty() && rows[0].Bool(0);
}

absl::StatusOr<DomainRoute> FindDomainRoute(db::Connection& connection, std::string_view domain) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kDomainRoute, Params().Text(domain)));
  DomainRoute route;
  if (rows.empty()) return route;
  route.ours = true;
  route.kind = DomainKindFromName(rows[0].Text(0));
  route.next_hop = rows[0].Text(1);
  return route;
}

absl::StatusOr<OwnAddress> FindOwnAddress(db::Connection& connection, std::string_view address) {
  GODWIT_ASSIGN_OR_RETURN(const AddressParts parts, SplitAddress(address));
  Params params;
  params.Text(parts.domain).Text(parts.local_part.kept).Text(parts.local_part.folded);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFindAccount, params));
  if (rows.empty()) return base::NotFound("no account has this address");
  return OwnAddress{AccountId{rows[0].Int(0)}, std::string(rows[0].Text(1)) + "@" + parts.domain};
}

absl::StatusOr<AccountId> FindAccount(db::Connection& connection, std::string_view address) {
  GODWIT_ASSIGN_OR_RETURN(const OwnAddress own, FindOwnAddress(connection, address));
  return own.account;
}

absl::StatusOr<SenderRight> FindSenderRight(db::Connection& connection, AccountId account,
                                            std::string_view address) {
  const auto parts = SplitAddress(address);
  if (!parts.ok()) return SenderRight::kNone;
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kLookup, LookupParams(*parts)));
  if (rows.empty()) return SenderRight::kNone;
  const db::Row row = rows[0];
  if (row.Bool(kDisabledColumn)) return SenderRight::kDomainDisabled;
  // An address or alias of its own stands before postmaster and catch-all, as with receiving.
  if (row.OptionalInt(kAccountColumn) == ToInt(account)) return SenderRight::kOwn;
  if (const auto alias = row.OptionalInt(kAliasColumn)) {
    GODWIT_ASSIGN_OR_RETURN(
        auto member, connection.Execute(kIsMember, Params().Int(*alias).Int(ToInt(account))));
    return member.empty() ? SenderRight::kNone : SenderRight::kAliasMember;
  }
  if (!row.IsNull(kLocalPartColumn)) return SenderRight::kNone;
  const std::optional<int64_t> postmaster = PostmasterOf(row);
  if (postmaster && parts->local_part.folded == "postmaster") {
    return postmaster == ToInt(account) ? SenderRight::kOwn : SenderRight::kNone;
  }
  // Whoever it is, he is at the other server.
  if (AllGoesOn(row)) return SenderRight::kNone;
  return row.OptionalInt(kCatchAllColumn) == ToInt(account) ? SenderRight::kCatchAll
                                                            : SenderRight::kNone;
}

}  // namespace godwit::store
