// godwitctl store ...: the schema, and whether what is stored is consistent.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "libs/base/status.h"
#include "libs/store/check.h"
#include "libs/store/maintenance.h"
#include "libs/store/migrate.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"

namespace godwit::ctl {
namespace {

absl::StatusOr<Report> MigrateCommand(const Invocation&) {
  GODWIT_ASSIGN_OR_RETURN(const auto connection, OpenDatabase(absl::ZeroDuration()));
  GODWIT_ASSIGN_OR_RETURN(const store::MigrateResult result, store::Migrate(*connection));
  const std::string text =
      result.from == result.to
          ? "The schema is at version " + std::to_string(result.to) + " already."
          : "The schema went from version " + std::to_string(result.from) + " to " +
                std::to_string(result.to) + ".";
  return Report(text, boost::json::object{{"from", result.from}, {"to", result.to}});
}

absl::StatusOr<Report> CheckCommand(const Invocation&) {
  GODWIT_ASSIGN_OR_RETURN(const auto connection, OpenDatabase(absl::ZeroDuration()));
  GODWIT_ASSIGN_OR_RETURN(const auto findings, store::CheckStore(*connection));
  Table table({"CHECK", "ACCOUNT", "DETAIL"});
  boost::json::array json;
  for (const store::Finding& finding : findings) {
    const std::string account = std::to_string(store::ToInt(finding.account));
    table.Add({finding.check, account, finding.detail});
    json.push_back(boost::json::object{
        {"check", finding.check}, {"account", account}, {"detail", finding.detail}});
  }
  Report report(findings.empty() ? "The store is consistent." : table.ToString(),
                boost::json::object{{"clean", findings.empty()}, {"findings", std::move(json)}});
  if (!findings.empty()) report.set_exit_code(1);
  return report;
}

absl::StatusOr<Report> RestoredCommand(const Invocation&) {
  GODWIT_ASSIGN_OR_RETURN(const auto connection, OpenDatabase(absl::ZeroDuration()));
  GODWIT_ASSIGN_OR_RETURN(const store::Restored restored, store::MarkRestored(*connection));
  return Report("UIDs and states of " + std::to_string(restored.accounts) +
                    " accounts are moved ahead; " + std::to_string(restored.held_messages) +
                    " queued messages are on hold for review.",
                boost::json::object{{"accounts", restored.accounts},
                                    {"held_messages", restored.held_messages}});
}

}  // namespace

std::vector<Command> StoreCommands() {
  return {
      {"store migrate", {}, {}, "Brings the schema to this program's version.", MigrateCommand},
      {"store check",
       {},
       {},
       "Recomputes all that is kept and compares; 1 when something is wrong.",
       CheckCommand},
      {"store restored",
       {},
       {},
       "To be run once after a restore to an earlier point.",
       RestoredCommand},
  };
}

}  // namespace godwit::ctl
