// The account commands against a database.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "libs/store/admin.h"
#include "libs/store/directory.h"
#include "libs/store/directory_changes.h"
#include "libs/testing/scratch_database.h"
#include "tools/godwitctl/command_line.h"
#include "tools/godwitctl/commands.h"

namespace godwit::ctl {
namespace {

struct Fixture {
  Fixture() : connection(database.Connect()), commands(AccountCommands()) {
    REQUIRE(setenv("GODWIT_DATABASE", database.ConnInfo().c_str(), /*overwrite=*/1) == 0);
    REQUIRE(store::AddDomain(*connection, "b.example", absl::Now()).ok());
  }
  int Run(const std::vector<std::string>& words) { return commands.Run(words); }

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  CommandLine commands;
};

// The account was made, then the quota failed, and the password that had been made was never shown.
TEST_CASE_METHOD(Fixture, "An account with a quota that is none is not made",
                 "[godwitctl][integration]") {
  for (const std::string bad : {"bogus", "-1", ""}) {
    CAPTURE(bad);
    CHECK(Run({"account", "add", "x@b.example", "--quota=" + bad}) == 1);
  }
  CHECK(database.Ask("SELECT count(*) FROM accounts") == "0");
  CHECK(Run({"account", "add", "x@b.example", "--quota=5MiB"}) == 0);
  CHECK(database.Ask("SELECT quota_bytes FROM accounts") == "5242880");
  CHECK(Run({"account", "list"}) == 0);
}

// Daemons end sessions by what these leave in the directory's changes.
TEST_CASE_METHOD(Fixture, "What shuts somebody out is told to the daemons",
                 "[godwitctl][integration]") {
  REQUIRE(Run({"account", "add", "x@b.example"}) == 0);
  int64_t seen = *store::LastDirectoryChange(*connection);
  const auto account = store::FindAccount(*connection, "x@b.example");
  REQUIRE(account.ok());
  using Kind = store::DirectoryKind;
  const auto told = [&](const std::vector<std::string>& words) {
    CAPTURE(words);
    CHECK(Run(words) == 0);
    const auto news = store::ReadDirectoryChanges(*connection, seen);
    REQUIRE(news.ok());
    seen = news->last;
    std::vector<Kind> kinds;
    for (const store::DirectoryChange& change : news->changes) {
      CHECK(change.account == *account);
      kinds.push_back(change.kind);
    }
    return kinds;
  };
  CHECK(told({"account", "password", "x@b.example"}) == std::vector<Kind>{Kind::kCredential});
  CHECK(told({"account", "disable", "x@b.example"}) == std::vector<Kind>{Kind::kAccount});
  CHECK(told({"account", "enable", "x@b.example"}) == std::vector<Kind>{Kind::kAccount});
  CHECK(told({"account", "quota", "x@b.example", "5MiB"}).empty());
  CHECK(told({"account", "remove", "x@b.example"}) ==
        std::vector<Kind>{Kind::kAccount, Kind::kCredential});
}

}  // namespace
}  // namespace godwit::ctl
