// acme as a daemon, and libs/certificates as the daemons that watch it.

#include "services/acme/server.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/certificates/keeper.h"
#include "libs/runtime/yaml_config.h"
#include "libs/testing/certificates.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/scratch_database.h"
#include "libs/x509/x509.h"
#include "services/acme/bootstrap.h"

namespace godwit::acme {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

// The certificates are good in real time, too: gRPC looks at them.
class World {
 public:
  World() : folder_(testing::MakeScratchFolder()), clock_(absl::Now()) {
    context_.name = "acme";
    context_.clock = &clock_;
    Load("127.0.0.1:0");
    const absl::Status made = Bootstrap(config_, folder_, &clock_);
    REQUIRE(base::ToString(made) == "OK");
    Start();
  }
  ~World() { Stop(); }

  void Start() {
    server_ = std::make_unique<Server>(config_, &context_);
    const absl::Status started = server_->Start();
    REQUIRE(base::ToString(started) == "OK");
    Load("127.0.0.1:" + std::to_string(server_->port()));
  }
  void Stop() { server_.reset(); }

  std::string FolderOf(const std::string& daemon) const { return folder_ + "/" + daemon; }
  certificates::KeeperOptions OptionsOf(const std::string& daemon) const {
    certificates::KeeperOptions options;
    options.target = config_.rpc().listen();
    options.folder = FolderOf(daemon);
    options.tls = {FolderOf(daemon) + "/rpc-ca.pem", FolderOf(daemon) + "/rpc.pem",
                   FolderOf(daemon) + "/rpc.pem"};
    return options;
  }
  testing::FakeClock& clock() { return clock_; }
  testing::ScratchDatabase& database() { return database_; }

 private:
  void Load(const std::string& listen) {
    const std::string own = FolderOf("acme");
    config_.Clear();
    const auto errors = runtime::LoadYaml(
        "rpc: {listen: '" + listen + "'}\nrpc_tls: {ca_file: " + own +
            "/rpc-ca.pem, certificate_file: " + own + "/rpc.pem, key_file: " + own +
            "/rpc.pem}\nfolder: " + own + "\ndatabase: {conninfo: '" +
            database_.ConnInfo("godwit_acme") +
            "'}\npoll: 100ms\nlifetimes: {public: 2h, rpc: 1h}\n"
            "certificates: [{name: mx.test, daemons: [smtp-ingress]}]\n",
        "test.yaml", [](const std::string&) { return std::nullopt; }, &config_);
    for (const auto& error : errors) FAIL(error.ToString());
  }

