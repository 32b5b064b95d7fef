// godwitctl queue ...: what an operator types, on a real database.

#include <catch2/catch.hpp>
#include <cstdlib>

#include "libs/base/random.h"
#include "libs/store/queue.h"
#include "libs/testing/scratch_database.h"
#include "tools/godwitctl/commands.h"

namespace godwit::ctl {
namespace {

class Fixture {
 public:
  Fixture() : connection(database.Connect()), line(QueueCommands()) {
    ::setenv("GODWIT_DATABASE", database.ConnInfo().c_str(), 1);
  }
  int64_t Enqueue(const std::string& key) {
    store::NewQueueMessage message;
    message.id = store::NewQueueId(base::RandomSource::System());
    message.idempotency_key = key;
    message.envelope.reverse_path = "alice@b.example";
    message.envelope.enqueued_at = absl::Now();
    message.envelope.expires_at = absl::Now() + absl::Hours(1);
    message.header = "\r\n";
    message.recipients.push_back({"bob", "x.example", "", 0});
    message.recipients.push_back({"dan", "y.example", "", 0});
    const store::NewQueueMessage* const group[] = {&message};
    REQUIRE(store::EnqueueGroup(*connection, group, {}).ok());
    return store::ToInt(message.id);
  }
  std::string Held() { return database.Ask("SELECT count(*) FROM queue_messages WHERE hold"); }
  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  CommandLine line;
};

TEST_CASE_METHOD(Fixture, "An operator works on the queue", "[godwitctl][integration]") {
  CHECK(line.Run({"queue", "list"}) == 0);
  const std::string id = std::to_string(Enqueue("first-key"));
  Enqueue("second-key");
  CHECK(line.Run({"queue", "list", "--json"}) == 0);
  CHECK(line.Run({"queue", "show", id}) == 0);
  CHECK(line.Run({"queue", "show", "1"}) == 1);
  CHECK(line.Run({"queue", "show", "x"}) == 1);
  // Nothing selected is a mistake, not everything.
  CHECK(line.Run({"queue", "drop"}) == 1);
  CHECK(line.Run({"queue", "hold"}) == 1);
  CHECK(line.Run({"queue", "hold", id, "--reason", "review"}) == 0);
  CHECK(Held() == "1");
  CHECK(line.Run({"queue", "hold", "--sender", "ALICE"}) == 0);
  CHECK(Held() == "2");
  CHECK(line.Run({"queue", "list", "--held"}) == 0);
  CHECK(line.Run({"queue", "release", "--held"}) == 0);
  CHECK(Held() == "0");
  CHECK(line.Run({"queue", "retry", id}) == 0);
  CHECK(line.Run({"queue", "drop", "--domain", "Y.example"}) == 0);
  CHECK(database.Ask("SELECT count(*) FROM queue_recipients WHERE state = 'dropped'") == "2");
  CHECK(line.Run({"queue", "fail", id, "--text", "no"}) == 0);
  CHECK(database.Ask("SELECT count(*) FROM queue_messages WHERE give_up = 'no'") == "1");
  CHECK(line.Run({"queue", "check"}) == 0);
  CHECK(line.Run({"queue", "drop", id}) == 0);
  CHECK(database.Ask("SELECT count(*) FROM queue_messages") == "1");
  CHECK(connection->ExecuteScript("DELETE FROM queue_chunks").ok());
  CHECK(line.Run({"queue", "check"}) == 1);
}

}  // namespace
}  // namespace godwit::ctl
