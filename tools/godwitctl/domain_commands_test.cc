// The commands of domains and addresses against a database.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "libs/store/admin.h"
#include "libs/testing/scratch_database.h"
#include "tools/godwitctl/command_line.h"
#include "tools/godwitctl/commands.h"

namespace godwit::ctl {
namespace {

std::vector<Command> Commands() {
  std::vector<Command> commands = DomainCommands();
  for (Command& command : AddressCommands()) commands.push_back(std::move(command));
  return commands;
}

struct Fixture {
  Fixture() : connection(database.Connect()), commands(Commands()) {
    REQUIRE(setenv("GODWIT_DATABASE", database.ConnInfo().c_str(), /*overwrite=*/1) == 0);
    REQUIRE(Run({"domain", "add", "b.example"}) == 0);
    REQUIRE(
        store::AddAccount(*connection, "alice@b.example", base::RandomSource::System(), absl::Now())
            .ok());
  }
  int Run(const std::vector<std::string>& words) { return commands.Run(words); }
  store::Domain Get() {
    const auto domain = store::GetDomain(*connection, "b.example");
    REQUIRE(domain.ok());
    return *domain;
  }

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  CommandLine commands;
};

TEST_CASE_METHOD(Fixture, "A domain is set, a flag at a time", "[godwitctl][integration]") {
  CHECK(Run({"domain", "set", "b.example", "--kind", "local-then-relay", "--next-hop",
             "old.inside.example:25", "--relayed=listed"}) == 0);
  CHECK(Get().kind == store::DomainKind::kLocalThenRelay);
  CHECK(Get().next_hop == "old.inside.example:25");
  CHECK(Get().listed_only);
  CHECK(Run({"address", "add-relayed", "carol@b.example"}) == 0);
  CHECK(Run({"domain", "set", "b.example", "--separators", "+-"}) == 0);
  CHECK(Run({"domain", "set", "b.example", "--catch-all", "alice@b.example", "--postmaster",
             "alice@b.example"}) == 0);
  CHECK((Get().separator == "+-" && Get().next_hop == "old.inside.example:25"));
  CHECK((Get().catch_all.has_value() && Get().postmaster.has_value()));
  CHECK(Run({"domain", "set", "b.example", "--next-hop=mx", "--catch-all=none", "--separators=none",
             "--relayed=all"}) == 0);
  CHECK((Get().next_hop.empty() && Get().separator.empty() && !Get().catch_all));
  CHECK(Run({"domain", "set", "b.example", "--kind=relay", "--next-hop=192.0.2.1:26"}) == 0);
  CHECK(Run({"domain", "set", "b.example", "--relayed=callout"}) == 0);
  CHECK(Get().callout);
  CHECK(Run({"domain", "set", "b.example", "--kind=local"}) == 0);
  CHECK(Get().next_hop.empty());
  CHECK(Run({"domain", "list"}) == 0);

  CHECK(Run({"domain", "set", "b.example", "--kind=other"}) == 1);
  CHECK(Run({"domain", "set", "b.example", "--case=keep"}) == 1);  // it has addresses
  CHECK(Run({"domain", "set", "b.example", "--case=maybe"}) == 1);
  CHECK(Run({"domain", "set", "b.example", "--next-hop=nowhere"}) == 1);
  CHECK(Run({"domain", "set", "b.example", "--catch-all=bob@b.example"}) == 1);
  CHECK(Run({"domain", "set", "c.example", "--kind=relay"}) == 1);
}

TEST_CASE_METHOD(Fixture, "Rules of an address are set and lifted", "[godwitctl][integration]") {
  auto rules = [&] {
    return database.Ask(
        "SELECT refusal || ' ' || senders::text FROM addresses "
        "WHERE local_part = 'alice'");
  };
  CHECK(Run({"address", "refuse", "alice@b.example", "550 5.1.6", "Moved to c.example"}) == 0);
  CHECK(Run({"address", "senders", "alice@b.example", "@x.example", "<>"}) == 0);
  CHECK(rules() == "550 5.1.6 Moved to c.example {@x.example,<>}");
  CHECK(Run({"address", "list"}) == 0);
  CHECK(Run({"address", "accept", "alice@b.example"}) == 0);
  CHECK(Run({"address", "senders", "alice@b.example"}) == 0);
  CHECK(rules() == " {}");
  CHECK(Run({"address", "refuse", "alice@b.example", "250 2.0.0", "Fine"}) == 1);
  CHECK(Run({"address", "add-relayed", "carol@b.example"}) == 1);  // nothing goes on
  CHECK(Run({"srs", "rotate"}) == 0);
  CHECK(database.Ask("SELECT count(*) FROM srs_secrets") == "2");
}

}  // namespace
}  // namespace godwit::ctl
