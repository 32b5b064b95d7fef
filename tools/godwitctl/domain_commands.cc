// godwitctl domain ...: the domains whose mail is taken here.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <utility>

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/store/admin.h"
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
  Table table({"DOMAIN", "STATE", "SEPARATOR", "ADDRESSES"});
  boost::json::array json;
  for (const store::Domain& domain : domains) {
    table.Add({domain.name, domain.disabled ? "disabled" : "enabled", domain.separator,
               std::to_string(domain.addresses)});
    json.push_back(boost::json::object{{"name", domain.name},
                                       {"disabled", domain.disabled},
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
