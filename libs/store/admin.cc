#include "libs/store/admin.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"
#include "libs/base/status.h"
#include "libs/smtp/path.h"
#include "libs/store/directory.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kAddDomain("admin_add_domain", Scope::kDirectory, Access::kWrite,
                               "INSERT INTO domains (name, created_at) VALUES ($1, $2)");
const db::Statement kRemoveDomain("admin_remove_domain", Scope::kDirectory, Access::kWrite,
                                  "DELETE FROM domains WHERE name = $1");
const db::Statement kDomains("admin_domains", Scope::kDirectory, Access::kRead, R"sql(
  SELECT d.name, d.disabled, d.separator, d.catch_all_account, d.postmaster_account, d.created_at,
         (SELECT count(*) FROM addresses a WHERE a.domain = d.name),
         d.kind, d.next_hop, d.listed_only, d.case_sensitive, d.callout
  FROM domains d WHERE $1 = '' OR d.name = $1 ORDER BY d.name)sql");
const db::Statement kUpdateDomain("admin_update_domain", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE domains SET disabled = $2, separator = $3, catch_all_account = $4, postmaster_account = $5,
    kind = $6, next_hop = $7, listed_only = $8, case_sensitive = $9, callout = $10
  WHERE name = $1 AND (case_sensitive = $9
    OR NOT EXISTS (SELECT FROM addresses a WHERE a.domain = $1)))sql");
const db::Statement kSetPostmaster("admin_set_postmaster", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO settings VALUES ('postmaster', $1)
  ON CONFLICT (name) DO UPDATE SET value = excluded.value)sql");
const db::Statement kClearPostmaster("admin_clear_postmaster", Scope::kDirectory, Access::kWrite,
                                     "DELETE FROM settings WHERE name = 'postmaster'");

const db::Statement kCreateAccount("admin_create_account", Scope::kOneAccount, Access::kWrite,
                                   "SELECT 1 FROM create_account($1, $2, $3, $4, $5)");
const db::Statement kRemoveAccount("admin_remove_account", Scope::kOneAccount, Access::kWrite,
                                   "SELECT remove_account($1)");
const db::Statement kForgetAddresses("admin_forget_addresses", Scope::kDirectory, Access::kWrite,
                                     "DELETE FROM addresses WHERE account_id = $1 "
                                     "RETURNING domain, local_part");
const db::Statement kForgetMembers("admin_forget_members", Scope::kDirectory, Access::kWrite,
                                   "DELETE FROM alias_members WHERE domain = $1 "
                                   "AND local_part = $2");
const db::Statement kForgetDomains("admin_forget_domains", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE domains SET catch_all_account = nullif(catch_all_account, $1),
                     postmaster_account = nullif(postmaster_account, $1)
  WHERE catch_all_account = $1 OR postmaster_account = $1)sql");
const db::Statement kForgetPostmaster("admin_forget_postmaster", Scope::kDirectory, Access::kWrite,
                                      "DELETE FROM settings WHERE name = 'postmaster' "
                                      "AND value = $1");

const db::Statement kAccount("admin_account", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT account_id, name, disabled, quota_bytes, used_bytes, email_count, created_at
  FROM accounts WHERE account_id = $1)sql");
const db::Statement kAccounts("admin_accounts", Scope::kBatch, Access::kRead, R"sql(
  SELECT account_id, name, disabled, quota_bytes, used_bytes, email_count, created_at
  FROM accounts WHERE (name, account_id) > ($1, $2) ORDER BY name, account_id LIMIT $3)sql");
const db::Statement kTheirAddresses("admin_their_addresses", Scope::kDirectory, Access::kRead,
                                    "SELECT account_id, local_part || '@' || domain FROM addresses "
                                    "WHERE account_id = ANY ($1) ORDER BY 2");
const db::Statement kTheirAdmins("admin_their_admins", Scope::kDirectory, Access::kRead,
                                 "SELECT account_id FROM admins WHERE account_id = ANY ($1)");
const db::Statement kSetDisabled("admin_set_disabled", Scope::kOneAccount, Access::kWrite,
                                 "UPDATE accounts SET disabled = $2 WHERE account_id = $1");
