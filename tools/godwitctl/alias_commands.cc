// godwitctl alias ...: addresses that stand for several others.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/store/admin.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"

namespace godwit::ctl {
namespace {

absl::StatusOr<Report> Add(db::Connection& connection, const Invocation& in) {
  const store::Alias alias = {in.argument("ADDRESS"), !in.has("members-only"), in.rest()};
  GODWIT_RETURN_IF_ERROR(store::AddAlias(connection, alias, base::Clock::System()->Now()));
  return Report::Done("Alias " + alias.address + " is added.");
}

absl::StatusOr<Report> Remove(db::Connection& connection, const Invocation& in) {
  GODWIT_RETURN_IF_ERROR(store::RemoveAlias(connection, in.argument("ADDRESS")));
  return Report::Done("Alias " + in.argument("ADDRESS") + " is removed.");
}

absl::StatusOr<Report> AddMember(db::Connection& connection, const Invocation& in) {
  GODWIT_RETURN_IF_ERROR(
      store::AddAliasMember(connection, in.argument("ADDRESS"), in.argument("MEMBER")));
  return Report::Done(in.argument("MEMBER") + " is a member of " + in.argument("ADDRESS") + ".");
}

absl::StatusOr<Report> RemoveMember(db::Connection& connection, const Invocation& in) {
  GODWIT_RETURN_IF_ERROR(
      store::RemoveAliasMember(connection, in.argument("ADDRESS"), in.argument("MEMBER")));
  return Report::Done(in.argument("MEMBER") + " is no member of " + in.argument("ADDRESS") +
                      " any more.");
}

absl::StatusOr<Report> List(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const auto aliases,
                          store::ListAliases(connection, in.flag("domain").value_or("")));
  Table table({"ALIAS", "SENDERS", "MEMBERS"});
  boost::json::array json;
  for (const store::Alias& alias : aliases) {
    table.Add({alias.address, alias.public_posting ? "anybody" : "members",
               base::Join(alias.members, ", ")});
    boost::json::array members;
    for (const std::string& member : alias.members) members.emplace_back(member);
    json.push_back(boost::json::object{{"address", alias.address},
                                       {"members_only", !alias.public_posting},
                                       {"members", std::move(members)}});
  }
  return Report(table.ToString(), std::move(json));
}

}  // namespace

std::vector<Command> AliasCommands() {
  return {
      {"alias add",
       {"ADDRESS", "MEMBER..."},
       {{"members-only", "", "only members may send to it"}},
       "Makes an address whose mail goes to all members.",
       WithDatabase(Add)},
      {"alias remove", {"ADDRESS"}, {}, "Removes an alias.", WithDatabase(Remove)},
      {"alias list",
       {},
       {{"domain", "DOMAIN", "of this domain only"}},
       "Lists the aliases.",
       WithDatabase(List)},
      {"alias add-member", {"ADDRESS", "MEMBER"}, {}, "Adds one member.", WithDatabase(AddMember)},
      {"alias remove-member",
       {"ADDRESS", "MEMBER"},
       {},
       "Takes one member away.",
       WithDatabase(RemoveMember)},
  };
}

}  // namespace godwit::ctl
