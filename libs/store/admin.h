#pragma once

// Administration: domains, accounts, addresses, aliases, administrators.
//
// Domains are stored in the form they are looked up in (A-labels, lower case), local parts as
// local_part.h says.
// Everything takes effect at once: nothing here is cached by the store. AlreadyExists and NotFound
// mean what they say; InvalidArgument a malformed name; FailedPrecondition what is still in use.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/db/connection.h"
#include "libs/store/directory.h"
#include "libs/store/ids.h"

namespace godwit::store {

struct Domain {
  std::string name;
  bool disabled = false;
  DomainKind kind = DomainKind::kLocal;
  // Where mail goes on: "host:port", "192.0.2.1:25", "[2001:db8::1]:25". Empty: to the hosts of the
  // domain's MX records that come before ourselves. For kLocal empty.
  std::string next_hop;
  // Mail goes on for addresses that are listed as relayed, and no others.
  bool listed_only = false;
  // For all others the next hop, which must be given, is asked.
  bool callout = false;
  // What stands before one of these characters in a local part is the user: "user+tag". Out of
  // kSeparators (local_part.h); empty: no tags.
  std::string separator = "+";
  // Alice and alice are two. To be chosen before the first address.
  bool case_sensitive = false;
  std::optional<AccountId> catch_all;
  std::optional<AccountId> postmaster;
  absl::Time created;
  int64_t addresses = 0;  // filled when listing
};

absl::Status AddDomain(db::Connection& connection, std::string_view name, absl::Time now);
// FailedPrecondition while it has addresses or aliases.
absl::Status RemoveDomain(db::Connection& connection, std::string_view name);
absl::StatusOr<std::vector<Domain>> ListDomains(db::Connection& connection);
absl::StatusOr<Domain> GetDomain(db::Connection& connection, std::string_view name);
// Stores all fields of `domain` but name, created and addresses. FailedPrecondition when it has
// addresses and case_sensitive is another than before; InvalidArgument for a next hop or separators
// that are not as above.
absl::Status UpdateDomain(db::Connection& connection, const Domain& domain);
// Where <postmaster> and the postmaster of domains without one go.
absl::Status SetPostmaster(db::Connection& connection, std::optional<AccountId> account);

struct Account {
  AccountId id = AccountId::kNone;
  std::string name;  // the address it was made with; a label, not a key
  bool disabled = false;
  bool admin = false;
  int64_t quota_bytes = 0;  // 0: no bound
  int64_t used_bytes = 0;
  int64_t emails = 0;
  absl::Time created;
  std::vector<std::string> addresses;  // filled when getting or listing
};

// Makes an account with a random id, its first address, and the mailboxes INBOX, Drafts, Sent,
// Archive, Junk and Trash with their roles (RFC 6154), all subscribed.
absl::StatusOr<AccountId> AddAccount(db::Connection& connection, std::string_view address,
                                     base::RandomSource* random, absl::Time now);
// Removes the account, its addresses and credentials. Alias memberships and catch-alls that lead to
// it go too. Its mail can not be reached any more, and goes with the sweep (SweepDeleted).
absl::Status RemoveAccount(db::Connection& connection, AccountId account);
absl::StatusOr<Account> GetAccount(db::Connection& connection, AccountId account);
// In order of name and id, for names are not unique: the page behind the last of the page before.
absl::StatusOr<std::vector<Account>> ListAccounts(db::Connection& connection,
                                                  const Account& after = {}, int limit = 1000);
absl::Status SetAccountDisabled(db::Connection& connection, AccountId account, bool disabled);
absl::Status SetQuota(db::Connection& connection, AccountId account, int64_t bytes);
absl::Status SetAdmin(db::Connection& connection, AccountId account, bool admin, absl::Time now);

struct Quota {
  int64_t used_bytes = 0;
  int64_t quota_bytes = 0;  // 0: no bound
  int64_t emails = 0;
};
absl::StatusOr<Quota> GetQuota(db::Connection& connection, AccountId account);

struct Address {
  std::string address;
  // Neither an account's nor an alias's: one that is only relayed, or refused.
  AccountId account = AccountId::kNone;
  bool alias = false;
  bool relayed = false;
  std::string refusal{};               // what RCPT is answered; "" nothing of the sort
  std::vector<std::string> senders{};  // who may send to it; empty: anybody
};
// FailedPrecondition when the domain is not ours; AlreadyExists for a taken address or alias.
absl::Status AddAddress(db::Connection& connection, std::string_view address, AccountId account,
                        absl::Time now);
// One that the domain's other server takes; FailedPrecondition where no mail goes on.
absl::Status AddRelayedAddress(db::Connection& connection, std::string_view address,
                               absl::Time now);
// Not an alias: that is RemoveAlias().
absl::Status RemoveAddress(db::Connection& connection, std::string_view address);
// What RCPT is answered for it: "550 5.1.6 Moved to x.example". 4xx or 5xx, an enhanced code of the
// same class, a text of printable ASCII. "" ends that. The address need not exist before.
absl::Status SetRefusal(db::Connection& connection, std::string_view address,
                        std::string_view refusal, absl::Time now);
// Who may send to the address or alias, by the envelope: "a@x.example", "@x.example", "<>" for
// notices. None: anybody.
absl::Status SetSenders(db::Connection& connection, std::string_view address,
                        const std::vector<std::string>& senders);
// Of one domain, or of all when it is empty. Aliases are among them when they have a refusal or
// senders.
absl::StatusOr<std::vector<Address>> ListAddresses(db::Connection& connection,
                                                   std::string_view domain = "");

struct Alias {
  std::string address;
  bool public_posting = true;        // false: only members may send to it
  std::vector<std::string> members;  // addresses, ours or others'; never another alias
};
// At least one member; a member of a domain that is delivered here must be an account's address,
// and none may be an alias (FailedPrecondition).
absl::Status AddAlias(db::Connection& connection, const Alias& alias, absl::Time now);
absl::Status RemoveAlias(db::Connection& connection, std::string_view address);
absl::Status AddAliasMember(db::Connection& connection, std::string_view alias,
                            std::string_view member);
// FailedPrecondition for the last one.
absl::Status RemoveAliasMember(db::Connection& connection, std::string_view alias,
                               std::string_view member);
absl::StatusOr<std::vector<Alias>> ListAliases(db::Connection& connection,
                                               std::string_view domain = "");

}  // namespace godwit::store