const db::Statement kSetQuota("admin_set_quota", Scope::kOneAccount, Access::kWrite,
                              "UPDATE accounts SET quota_bytes = $2 WHERE account_id = $1");
const db::Statement kMakeAdmin("admin_make_admin", Scope::kDirectory, Access::kWrite,
                               "INSERT INTO admins VALUES ($1, $2) ON CONFLICT DO NOTHING");
const db::Statement kUnmakeAdmin("admin_unmake_admin", Scope::kDirectory, Access::kWrite,
                                 "DELETE FROM admins WHERE account_id = $1");

// Everywhere below: $1 domain, $2 and $3 local part, kept and folded.
const db::Statement kAddAddress("admin_add_address", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO addresses (local_part, domain, account_id, alias_id, created_at)
  VALUES (local_part_at($1, $2, $3), $1, $4, $5, $6))sql");
const db::Statement kAddRelayed("admin_add_relayed", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO addresses (local_part, domain, relayed, created_at)
  SELECT local_part_at($1, $2, $3), d.name, true, $4
  FROM domains d WHERE d.name = $1 AND d.kind <> 'local')sql");
const db::Statement kRemoveAddress("admin_remove_address", Scope::kDirectory, Access::kWrite,
                                   "DELETE FROM addresses WHERE domain = $1 AND local_part = "
                                   "local_part_at($1, $2, $3) AND alias_id IS NULL");
const db::Statement kAddresses("admin_addresses", Scope::kDirectory, Access::kRead, R"sql(
  SELECT local_part, domain, account_id, alias_id IS NOT NULL, relayed, refusal, senders
  FROM addresses
  WHERE (alias_id IS NULL OR refusal <> '' OR senders <> '{}') AND ($1 = '' OR domain = $1)
  ORDER BY domain, local_part)sql");
const db::Statement kRefuse("admin_refuse", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO addresses (local_part, domain, refusal, created_at)
  VALUES (local_part_at($1, $2, $3), $1, $4, $5)
  ON CONFLICT (domain, local_part) DO UPDATE SET refusal = excluded.refusal)sql");
const db::Statement kDropRefused("admin_drop_refused", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM addresses WHERE domain = $1 AND local_part = local_part_at($1, $2, $3)
    AND account_id IS NULL AND alias_id IS NULL AND NOT relayed)sql");
const db::Statement kAccept("admin_accept", Scope::kDirectory, Access::kWrite,
                            "UPDATE addresses SET refusal = '' WHERE domain = $1 "
                            "AND local_part = local_part_at($1, $2, $3)");
const db::Statement kSetSenders("admin_set_senders", Scope::kDirectory, Access::kWrite,
                                "UPDATE addresses SET senders = $4 WHERE domain = $1 "
                                "AND local_part = local_part_at($1, $2, $3)");

const db::Statement kMakeAlias("admin_make_alias", Scope::kDirectory, Access::kWrite,
                               "INSERT INTO aliases (public_posting, created_at) VALUES ($1, $2) "
                               "RETURNING alias_id");
const db::Statement kFindAlias("admin_find_alias", Scope::kDirectory, Access::kRead,
                               "SELECT alias_id FROM addresses WHERE domain = $1 AND local_part = "
                               "local_part_at($1, $2, $3) AND alias_id IS NOT NULL");
const db::Statement kRemoveAlias("admin_remove_alias", Scope::kDirectory, Access::kWrite,
                                 "DELETE FROM aliases WHERE alias_id = $1");
// One row, when the member is nobody's of ours that could be: another alias, or unknown.
const db::Statement kBadMember("admin_bad_member", Scope::kDirectory, Access::kRead, R"sql(
  SELECT 1 FROM domains d
  LEFT JOIN addresses a ON a.domain = d.name AND a.local_part = local_part_at($1, $2, $3)
  WHERE d.name = $1
    AND (a.alias_id IS NOT NULL OR (d.kind = 'local' AND a.account_id IS NULL)))sql");
const db::Statement kAddMember("admin_add_member", Scope::kDirectory, Access::kWrite,
                               "INSERT INTO alias_members (alias_id, local_part, domain) "
                               "VALUES ($4, local_part_at($1, $2, $3), $1)");
