// godwitctl address|srs ...: what an address leads to and whom it takes mail from, and the secrets
// of senders that are rewritten when mail is forwarded.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/secret.h"
#include "libs/base/status.h"
#include "libs/store/admin.h"
#include "libs/store/directory.h"
#include "libs/store/srs_secrets.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"

namespace godwit::ctl {
namespace {

// As long as an address is good that was signed with it (libs/srs), and a day.
constexpr absl::Duration kKeepSecret = absl::Hours(24 * 22);

absl::Time Now() { return base::Clock::System()->Now(); }

absl::StatusOr<Report> Add(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const auto account,
                          store::FindAccount(connection, in.argument("ACCOUNT")));
  GODWIT_RETURN_IF_ERROR(store::AddAddress(connection, in.argument("ADDRESS"), account, Now()));
  return Report::Done("Mail for " + in.argument("ADDRESS") + " goes to " + in.argument("ACCOUNT") +
                      ".");
}

absl::StatusOr<Report> AddRelayed(db::Connection& connection, const Invocation& in) {
  GODWIT_RETURN_IF_ERROR(store::AddRelayedAddress(connection, in.argument("ADDRESS"), Now()));
  return Report::Done("Mail for " + in.argument("ADDRESS") + " goes on to the domain's server.");
}

absl::StatusOr<Report> Remove(db::Connection& connection, const Invocation& in) {
  GODWIT_RETURN_IF_ERROR(store::RemoveAddress(connection, in.argument("ADDRESS")));
  return Report::Done("Address " + in.argument("ADDRESS") + " is removed.");
}

absl::StatusOr<Report> Refuse(db::Connection& connection, const Invocation& in) {
  const std::string& address = in.argument("ADDRESS");
  const std::string reply = in.argument("CODE") + " " + in.argument("TEXT");
  GODWIT_RETURN_IF_ERROR(store::SetRefusal(connection, address, reply, Now()));
  return Report::Done("Mail for " + address + " is answered " + reply);
}

absl::StatusOr<Report> Accept(db::Connection& connection, const Invocation& in) {
  const std::string& address = in.argument("ADDRESS");
  GODWIT_RETURN_IF_ERROR(store::SetRefusal(connection, address, "", Now()));
  return Report::Done("Mail for " + address + " is refused no more.");
}

absl::StatusOr<Report> SetSenders(db::Connection& connection, const Invocation& in) {
  const std::string& address = in.argument("ADDRESS");
  GODWIT_RETURN_IF_ERROR(store::SetSenders(connection, address, in.rest()));
  if (in.rest().empty()) return Report::Done("Anybody may send to " + address + ".");
  return Report::Done("Only " + base::Join(in.rest(), ", ") + " may send to " + address + ".");
}

std::string LeadsTo(const store::Address& address) {
  if (address.relayed) return "relayed";
  if (address.alias) return "alias";
  if (address.account == store::AccountId::kNone) return "-";
  return std::to_string(store::ToInt(address.account));
}

absl::StatusOr<Report> List(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const auto addresses,
                          store::ListAddresses(connection, in.flag("domain").value_or("")));
  Table table({"ADDRESS", "ACCOUNT", "SENDERS", "REFUSED"});
  boost::json::array json;
  for (const store::Address& address : addresses) {
    table.Add({address.address, LeadsTo(address),
               address.senders.empty() ? "anybody" : base::Join(address.senders, ", "),
               address.refusal});
    boost::json::array senders;
    for (const std::string& sender : address.senders) senders.emplace_back(sender);
    const bool account = address.account != store::AccountId::kNone;
    json.push_back(boost::json::object{{"address", address.address},
                                       {"account", account ? LeadsTo(address) : ""},
                                       {"alias", address.alias},
                                       {"relayed", address.relayed},
                                       {"refusal", address.refusal},
                                       {"senders", std::move(senders)}});
  }
  return Report(table.ToString(), std::move(json));
}

absl::StatusOr<Report> RotateSrs(db::Connection& connection, const Invocation&) {
  const base::Secret secret(base::RandomSource::System()->Bytes(32));
  GODWIT_RETURN_IF_ERROR(store::AddSrsSecret(connection, secret, Now(), kKeepSecret));
  return Report::Done("Another secret signs the senders of forwarded mail from now on.");
}

}  // namespace

std::vector<Command> AddressCommands() {
  return {
      {"address add",
       {"ADDRESS", "ACCOUNT"},
       {},
       "Gives an account one more address.",
       WithDatabase(Add)},
      {"address add-relayed",
       {"ADDRESS"},
       {},
       "Names an address that the other server of its domain takes mail for.",
       WithDatabase(AddRelayed)},
      {"address remove", {"ADDRESS"}, {}, "Takes an address away.", WithDatabase(Remove)},
      {"address refuse",
       {"ADDRESS", "CODE", "TEXT"},
       {},
       "Answers mail with an error: refuse old@x.example '550 5.1.6' 'Moved to y.example'.",
       WithDatabase(Refuse)},
      {"address accept", {"ADDRESS"}, {}, "Ends address refuse.", WithDatabase(Accept)},
      {"address senders",
       {"ADDRESS", "[SENDER...]"},
       {},
       "Takes mail from these senders only, a@x.example, @x.example or '<>'; none: from anybody.",
       WithDatabase(SetSenders)},
      {"address list",
       {},
       {{"domain", "DOMAIN", "of this domain only"}},
       "Lists addresses.",
       WithDatabase(List)},
      {"srs rotate",
       {},
       {},
       "Signs the senders of forwarded mail with a new secret; older ones hold until they expire.",
       WithDatabase(RotateSrs)},
  };
}

}  // namespace godwit::ctl
