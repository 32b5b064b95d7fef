// godwitctl session and sessions: what an operator types, on a real database.

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/time/clock.h"
#include "libs/store/refused_sessions.h"
#include "libs/testing/scratch_database.h"
#include "tools/godwitctl/commands.h"

namespace godwit::ctl {
namespace {

TEST_CASE("An operator looks up the id of a refusal", "[godwitctl][integration]") {
  testing::ScratchDatabase database;
  auto connection = database.Connect();
  ::setenv("GODWIT_DATABASE", database.ConnInfo("godwit_reader").c_str(), 1);
  store::RefusedSession message;
  message.at = absl::Now();
  message.session = "k3dj4mmzq5ra";
  message.transaction = 2;
  message.client = *base::IpAddress::Parse("192.0.2.1");
  message.greeting_name = "mx.x.example";
  message.mail_from = "s@x.example";
  message.recipients = {{"nobody@y.example", "550 5.1.1 No such user here"}};
  message.recipient_count = 3;
  message.reply = "550 5.7.1 Rejected";
  message.reason = "dmarc-reject";
  message.verdict = "mx.y.example; dmarc=fail";
  store::RefusedSession old = message;
  old.at -= absl::Hours(48);
  old.transaction = 1;
  REQUIRE(store::AddRefusedSessions(*connection, {old, message}).ok());

  const CommandLine line(SessionCommands());
  CHECK(line.Run({"session", "k3dj4mmzq5ra.2"}) == 0);
  CHECK(line.Run({"session", "k3dj4mmzq5ra", "--json"}) == 0);
  CHECK(line.Run({"session", "k3dj4mmzq5ra.3"}) == 1);
  CHECK(line.Run({"sessions"}) == 0);
  CHECK(line.Run({"sessions", "--since", "3d", "--client", "192.0.2.0/24", "--limit", "1"}) == 0);
  CHECK(line.Run({"sessions", "--since", "yesterday"}) == 1);
  CHECK(line.Run({"sessions", "--client", "somebody"}) == 1);
  CHECK(line.Run({"sessions", "--limit", "0"}) == 1);
}

}  // namespace
}  // namespace godwit::ctl