const db::Statement kRemoveMember(
    "admin_remove_member", Scope::kDirectory, Access::kWrite,
    "DELETE FROM alias_members WHERE alias_id = $4 "
    "AND domain = $1 AND local_part IN ($2, local_part_at($1, $2, $3))");
const db::Statement kCountMembers("admin_count_members", Scope::kDirectory, Access::kRead,
                                  "SELECT count(*) FROM alias_members WHERE alias_id = $1");
const db::Statement kAliases("admin_aliases", Scope::kDirectory, Access::kRead, R"sql(
  SELECT a.local_part || '@' || a.domain, l.public_posting,
         (SELECT array_agg(m.local_part || '@' || m.domain ORDER BY m.domain, m.local_part)
          FROM alias_members m WHERE m.alias_id = l.alias_id)
  FROM aliases l JOIN addresses a ON a.alias_id = l.alias_id
  WHERE $1 = '' OR a.domain = $1 ORDER BY a.domain, a.local_part)sql");

// RFC 1035 §2.3.4 and RFC 5890: letters, digits and hyphens, labels of 1 to 63 octets.
absl::StatusOr<std::string> CheckDomain(std::string_view name) {
  const std::string lower = base::Lower(name);
  if (lower.empty() || lower.size() > 253) return base::InvalidArgument("not a domain name");
  for (std::string_view label : base::Split(lower, '.')) {
    const bool ldh = std::all_of(label.begin(), label.end(),
                                 [](char c) { return base::IsAlnum(c) || c == '-'; });
    if (label.empty() || label.size() > 63 || !ldh || label.front() == '-' || label.back() == '-') {
      return base::InvalidArgument("not a domain name (in A-labels)");
    }
  }
  return lower;
}

// RFC 5321 §4.5.3.1.1: a local part has at most 64 octets.
absl::StatusOr<AddressParts> CheckAddress(std::string_view address) {
  GODWIT_ASSIGN_OR_RETURN(AddressParts parts, SplitAddress(address));
  GODWIT_ASSIGN_OR_RETURN(parts.domain, CheckDomain(parts.domain));
  const std::string& local_part = parts.local_part.kept;
  const bool control = std::any_of(local_part.begin(), local_part.end(), [](char c) {
    return static_cast<unsigned char>(c) < 32 || c == 127;
  });
  if (local_part.size() > 64 || control || !base::IsUtf8(local_part)) {
    return base::InvalidArgument("bad local part");
  }
  return parts;
}

Params By(const AddressParts& parts) {
  Params params;
  params.Text(parts.domain).Text(parts.local_part.kept).Text(parts.local_part.folded);
  return params;
}

absl::Status NeedOne(const absl::StatusOr<db::Result>& result, std::string_view what) {
  GODWIT_RETURN_IF_ERROR(result.status());
  if (result->affected() == 0) return base::NotFound(what);
  return absl::OkStatus();
}

absl::Status InsertAddress(db::Connection& connection, const AddressParts& parts,
                           std::optional<int64_t> account, std::optional<int64_t> alias,
                           absl::Time now) {
  Params params = By(parts);
  params.OptionalInt(account).OptionalInt(alias).Time(now);
  absl::Status status = connection.Execute(kAddAddress, params).status();
  if (status.code() == absl::StatusCode::kAlreadyExists) {
    return base::AlreadyExists("the address is taken");
  }
  if (status.code() == absl::StatusCode::kFailedPrecondition) {
    return base::FailedPrecondition("the domain is not ours");
  }
  return status;
}

Domain DomainFrom(const db::Row& row) {
  Domain domain;
  domain.name = row.Text(0);
  domain.disabled = row.Bool(1);
  domain.separator = row.Text(2);
  if (const auto account = row.OptionalInt(3)) domain.catch_all = AccountId{*account};
  if (const auto account = row.OptionalInt(4)) domain.postmaster = AccountId{*account};
  domain.created = row.Time(5);
  domain.addresses = row.Int(6);
  domain.kind = DomainKindFromName(row.Text(7));
  domain.next_hop = row.Text(8);
  domain.listed_only = row.Bool(9);
  domain.case_sensitive = row.Bool(10);
  domain.callout = row.Bool(11);
  return domain;
}

