// The dkim commands against a database.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "libs/store/admin.h"
#include "libs/store/dkim_keys.h"
#include "libs/testing/scratch_database.h"
#include "tools/godwitctl/command_line.h"
#include "tools/godwitctl/commands.h"

namespace godwit::ctl {
namespace {

struct Fixture {
  Fixture() : connection(database.Connect()), commands(DkimCommands()) {
    REQUIRE(setenv("GODWIT_DATABASE", database.ConnInfo().c_str(), /*overwrite=*/1) == 0);
    REQUIRE(store::AddDomain(*connection, "b.example", absl::Now()).ok());
  }
  int Run(const std::vector<std::string>& words) { return commands.Run(words); }
  std::vector<store::DkimKey> Keys() { return store::ListDkimKeys(*connection).value(); }

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  CommandLine commands;
};

TEST_CASE_METHOD(Fixture, "A key goes through its life", "[godwitctl][integration]") {
  REQUIRE(Run({"dkim", "generate", "B.example", "--selector", "S1"}) == 0);
  CHECK(Run({"dkim", "generate", "b.example", "--selector", "s1"}) == 1);
  REQUIRE(Keys().size() == 1);
  const store::DkimKey key = Keys()[0];
  CHECK((key.selector == "s1" && key.algorithm == "rsa-sha256"));
  CHECK(key.state == store::DkimKeyState::kPending);
  CHECK(Run({"dkim", "activate", "b.example", "s1"}) == 0);
  CHECK(Keys()[0].state == store::DkimKeyState::kActive);
  CHECK(Run({"dkim", "remove", "b.example", "s1"}) == 1);
  CHECK(Run({"dkim", "retire", "b.example", "s1"}) == 0);
  CHECK(Run({"dkim", "list"}) == 0);
  CHECK(Run({"dkim", "show", "b.example", "--selector=s1", "--json"}) == 0);
  CHECK(Run({"dkim", "remove", "b.example", "s1"}) == 0);
  CHECK(Keys().empty());
  CHECK(Run({"dkim", "show", "b.example"}) == 1);
}

TEST_CASE_METHOD(Fixture, "Selectors are made of the date and the algorithm",
                 "[godwitctl][integration]") {
  REQUIRE(Run({"dkim", "generate", "b.example", "--algorithm", "ed25519"}) == 0);
  REQUIRE(Run({"dkim", "generate", "b.example", "--algorithm", "rsa"}) == 0);
  REQUIRE(Keys().size() == 2);
  CHECK(Keys()[0].selector.ends_with("-ed25519"));
  CHECK(Keys()[0].public_key.size() == 32);
  CHECK(Keys()[1].selector.ends_with("-rsa"));
}

TEST_CASE_METHOD(Fixture, "Keys that can't be made", "[godwitctl][integration]") {
  CHECK(Run({"dkim", "generate", "other.example"}) == 1);
  CHECK(Run({"dkim", "generate", "b.example", "--bits", "1024"}) == 1);
  CHECK(Run({"dkim", "generate", "b.example", "--bits", "x"}) == 1);
  CHECK(Run({"dkim", "generate", "b.example", "--algorithm", "rsa-sha1"}) == 1);
  CHECK(Run({"dkim", "generate", "b.example", "--selector", "a b"}) == 1);
  CHECK(Keys().empty());
}

}  // namespace
}  // namespace godwit::ctl
