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
#include "libs/store/ids.h"

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
};

struct Recipient {
  RecipientKind kind = RecipientKind::kUnknownDomain;
  std::vector<LocalRecipient> local{};
  std::vector<std::string> external{};  // members of the alias at other domains
  // How it was found, for the log.
  bool by_catch_all = false;
  bool by_tag = false;
  // The alias, when kAlias: who may send to it.
  std::string alias{};       // canonical address
  bool alias_public = true;  // anybody may send; otherwise members only
};

// Looks up one recipient. `local_part` is unquoted, as the user sees it; `domain` may have any
// ASCII case and must be in its A-label form (U-labels are looked up as they are).
//
// Order: the exact local part without ASCII case; then what stands before the domain's separator
// ("user+tag" -> "user"); then postmaster, which always exists (RFC 5321 §4.5.1): the domain's, or
// the installation's; then the domain's catch-all. An empty domain is allowed for <postmaster>.
absl::StatusOr<Recipient> LookupRecipient(db::Connection& connection, std::string_view local_part,
                                          std::string_view domain);

// True when mail for the domain is taken here: the domain exists and is not disabled.
absl::StatusOr<bool> IsLocalDomain(db::Connection& connection, std::string_view domain);

// The account a user at `address` is, by exact address only (no tag, catch-all or alias):
// NotFound when there is none.
absl::StatusOr<AccountId> FindAccount(db::Connection& connection, std::string_view address);

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

// "local@domain" split at the last "@"; both lower-cased in ASCII. InvalidArgument without one.
struct AddressParts {
  std::string local_part;
  std::string domain;
};
absl::StatusOr<AddressParts> SplitAddress(std::string_view address);

}  // namespace godwit::store