Account AccountFrom(const db::Row& row) {
  Account account;
  account.id = AccountId{row.Int(0)};
  account.name = row.Text(1);
  account.disabled = row.Bool(2);
  account.quota_bytes = row.Int(3);
  account.used_bytes = row.Int(4);
  account.emails = row.Int(5);
  account.created = row.Time(6);
  return account;
}

// What the directory knows of accounts.
absl::Status FillFromDirectory(db::Connection& connection, std::vector<Account>* accounts) {
  std::vector<int64_t> ids;
  for (const Account& account : *accounts) ids.push_back(ToInt(account.id));
  auto find = [&](int64_t id) -> Account& {
    const auto it = std::find(ids.begin(), ids.end(), id);
    return (*accounts)[static_cast<size_t>(it - ids.begin())];
  };
  GODWIT_ASSIGN_OR_RETURN(auto addresses, connection.Execute(kTheirAddresses, Params().Ints(ids)));
  for (db::Row row : addresses) find(row.Int(0)).addresses.emplace_back(row.Text(1));
  GODWIT_ASSIGN_OR_RETURN(auto admins, connection.Execute(kTheirAdmins, Params().Ints(ids)));
  for (db::Row row : admins) find(row.Int(0)).admin = true;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> FindAlias(db::Connection& connection, std::string_view address) {
  GODWIT_ASSIGN_OR_RETURN(auto parts, SplitAddress(address));
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFindAlias, By(parts)));
  if (rows.empty()) return base::NotFound("no such alias");
  return rows[0].Int(0);
}

absl::Status InsertMember(db::Connection& connection, int64_t alias, std::string_view member) {
  GODWIT_ASSIGN_OR_RETURN(auto parts, CheckAddress(member));
  GODWIT_ASSIGN_OR_RETURN(auto bad, connection.Execute(kBadMember, By(parts)));
  if (!bad.empty()) {
    return base::FailedPrecondition("a member of our own domains has to be an address there");
  }
  return connection.Execute(kAddMember, std::move(By(parts).Int(alias))).status();
}

// HOST:PORT, with a name or an address, an IPv6 address in brackets.
bool IsNextHop(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return false;
  const std::string_view host = text.substr(0, colon);
  const auto port = base::ParseDecimal(text.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) return false;
  if (host.front() == '[') {
    return host.back() == ']' && base::IpAddress::Parse(host.substr(1, host.size() - 2));
  }
  return base::IpAddress::Parse(host) ? host.find(':') == host.npos : CheckDomain(host).ok();
}

absl::Status CheckSettings(const Domain& domain) {
  for (const char c : domain.separator) {
    if (kSeparators.find(c) == kSeparators.npos) {
      return base::InvalidArgument("not a character that may separate tags");
    }
  }
  if (domain.callout && (domain.next_hop.empty() || domain.listed_only)) {
    return base::InvalidArgument("a callout is made to a next hop, and not with a list");
  }
  if (domain.next_hop.empty()) return absl::OkStatus();
  if (domain.kind == DomainKind::kLocal) {
    return base::InvalidArgument("a local domain has no next hop");
  }
  if (!IsNextHop(domain.next_hop)) return base::InvalidArgument("a next hop is HOST:PORT");
  return absl::OkStatus();
}

// RFC 5321 §4.2, RFC 3463 §2: "550 5.1.6 Moved". 421 would end the session.
bool IsRefusal(std::string_view text) {
  const std::vector<std::string_view> words = base::Split(text, ' ');
  if (words.size() < 3 || words[2].empty() || text.size() > 200) return false;
  const auto code = base::ParseDecimal(words[0]);
  if (words[0].size() != 3 || !code || *code < 400 || *code > 599 || *code == 421) return false;
  const std::vector<std::string_view> enhanced = base::Split(words[1], '.');
  if (enhanced.size() != 3 || enhanced[0] != words[0].substr(0, 1)) return false;
  for (std::string_view number : enhanced) {
    if (number.size() > 3 || !base::ParseDecimal(number)) return false;
  }
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 32 && c < 127; });
}

absl::StatusOr<std::string> CheckSender(std::string_view sender) {
  if (sender == "<>") return std::string(sender);
  if (sender.starts_with('@')) {
    GODWIT_ASSIGN_OR_RETURN(const std::string domain, CheckDomain(sender.substr(1)));
    return "@" + domain;
  }
  GODWIT_ASSIGN_OR_RETURN(const AddressParts parts, CheckAddress(sender));
  return smtp::Address{parts.local_part.kept, parts.domain}.ToString();
}

}  // namespace

