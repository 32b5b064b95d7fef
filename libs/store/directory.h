#pragma once

// The directory as a mail server asks it: whose address is this?
//
// The directory (domains, addresses, aliases, settings) is small and replicated; accounts are
// looked at in a second statement. Changing it is admin.h's.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/db/connection.h"
#include "libs/smtp/path.h"
#include "libs/store/ids.h"
#include "libs/store/local_part.h"

namespace godwit::store {

// A local account that a recipient leads to.
struct LocalRecipient {
  AccountId account = AccountId::kNone;
  // The address it was reached by, canonical ("local@domain", without tag): for Delivered-To.
  std::string address;
  // The account takes no mail at the moment: answer 4xx or 5xx, never deliver.
  bool disabled = false;
  int64_t used_bytes = 0;
  int64_t quota_bytes = 0;  // 0: no bound
};

enum class RecipientKind {
  kUnknownDomain,   // not ours
  kDomainDisabled,  // ours, and closed for the moment
  kUnknownUser,     // ours, and there is nobody of this name
  kAccount,         // local.size() == 1
  kAlias,           // any number of local and external ones, duplicates removed
  kRelay,           // the domain's other server takes it: the message goes on to the same address
};

// What becomes of mail for a domain of ours.
enum class DomainKind {
  kLocal,           // it is delivered here
  kRelay,           // all of it goes on to another server: we are its front, or its backup
  kLocalThenRelay,  // addresses that are here are delivered, the others' mail goes on (a migration)
};
std::string_view DomainKindName(DomainKind kind);  // "local", "relay", "local-then-relay"
// kLocal for a name of a newer schema's.
DomainKind DomainKindFromName(std::string_view name);

struct Recipient {
  RecipientKind kind = RecipientKind::kUnknownDomain;
  std::vector<LocalRecipient> local{};
  std::vector<smtp::Address> external{};  // members of the alias whose mail goes on
  // How it was found, for the log.
  bool by_catch_all = false;
  bool by_tag = false;
  // The alias, when kAlias: who may send to it.
  std::string alias{};       // canonical address
  bool alias_public = true;  // anybody may send; otherwise members only
  // With kRelay: ask this server (HOST:PORT) whether it has the address; "" no need.
  std::string callout{};
  // What RCPT is answered, "550 5.1.6 Moved"; "" nothing of the sort. Before everything else.
  std::string refusal{};
  // Who may send to the address: "a@x.example", "@x.example", "<>". Empty: anybody.
  std::vector<std::string> senders{};
};

// Looks up one recipient. `local_part` is unquoted, as the user sees it; `domain` may have any
// ASCII case and must be in its A-label form (U-labels are looked up as they are).
//
// Order: the exact local part (local_part.h); then what stands before a separator of the domain,
// the longest first ("user+tag" -> "user"); then postmaster, which always exists (RFC 5321 §4.5.1):
// the domain's, or the installation's; then the domain's catch-all. An empty domain is allowed for
// <postmaster>.
//
// Where mail goes on, kRelay stands behind the addresses (and a postmaster that the domain itself
// names); with DomainKind::kRelay accounts and aliases do not count. With Domain::listed_only it is
// given for addresses that are listed as relayed, and for postmaster; else for all. Refusals and
// senders of an address hold wherever its mail goes.
//
// Members of an alias who are not here, whosever their domain is, are external ones.
absl::StatusOr<Recipient> LookupRecipient(db::Connection& connection, std::string_view local_part,
                                          std::string_view domain);

// True when mail for the domain is taken here: the domain exists and is not disabled.
absl::StatusOr<bool> IsLocalDomain(db::Connection& connection, std::string_view domain);

// The account a user at `address` is, by exact address only (no tag, catch-all or alias):
// NotFound when there is none.
absl::StatusOr<AccountId> FindAccount(db::Connection& connection, std::string_view address);

// The same with the address as it is stored.
struct OwnAddress {
  AccountId account = AccountId::kNone;
  std::string address;
};
absl::StatusOr<OwnAddress> FindOwnAddress(db::Connection& connection, std::string_view address);

// What is to be known of a domain to send mail there.
struct DomainRoute {
  bool ours = false;  // whether it takes mail now or not
  DomainKind kind = DomainKind::kLocal;
  std::string next_hop;  // HOST:PORT; "" by MX
};
// `domain` in A-labels, lower case.
absl::StatusOr<DomainRoute> FindDomainRoute(db::Connection& connection, std::string_view domain);

// What an account has to do with an address that it wants to send as.
enum class SenderRight {
  kNone,            // nothing
  kDomainDisabled,  // whatever it is, not now
  kOwn,             // one of its addresses, with or without tag; postmaster where that leads to it
  kCatchAll,        // the domain's catch-all leads to it
  kAliasMember,     // an alias that it is a member of
};
absl::StatusOr<SenderRight> FindSenderRight(db::Connection& connection, AccountId account,
                                            std::string_view address);

// "local@domain" split at the last "@"; a local part in quotes loses them. InvalidArgument without
// an "@", and for quotes that are wrong.
struct AddressParts {
  LocalPart local_part;
  std::string domain;  // lower case
};
absl::StatusOr<AddressParts> SplitAddress(std::string_view address);

}  // namespace godwit::store
