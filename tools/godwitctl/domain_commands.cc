// godwitctl domain ...: the domains whose mail is taken here.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <utility>

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/store/admin.h"
#include "libs/store/directory.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"

namespace godwit::ctl {
namespace {

absl::StatusOr<std::string> DomainName(const Invocation& in) {
  const auto name = idna::ToAscii(in.argument("DOMAIN"));
  if (!name) return base::InvalidArgument(in.argument("DOMAIN") + " is no domain name");
  return *name;
}

absl::StatusOr<Report> Add(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string name, DomainName(in));
  GODWIT_RETURN_IF_ERROR(store::AddDomain(connection, name, base::Clock::System()->Now()));
  return Report::Done("Domain " + name + " is added.");
}

absl::StatusOr<Report> Remove(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string name, DomainName(in));
  GODWIT_RETURN_IF_ERROR(store::RemoveDomain(connection, name));
  return Report::Done("Domain " + name + " is removed.");
}

absl::StatusOr<Report> List(db::Connection& connection, const Invocation&) {
  GODWIT_ASSIGN_OR_RETURN(const auto domains, store::ListDomains(connection));
  Table table({"DOMAIN", "STATE", "KIND", "NEXT HOP", "SEPARATORS", "ADDRESSES"});
  boost::json::array json;
  for (const store::Domain& domain : domains) {
    const bool local = domain.kind == store::DomainKind::kLocal;
    table.Add({domain.name, domain.disabled ? "disabled" : "enabled",
               std::string(store::DomainKindName(domain.kind)),
               local ? "-" : (domain.next_hop.empty() ? "mx" : domain.next_hop), domain.separator,
               std::to_string(domain.addresses)});
    json.push_back(boost::json::object{{"name", domain.name},
                                       {"disabled", domain.disabled},
                                       {"kind", store::DomainKindName(domain.kind)},
                                       {"next_hop", domain.next_hop},
                                       {"listed_only", domain.listed_only},
                                       {"callout", domain.callout},
                                       {"case_sensitive", domain.case_sensitive},
                                       {"separator", domain.separator},
                                       {"addresses", domain.addresses}});
  }
  return Report(table.ToString(), std::move(json));
}

absl::StatusOr<Report> SetDisabled(db::Connection& connection, const Invocation& in,
                                   bool disabled) {
  GODWIT_ASSIGN_OR_RETURN(const std::string name, DomainName(in));
  GODWIT_ASSIGN_OR_RETURN(store::Domain domain, store::GetDomain(connection, name));
  domain.disabled = disabled;
  GODWIT_RETURN_IF_ERROR(store::UpdateDomain(connection, domain));
  return Report::Done("Domain " + name + (disabled ? " is disabled." : " is enabled."));
}

// One of two words, or an error.
absl::StatusOr<bool> Choose(const std::string& flag, const std::string& value, std::string_view no,
                            std::string_view yes) {
  if (value == yes) return true;
  if (value == no) return false;
  return base::InvalidArgument("--" + flag + " is " + std::string(no) + " or " + std::string(yes));
}

absl::StatusOr<std::optional<store::AccountId>> AccountOrNone(db::Connection& connection,
                                                              const std::string& value) {
  if (value == "none") return std::optional<store::AccountId>();
  GODWIT_ASSIGN_OR_RETURN(const auto account, store::FindAccount(connection, value));
  return std::optional(account);
}

absl::Status SetKind(const Invocation& in, store::Domain* domain) {
  if (const auto kind = in.flag("kind")) {
    domain->kind = store::DomainKindFromName(*kind);
    if (store::DomainKindName(domain->kind) != *kind) {
      return base::InvalidArgument("--kind is local, relay or local-then-relay");
    }
    if (domain->kind == store::DomainKind::kLocal) {
      domain->next_hop.clear();
      domain->callout = false;
    }
  }
  if (const auto hop = in.flag("next-hop")) domain->next_hop = *hop == "mx" ? "" : *hop;
  if (const auto value = in.flag("relayed")) {
    domain->callout = *value == "callout";
    const std::string rest = domain->callout ? "all" : *value;
    GODWIT_ASSIGN_OR_RETURN(domain->listed_only, Choose("relayed", rest, "all", "listed"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Report> Set(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string name, DomainName(in));
  GODWIT_ASSIGN_OR_RETURN(store::Domain domain, store::GetDomain(connection, name));
  GODWIT_RETURN_IF_ERROR(SetKind(in, &domain));
  if (const auto value = in.flag("separators")) domain.separator = *value == "none" ? "" : *value;
  if (const auto value = in.flag("case")) {
    GODWIT_ASSIGN_OR_RETURN(domain.case_sensitive, Choose("case", *value, "fold", "keep"));
  }
  if (const auto value = in.flag("catch-all")) {
    GODWIT_ASSIGN_OR_RETURN(domain.catch_all, AccountOrNone(connection, *value));
  }
  if (const auto value = in.flag("postmaster")) {
    GODWIT_ASSIGN_OR_RETURN(domain.postmaster, AccountOrNone(connection, *value));
  }
  GODWIT_RETURN_IF_ERROR(store::UpdateDomain(connection, domain));
  return Report::Done("Domain " + name + " is set.");
}

std::vector<Flag> SetFlags() {
  return {
      {"kind", "KIND",
       "local: delivered here; relay: all of it goes on to another server, whoever has an account "
       "here; local-then-relay: what no address here takes goes on"},
      {"next-hop", "HOST:PORT",
       "where it goes on to; mx: to the hosts before ourselves in the MX records (delivery-queue's "
       "own_mx_hosts)"},
      {"relayed", "WHICH",
       "all; listed: only addresses of address add-relayed go on; callout: the next hop is asked"},
      {"separators", "CHARACTERS", "each of them ends the user in user+tag; none: no tags"},
      {"case", "RULE", "fold: Alice is alice; keep: she is not (before the first address)"},
      {"catch-all", "ADDRESS", "the account that takes what nobody else does; none: nobody"},
      {"postmaster", "ADDRESS", "the account of postmaster here; none: the installation's"},
  };
}

}  // namespace

std::vector<Command> DomainCommands() {
  return {
      {"domain add", {"DOMAIN"}, {}, "Takes mail for a domain from now on.", WithDatabase(Add)},
      {"domain remove",
       {"DOMAIN"},
       {},
       "Takes no more mail; refused while it has addresses.",
       WithDatabase(Remove)},
      {"domain list", {}, {}, "Lists the domains.", WithDatabase(List)},
      {"domain set",
       {"DOMAIN"},
       SetFlags(),
       "Changes what becomes of a domain's mail.",
       WithDatabase(Set)},
      {"domain disable",
       {"DOMAIN"},
       {},
       "Answers mail with a temporary error.",
       WithDatabase(
           [](db::Connection& c, const Invocation& in) { return SetDisabled(c, in, true); })},
      {"domain enable",
       {"DOMAIN"},
       {},
       "Takes mail again.",
       WithDatabase(
           [](db::Connection& c, const Invocation& in) { return SetDisabled(c, in, false); })},
  };
}

}  // namespace godwit::ctl