absl::Status AddDomain(db::Connection& connection, std::string_view name, absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(auto domain, CheckDomain(name));
  absl::Status status = connection.Execute(kAddDomain, Params().Text(domain).Time(now)).status();
  if (status.code() == absl::StatusCode::kAlreadyExists) {
    return base::AlreadyExists("the domain exists");
  }
  return status;
}

absl::Status RemoveDomain(db::Connection& connection, std::string_view name) {
  auto result = connection.Execute(kRemoveDomain, Params().Text(base::Lower(name)));
  if (result.status().code() == absl::StatusCode::kFailedPrecondition) {
    return base::FailedPrecondition("the domain has addresses or aliases");
  }
  return NeedOne(result, "no such domain");
}

absl::StatusOr<std::vector<Domain>> ListDomains(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kDomains, Params().Text("")));
  std::vector<Domain> domains;
  for (db::Row row : rows) domains.push_back(DomainFrom(row));
  return domains;
}

absl::StatusOr<Domain> GetDomain(db::Connection& connection, std::string_view name) {
  GODWIT_ASSIGN_OR_RETURN(auto domain, CheckDomain(name));
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kDomains, Params().Text(domain)));
  if (rows.empty()) return base::NotFound("no such domain");
  return DomainFrom(rows[0]);
}

absl::Status UpdateDomain(db::Connection& connection, const Domain& domain) {
  auto id = [](const std::optional<AccountId>& account) {
    return account ? std::optional<int64_t>(ToInt(*account)) : std::nullopt;
  };
  GODWIT_RETURN_IF_ERROR(CheckSettings(domain));
  Params params;
  params.Text(base::Lower(domain.name)).Bool(domain.disabled).Text(domain.separator);
  params.OptionalInt(id(domain.catch_all)).OptionalInt(id(domain.postmaster));
  params.Text(DomainKindName(domain.kind)).Text(domain.next_hop).Bool(domain.listed_only);
  params.Bool(domain.case_sensitive).Bool(domain.callout);
  GODWIT_ASSIGN_OR_RETURN(auto updated, connection.Execute(kUpdateDomain, params));
  if (updated.affected() > 0) return absl::OkStatus();
  GODWIT_RETURN_IF_ERROR(GetDomain(connection, domain.name).status());
  return base::FailedPrecondition("whether case counts is chosen before the first address");
}

absl::Status SetPostmaster(db::Connection& connection, std::optional<AccountId> account) {
  if (!account) return connection.Execute(kClearPostmaster, Params()).status();
  return connection.Execute(kSetPostmaster, Params().Text(std::to_string(ToInt(*account))))
      .status();
}

absl::StatusOr<AccountId> AddAccount(db::Connection& connection, std::string_view address,
                                     base::RandomSource* random, absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(auto parts, CheckAddress(address));
  const int64_t id = random->Id63();
  static constexpr std::string_view kNames[] = {"INBOX",   "Drafts", "Sent",
                                                "Archive", "Junk",   "Trash"};
  static constexpr std::string_view kRoles[] = {"inbox",   "drafts", "sent",
                                                "archive", "junk",   "trash"};
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::StatusOr<AccountId> {
    GODWIT_RETURN_IF_ERROR(InsertAddress(c, parts, id, std::nullopt, now));
    GODWIT_ASSIGN_OR_RETURN(const OwnAddress own, FindOwnAddress(c, address));
    Params params;
    params.Int(id).Text(own.address);
    params.Texts(std::span<const std::string_view>(kNames));
    params.Texts(std::span<const std::string_view>(kRoles)).Time(now);
    GODWIT_RETURN_IF_ERROR(c.Execute(kCreateAccount, params).status());
    return AccountId{id};
  });
}

