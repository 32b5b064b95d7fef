// godwitctl account|admin ...: people, and who may administer.

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <iostream>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/secret.h"
#include "libs/base/status.h"
#include "libs/runtime/units.h"
#include "libs/sasl/scram_verifier.h"
#include "libs/store/admin.h"
#include "libs/store/credentials.h"
#include "libs/store/directory.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"

namespace godwit::ctl {
namespace {

constexpr char kPasswordCredential[] = "password";
// 16 characters of five bits: out of reach for guessing, still possible to type.
constexpr size_t kGeneratedLength = 16;

const Flag kPasswordStdin = {"password-stdin", "",
                             "the password is the first line of standard input"};

absl::Time Now() { return base::Clock::System()->Now(); }

base::Secret ReadPassword() {
  std::string line;
  std::getline(std::cin, line);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  base::Secret password(line);
  explicit_bzero(line.data(), line.size());
  return password;
}

store::ScramVerifier ToStore(const sasl::ScramKeys& keys) {
  return {base::Secret(keys.stored_key), base::Secret(keys.server_key)};
}

absl::Status SetPassword(db::Connection& connection, store::AccountId account,
                         const base::Secret& password, store::ScopeMask scopes) {
  GODWIT_ASSIGN_OR_RETURN(const auto scram, store::GetOrMakeScramParameters(
                                                connection, account, base::RandomSource::System()));
  GODWIT_ASSIGN_OR_RETURN(
      const auto sha256,
      sasl::MakeScramKeys(sasl::ScramHash::kSha256, password.Reveal(), scram.sha256.salt,
                          static_cast<uint32_t>(scram.sha256.iterations)));
  GODWIT_ASSIGN_OR_RETURN(
      const auto sha1,
      sasl::MakeScramKeys(sasl::ScramHash::kSha1, password.Reveal(), scram.sha1.salt,
                          static_cast<uint32_t>(scram.sha1.iterations)));
  return store::SetCredential(connection, account,
                              {kPasswordCredential, scopes, ToStore(sha256), ToStore(sha1)}, Now())
      .status();
}

// From standard input, or a new one that is shown once.
struct ChosenPassword {
  base::Secret secret;
  bool generated = false;
};

ChosenPassword ChoosePassword(const Invocation& in) {
  if (in.has("password-stdin")) return {ReadPassword(), false};
  return {base::Secret(base::RandomSource::System()->Token(kGeneratedLength)), true};
}

Report PasswordReport(std::string sentence, const std::string& address,
                      const ChosenPassword& password) {
  boost::json::object json{{"address", address}};
  if (password.generated) {
    sentence += "\nPassword: " + std::string(password.secret.Reveal());
    json["password"] = std::string(password.secret.Reveal());
  }
  return Report(std::move(sentence), std::move(json));
}

absl::StatusOr<store::AccountId> MakeAccount(db::Connection& connection, const std::string& address,
                                             const ChosenPassword& password,
                                             store::ScopeMask scopes) {
  GODWIT_ASSIGN_OR_RETURN(
      const store::AccountId account,
      store::AddAccount(connection, address, base::RandomSource::System(), Now()));
  GODWIT_RETURN_IF_ERROR(SetPassword(connection, account, password.secret, scopes));
  return account;
}

// Zero without the flag.
absl::StatusOr<int64_t> QuotaFlag(const Invocation& in) {
  const auto quota = in.flag("quota");
  if (!quota) return 0;
  const auto bytes = runtime::ParseSize(*quota);
  if (!bytes) return base::InvalidArgument("--quota: not a size such as 5GiB: " + *quota);
  return static_cast<int64_t>(*bytes);
}

// Account, quota and password come into being together, or not at all: a password that was made and
// not shown is lost.
absl::StatusOr<store::AccountId> AddWithPassword(db::Connection& connection,
                                                 const std::string& address,
                                                 const ChosenPassword& password, bool admin,
                                                 int64_t quota) {
  const store::ScopeMask scopes = admin ? store::kScopeAll | store::kScopeAdmin : +store::kScopeAll;
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::StatusOr<store::AccountId> {
    GODWIT_ASSIGN_OR_RETURN(const auto account, MakeAccount(c, address, password, scopes));
    if (admin) GODWIT_RETURN_IF_ERROR(store::SetAdmin(c, account, true, Now()));
    if (quota > 0) GODWIT_RETURN_IF_ERROR(store::SetQuota(c, account, quota));
    return account;
  });
}

absl::StatusOr<Report> AddAccountCommand(db::Connection& connection, const Invocation& in) {
  const std::string& address = in.argument("ADDRESS");
  GODWIT_ASSIGN_OR_RETURN(const int64_t quota, QuotaFlag(in));
  const ChosenPassword password = ChoosePassword(in);
  GODWIT_RETURN_IF_ERROR(AddWithPassword(connection, address, password, false, quota).status());
  return PasswordReport("Account " + address + " is added.", address, password);
}

absl::StatusOr<Report> RemoveAccountCommand(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const auto account,
                          store::FindAccount(connection, in.argument("ADDRESS")));
  GODWIT_RETURN_IF_ERROR(store::RemoveAccount(connection, account));
  return Report::Done("Account " + in.argument("ADDRESS") +
                      " is removed; its mail goes within minutes.");
}