  testing::ScratchDatabase database_;
  const std::string folder_;
  testing::FakeClock clock_;
  runtime::Context context_;
  Config config_;
  std::unique_ptr<Server> server_;
};

TEST_CASE("A daemon gets what it lacks at once, and what is renewed when it is",
          "[acme][integration]") {
  World world;
  const std::string own = world.FolderOf("smtp-ingress");
  std::filesystem::remove(own + "/mx.test.pem");
  std::atomic<int> changes = 0;
  certificates::KeeperOptions options = world.OptionsOf("smtp-ingress");
  options.needed = {own + "/mx.test.pem"};
  options.changed = [&] { ++changes; };
  const auto keeper = certificates::Keeper::Start(options);
  REQUIRE(base::ToString(keeper.status()) == "OK");
  const std::string shown = Read(own + "/mx.test.pem");
  const std::string rpc = Read(own + "/rpc.pem");
  CHECK(Eventually([&] { return changes == 1; }));

  // A third of the two hours and two thirds of the one.
  world.clock().Advance(absl::Minutes(40));
  CHECK(Eventually([&] { return Read(own + "/rpc.pem") != rpc; }));
  CHECK(Read(own + "/mx.test.pem") == shown);
  CHECK(x509::CheckKey(Read(own + "/rpc.pem"), Read(own + "/rpc.pem")).ok());
  CHECK(Eventually([&] { return changes == 2; }));
  world.clock().Advance(absl::Minutes(40));
  CHECK(Eventually([&] { return Read(own + "/mx.test.pem") != shown; }));
  // acme's own, without a Watch.
  CHECK(x509::Describe(Read(world.FolderOf("acme") + "/rpc.pem"))->not_before >
        absl::Now() + absl::Minutes(30));
}

TEST_CASE("A daemon without public certificates gets none", "[acme][integration]") {
  World world;
  const std::string own = world.FolderOf("auth-verifier");
  const std::string rpc = Read(own + "/rpc.pem");
  const auto keeper = certificates::Keeper::Start(world.OptionsOf("auth-verifier"));
  REQUIRE(keeper.ok());
  world.clock().Advance(absl::Minutes(40));
  CHECK(Eventually([&] { return Read(own + "/rpc.pem") != rpc; }));
  CHECK_FALSE(std::filesystem::exists(own + "/mx.test.pem"));
}

TEST_CASE("Who may not watch gets nothing", "[acme][integration]") {
  World world;
  const std::string own = world.FolderOf("godwitctl");
  certificates::KeeperOptions options = world.OptionsOf("godwitctl");
  options.needed = {own + "/mx.test.pem"};
  options.patience = absl::Milliseconds(500);
  CHECK(certificates::Keeper::Start(options).status().code() ==
        absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("A certificate whose key does not fit takes nothing's place", "[acme][integration]") {
  World world;
  const std::string own = world.FolderOf("smtp-ingress");
  const std::string rpc = Read(own + "/rpc.pem");
  REQUIRE(world.database()
              .Connect()
              ->ExecuteScript("UPDATE certificates SET private_key = (SELECT private_key FROM "
                              "certificates WHERE name = 'acme') WHERE name = 'smtp-ingress'; "
                              "UPDATE certificate_state SET version = version + 1")
              .ok());
  absl::SleepFor(absl::Milliseconds(300));  // acme has read it
  const auto keeper = certificates::Keeper::Start(world.OptionsOf("smtp-ingress"));
  REQUIRE(keeper.ok());
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(Read(own + "/rpc.pem") == rpc);
  // The next one fits again.
  world.clock().Advance(absl::Minutes(40));
  CHECK(Eventually([&] { return Read(own + "/rpc.pem") != rpc; }));
  CHECK(x509::CheckKey(Read(own + "/rpc.pem"), Read(own + "/rpc.pem")).ok());
}

TEST_CASE("While acme is away files stay, and what was renewed comes when it is back",
          "[acme][integration]") {
  World world;
  const std::string own = world.FolderOf("smtp-ingress");
  const auto keeper = certificates::Keeper::Start(world.OptionsOf("smtp-ingress"));
  REQUIRE(keeper.ok());
  const std::string rpc = Read(own + "/rpc.pem");
  world.Stop();
  CHECK(Read(own + "/rpc.pem") == rpc);
  // Its own certificate, which the watcher has to accept, must not begin in the future.
  world.clock().Advance(absl::Minutes(40));
  world.clock().SetWallClock(absl::Now());
  REQUIRE(world.database()
              .Connect()
              ->ExecuteScript("UPDATE certificates SET renew_at = not_before; "
                              "UPDATE certificate_state SET version = version + 1")
              .ok());
  world.Start();
  CHECK(Eventually([&] { return Read(own + "/rpc.pem") != rpc; }));
}

TEST_CASE("While the database is away what is known is pushed all the same",
          "[acme][integration]") {
  World world;
  testing::ScratchDatabase::StopCluster();
  const std::string smtp = world.FolderOf("smtp-ingress");
  std::filesystem::remove(smtp + "/mx.test.pem");
  certificates::KeeperOptions options = world.OptionsOf("smtp-ingress");
  options.needed = {smtp + "/mx.test.pem"};
  const auto keeper = certificates::Keeper::Start(options);
  CHECK(base::ToString(keeper.status()) == "OK");
  testing::ScratchDatabase::StartCluster();
  // And what is due then is made when it is back.
  const std::string rpc = Read(smtp + "/rpc.pem");
  world.clock().Advance(absl::Minutes(40));
  CHECK(Eventually([&] { return Read(smtp + "/rpc.pem") != rpc; }));
}

}  // namespace
}  // namespace godwit::acme