absl::Status RemoveAccount(db::Connection& connection, AccountId account) {
  const Params by_account = std::move(Params().Int(ToInt(account)));
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_ASSIGN_OR_RETURN(auto removed, c.Execute(kRemoveAccount, by_account));
    if (!removed[0].Bool(0)) return base::NotFound("no such account");
    GODWIT_ASSIGN_OR_RETURN(auto addresses, c.Execute(kForgetAddresses, by_account));
    for (db::Row row : addresses) {
      GODWIT_RETURN_IF_ERROR(
          c.Execute(kForgetMembers, Params().Text(row.Text(0)).Text(row.Text(1))).status());
    }
    GODWIT_RETURN_IF_ERROR(c.Execute(kForgetDomains, by_account).status());
    GODWIT_RETURN_IF_ERROR(c.Execute(kUnmakeAdmin, by_account).status());
    return c.Execute(kForgetPostmaster, Params().Text(std::to_string(ToInt(account)))).status();
  });
}

absl::StatusOr<Account> GetAccount(db::Connection& connection, AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kAccount, Params().Int(ToInt(account))));
  if (rows.empty()) return base::NotFound("no such account");
  std::vector<Account> accounts = {AccountFrom(rows[0])};
  GODWIT_RETURN_IF_ERROR(FillFromDirectory(connection, &accounts));
  return accounts[0];
}

absl::StatusOr<std::vector<Account>> ListAccounts(db::Connection& connection, const Account& after,
                                                  int limit) {
  Params params;
  params.Text(after.name).Int(ToInt(after.id)).Int(limit);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kAccounts, params));
  std::vector<Account> accounts;
  for (db::Row row : rows) accounts.push_back(AccountFrom(row));
  GODWIT_RETURN_IF_ERROR(FillFromDirectory(connection, &accounts));
  return accounts;
}

absl::Status SetAccountDisabled(db::Connection& connection, AccountId account, bool disabled) {
  return NeedOne(connection.Execute(kSetDisabled, Params().Int(ToInt(account)).Bool(disabled)),
                 "no such account");
}

absl::Status SetQuota(db::Connection& connection, AccountId account, int64_t bytes) {
  if (bytes < 0) return base::InvalidArgument("negative quota");
  return NeedOne(connection.Execute(kSetQuota, Params().Int(ToInt(account)).Int(bytes)),
                 "no such account");
}

absl::Status SetAdmin(db::Connection& connection, AccountId account, bool admin, absl::Time now) {
  GODWIT_RETURN_IF_ERROR(GetQuota(connection, account).status());
  if (!admin) return connection.Execute(kUnmakeAdmin, Params().Int(ToInt(account))).status();
  return connection.Execute(kMakeAdmin, Params().Int(ToInt(account)).Time(now)).status();
}

absl::StatusOr<Quota> GetQuota(db::Connection& connection, AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kAccount, Params().Int(ToInt(account))));
  if (rows.empty()) return base::NotFound("no such account");
  return Quota{rows[0].Int(4), rows[0].Int(3), rows[0].Int(5)};
}

absl::Status AddAddress(db::Connection& connection, std::string_view address, AccountId account,
                        absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(auto parts, CheckAddress(address));
  GODWIT_RETURN_IF_ERROR(GetQuota(connection, account).status());
  return InsertAddress(connection, parts, ToInt(account), std::nullopt, now);
}

absl::Status RemoveAddress(db::Connection& connection, std::string_view address) {
  GODWIT_ASSIGN_OR_RETURN(auto parts, SplitAddress(address));
  return NeedOne(connection.Execute(kRemoveAddress, By(parts)), "no such address");
}

absl::Status AddRelayedAddress(db::Connection& connection, std::string_view address,
                               absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(const auto parts, CheckAddress(address));
  auto added = connection.Execute(kAddRelayed, std::move(By(parts).Time(now)));
  if (added.status().code() == absl::StatusCode::kAlreadyExists) {
    return base::AlreadyExists("the address is taken");
  }
  GODWIT_RETURN_IF_ERROR(added.status());
  if (added->affected() > 0) return absl::OkStatus();
  return base::FailedPrecondition("no mail of this domain goes on to another server");
}