absl::StatusOr<Report> ListAccountsCommand(db::Connection& connection, const Invocation&) {
  Table table({"ADDRESS", "STATE", "EMAILS", "USED", "QUOTA", "ADMIN"});
  boost::json::array json;
  store::Account after;
  while (true) {
    GODWIT_ASSIGN_OR_RETURN(const auto page, store::ListAccounts(connection, after));
    if (page.empty()) break;
    for (const store::Account& account : page) {
      table.Add({account.name, account.disabled ? "disabled" : "enabled",
                 std::to_string(account.emails), std::to_string(account.used_bytes),
                 account.quota_bytes == 0 ? "-" : std::to_string(account.quota_bytes),
                 account.admin ? "yes" : "no"});
      boost::json::array addresses;
      for (const std::string& address : account.addresses) addresses.emplace_back(address);
      json.push_back(boost::json::object{{"id", std::to_string(store::ToInt(account.id))},
                                         {"address", account.name},
                                         {"addresses", std::move(addresses)},
                                         {"disabled", account.disabled},
                                         {"emails", account.emails},
                                         {"used_bytes", account.used_bytes},
                                         {"quota_bytes", account.quota_bytes},
                                         {"admin", account.admin}});
    }
    after = page.back();
  }
  return Report(table.ToString(), std::move(json));
}

absl::StatusOr<Report> PasswordCommand(db::Connection& connection, const Invocation& in) {
  const std::string& address = in.argument("ADDRESS");
  GODWIT_ASSIGN_OR_RETURN(const auto login, store::LookupLogin(connection, address));
  if (!login) return base::NotFound("there is no account " + address);
  const ChosenPassword password = ChoosePassword(in);
  const store::ScopeMask scopes =
      login->admin ? store::kScopeAll | store::kScopeAdmin : +store::kScopeAll;
  GODWIT_RETURN_IF_ERROR(SetPassword(connection, login->account, password.secret, scopes));
  return PasswordReport("The password of " + address + " is set.", address, password);
}

absl::StatusOr<Report> SetDisabled(db::Connection& connection, const Invocation& in,
                                   bool disabled) {
  const std::string& address = in.argument("ADDRESS");
  GODWIT_ASSIGN_OR_RETURN(const auto account, store::FindAccount(connection, address));
  GODWIT_RETURN_IF_ERROR(store::SetAccountDisabled(connection, account, disabled));
  return Report::Done("Account " + address + (disabled ? " is disabled." : " is enabled."));
}

// RFC 5321 §4.5.1: every domain has a postmaster, and so has the server itself.
absl::StatusOr<Report> PostmasterCommand(db::Connection& connection, const Invocation& in) {
  const std::string& address = in.argument("ADDRESS");
  GODWIT_ASSIGN_OR_RETURN(const auto account, store::FindAccount(connection, address));
  GODWIT_RETURN_IF_ERROR(store::SetPostmaster(connection, account));
  return Report::Done("Mail for postmaster goes to " + address + " where a domain names no other.");
}