absl::Status SetRefusal(db::Connection& connection, std::string_view address,
                        std::string_view refusal, absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(const auto parts, CheckAddress(address));
  if (refusal.empty()) {
    GODWIT_ASSIGN_OR_RETURN(auto dropped, connection.Execute(kDropRefused, By(parts)));
    if (dropped.affected() > 0) return absl::OkStatus();
    return NeedOne(connection.Execute(kAccept, By(parts)), "no such address");
  }
  if (!IsRefusal(refusal)) return base::InvalidArgument("not a reply like \"550 5.1.6 Moved\"");
  absl::Status set =
      connection.Execute(kRefuse, std::move(By(parts).Text(refusal).Time(now))).status();
  if (set.code() == absl::StatusCode::kFailedPrecondition) {
    return base::FailedPrecondition("the domain is not ours");
  }
  return set;
}

absl::Status SetSenders(db::Connection& connection, std::string_view address,
                        const std::vector<std::string>& senders) {
  GODWIT_ASSIGN_OR_RETURN(const auto parts, CheckAddress(address));
  std::vector<std::string> checked;
  for (const std::string& sender : senders) {
    GODWIT_ASSIGN_OR_RETURN(checked.emplace_back(), CheckSender(sender));
  }
  Params params = By(parts);
  params.Texts(std::span<const std::string>(checked));
  return NeedOne(connection.Execute(kSetSenders, params), "no such address");
}

absl::StatusOr<std::vector<Address>> ListAddresses(db::Connection& connection,
                                                   std::string_view domain) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kAddresses, Params().Text(base::Lower(domain))));
  std::vector<Address> addresses;
  for (db::Row row : rows) {
    Address address;
    address.address = smtp::Address{std::string(row.Text(0)), std::string(row.Text(1))}.ToString();
    address.account = AccountId{row.OptionalInt(2).value_or(ToInt(AccountId::kNone))};
    address.alias = row.Bool(3);
    address.relayed = row.Bool(4);
    address.refusal = row.Text(5);
    address.senders = row.Texts(6);
    addresses.push_back(std::move(address));
  }
  return addresses;
}

absl::Status AddAlias(db::Connection& connection, const Alias& alias, absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(auto parts, CheckAddress(alias.address));
  if (alias.members.empty()) return base::InvalidArgument("an alias has at least one member");
  GODWIT_ASSIGN_OR_RETURN(const DomainRoute route, FindDomainRoute(connection, parts.domain));
  if (route.ours && route.kind == DomainKind::kRelay) {
    return base::FailedPrecondition("all mail of this domain goes on to another server");
  }
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_ASSIGN_OR_RETURN(auto made,
                            c.Execute(kMakeAlias, Params().Bool(alias.public_posting).Time(now)));
    const int64_t id = made[0].Int(0);
    GODWIT_RETURN_IF_ERROR(InsertAddress(c, parts, std::nullopt, id, now));
    for (const std::string& member : alias.members) {
      GODWIT_RETURN_IF_ERROR(InsertMember(c, id, member));
    }
    return absl::OkStatus();
  });
}

absl::Status RemoveAlias(db::Connection& connection, std::string_view address) {
  GODWIT_ASSIGN_OR_RETURN(int64_t id, FindAlias(connection, address));
  return NeedOne(connection.Execute(kRemoveAlias, Params().Int(id)), "no such alias");
}

absl::Status AddAliasMember(db::Connection& connection, std::string_view alias,
                            std::string_view member) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_ASSIGN_OR_RETURN(int64_t id, FindAlias(c, alias));
    return InsertMember(c, id, member);
  });
}

absl::Status RemoveAliasMember(db::Connection& connection, std::string_view alias,
                               std::string_view member) {
  GODWIT_ASSIGN_OR_RETURN(auto parts, SplitAddress(member));
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_ASSIGN_OR_RETURN(int64_t id, FindAlias(c, alias));
    GODWIT_RETURN_IF_ERROR(
        NeedOne(c.Execute(kRemoveMember, std::move(By(parts).Int(id))), "no such member"));
    GODWIT_ASSIGN_OR_RETURN(auto left, c.Execute(kCountMembers, Params().Int(id)));
    if (left[0].Int(0) == 0) return base::FailedPrecondition("an alias keeps its last member");
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<Alias>> ListAliases(db::Connection& connection,
                                               std::string_view domain) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kAliases, Params().Text(base::Lower(domain))));
  std::vector<Alias> aliases;
  for (db::Row row : rows) {
    aliases.push_back({std::string(row.Text(0)), row.Bool(1), row.Texts(2)});
  }
  return aliases;
}

}  // namespace godwit::store