absl::StatusOr<Report> QuotaCommand(db::Connection& connection, const Invocation& in) {
  const auto bytes = runtime::ParseSize(in.argument("SIZE"));
  if (!bytes) return base::InvalidArgument("not a size such as 5GiB: " + in.argument("SIZE"));
  GODWIT_ASSIGN_OR_RETURN(const auto account,
                          store::FindAccount(connection, in.argument("ADDRESS")));
  GODWIT_RETURN_IF_ERROR(store::SetQuota(connection, account, static_cast<int64_t>(*bytes)));
  return Report::Done("The quota of " + in.argument("ADDRESS") + " is set.");
}

absl::StatusOr<Report> AddAdmin(db::Connection& connection, const Invocation& in) {
  const std::string& address = in.argument("ADDRESS");
  const ChosenPassword password = ChoosePassword(in);
  GODWIT_RETURN_IF_ERROR(AddWithPassword(connection, address, password, true, 0).status());
  return PasswordReport("Administrator " + address + " is added.", address, password);
}

absl::StatusOr<Report> SetAdminCommand(db::Connection& connection, const Invocation& in,
                                       bool admin) {
  const std::string& address = in.argument("ADDRESS");
  GODWIT_ASSIGN_OR_RETURN(const auto account, store::FindAccount(connection, address));
  GODWIT_RETURN_IF_ERROR(store::SetAdmin(connection, account, admin, Now()));
  return Report::Done(address +
                      (admin ? " is an administrator now." : " is no administrator any more."));
}

absl::StatusOr<Report> ListAdmins(db::Connection& connection, const Invocation&) {
  Table table({"ADDRESS"});
  boost::json::array json;
  store::Account after;
  while (true) {
    GODWIT_ASSIGN_OR_RETURN(const auto page, store::ListAccounts(connection, after));
    if (page.empty()) break;
    for (const store::Account& account : page) {
      if (!account.admin) continue;
      table.Add({account.name});
      json.push_back(boost::json::object{{"address", account.name}});
    }
    after = page.back();
  }
  return Report(table.ToString(), std::move(json));
}

template <bool kValue, auto kFunction>
auto With() {
  return WithDatabase(
      [](db::Connection& c, const Invocation& in) { return kFunction(c, in, kValue); });
}

}  // namespace

std::vector<Command> AccountCommands() {
  const Flag quota = {"quota", "SIZE", "such as 5GiB; without it there is no bound"};
  return {
      {"account add",
       {"ADDRESS"},
       {kPasswordStdin, quota},
       "Makes an account with its first address; without --password-stdin a password is made and "
       "shown.",
       WithDatabase(AddAccountCommand)},
      {"account remove",
       {"ADDRESS"},
       {},
       "Removes an account at once, and its mail within minutes.",
       WithDatabase(RemoveAccountCommand)},
      {"account list", {}, {}, "Lists the accounts.", WithDatabase(ListAccountsCommand)},
      {"account password",
       {"ADDRESS"},
       {kPasswordStdin},
       "Sets another password, and ends what the old one had opened.",
       WithDatabase(PasswordCommand)},
      {"account disable",
       {"ADDRESS"},
       {},
       "No login, no open session and no mail until it is enabled again.",
       With<true, SetDisabled>()},
      {"account enable", {"ADDRESS"}, {}, "Ends account disable.", With<false, SetDisabled>()},
      {"account quota",
       {"ADDRESS", "SIZE"},
       {},
       "Sets the bound on stored mail; 0 for none.",
       WithDatabase(QuotaCommand)},
      {"account postmaster",
       {"ADDRESS"},
       {},
       "Takes the mail for <postmaster> and for domains without a postmaster of their own.",
       WithDatabase(PostmasterCommand)},
      {"admin add",
       {"ADDRESS"},
       {kPasswordStdin},
       "Makes an account that may administer.",
       WithDatabase(AddAdmin)},
      {"admin grant",
       {"ADDRESS"},
       {},
       "Lets an account administer.",
       With<true, SetAdminCommand>()},
      {"admin revoke", {"ADDRESS"}, {}, "Ends admin grant.", With<false, SetAdminCommand>()},
      {"admin list", {}, {}, "Lists who may administer.", WithDatabase(ListAdmins)},
  };
}

}  // namespace godwit::ctl
