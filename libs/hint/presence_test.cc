#include "libs/hint/presence.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/store/admin.h"
#include "libs/store/credentials.h"
#include "libs/store/mailbox.h"
#include "libs/testing/scratch_database.h"

namespace godwit::hint {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

class FakeSession : public Wakeable {
 public:
  void OnChange() override { ++changes; }
  void OnDrain() override { ++drains; }
  void OnLockedOut() override { ++lockouts; }
  int changes = 0;
  int drains = 0;
  std::atomic<int> lockouts{0};
};

bool Eventually(const std::function<bool()>& is_so, int pause_ms = 10) {
  for (int i = 0; i < 500; ++i) {
    if (is_so()) return true;
    absl::SleepFor(absl::Milliseconds(pause_ms));
  }
  return false;
}

// A presence with a quick beat, beating on a reactor of its own.
struct Fixture {
  Fixture() : connection(database.Connect()), pool(database.PoolOptions(2, "godwit_imap_gateway")) {
    REQUIRE(store::AddDomain(*connection, "b.example", kNow).ok());
    auto id = store::AddAccount(*connection, "alice@b.example", base::RandomSource::System(), kNow);
    REQUIRE(id.ok());
    account = *id;
    PresenceOptions options;
    options.address = "127.0.0.1:1";
    options.beat = absl::Milliseconds(20);
    options.poll = absl::Milliseconds(60);
    options.linger = absl::ZeroDuration();
    presence = std::make_unique<Presence>(options, &pool, &registry, base::Clock::System(),
                                          base::RandomSource::System(),
                                          PresenceMetrics{&accounts, &healed});
    reactor.Start();
    REQUIRE(reactor.RunUntilDone(presence->Register()).ok());
    base::SpawnOn(&reactor, presence->Run());
  }
  ~Fixture() {
    reactor.Stop();
    reactor.Join();
  }

  // Waits until `sql` answers `want`.
  bool Eventually(const std::string& sql, const std::string& want) {
    for (int i = 0; i < 500; ++i) {
      if (database.Ask(sql) == want) return true;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return false;
  }

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  db::Pool pool;
  store::AccountId account;
  Registry registry;
  obs::Gauge accounts{"godwit_test_accounts", "Watched."};
  obs::Counter healed{"godwit_test_healed_total", "Healed."};
  std::unique_ptr<Presence> presence;
  net::Reactor reactor;
};

TEST_CASE("An account is watched while it is held, and not for ever", "[hint][component]") {
  Fixture fixture;
  FakeSession session;
  auto handle = std::make_shared<SessionHandle>(&fixture.reactor, &session);
  auto account = fixture.registry.Join(fixture.account, handle);
  REQUIRE(fixture.reactor.RunUntilDone(fixture.presence->Watch(account)).ok());
  CHECK(account->latest > 0);
  CHECK(fixture.database.Ask("SELECT count(*) FROM watchers") == "1");
  fixture.registry.Leave(account, handle, absl::ZeroDuration());
  CHECK(fixture.Eventually("SELECT count(*) FROM watchers", "0"));
}

TEST_CASE("After a crash of PostgreSQL everything is watched again", "[hint][component]") {
  Fixture fixture;
  FakeSession session;
  auto handle = std::make_shared<SessionHandle>(&fixture.reactor, &session);
  auto account = fixture.registry.Join(fixture.account, handle);
  REQUIRE(fixture.reactor.RunUntilDone(fixture.presence->Watch(account)).ok());
  // What a crash does to UNLOGGED tables.
  REQUIRE(fixture.connection->ExecuteScript("TRUNCATE watchers, gateways").ok());
  CHECK(fixture.Eventually("SELECT count(*) FROM gateways", "1"));
  CHECK(fixture.Eventually("SELECT count(*) FROM watchers", "1"));
}

// Who had many accounts to watch was taken for dead meanwhile, and began anew for ever.
TEST_CASE("Beats and the directory do not wait until everything is watched again",
          "[hint][component]") {
  Fixture fixture;
  FakeSession session;
  auto handle = std::make_shared<SessionHandle>(&fixture.reactor, &session);
  auto account = fixture.registry.Join(fixture.account, handle);
  REQUIRE(fixture.reactor.RunUntilDone(fixture.presence->Watch(account)).ok());
  auto writer = fixture.database.Connect();
  REQUIRE(writer->ExecuteScript("BEGIN; SELECT FROM accounts FOR UPDATE").ok());
  REQUIRE(fixture.connection->ExecuteScript("TRUNCATE watchers, gateways").ok());
  CHECK(fixture.Eventually("SELECT count(*) FROM gateways", "1"));
  const auto waiting =
      "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
      "wait_event_type = 'Lock'";
  CHECK(fixture.Eventually(waiting, "1"));
  const std::string beat = fixture.database.Ask("SELECT beat_at FROM gateways");
  CHECK(fixture.Eventually("SELECT beat_at > '" + beat + "' FROM gateways", "t"));
  const int64_t seen = fixture.presence->directory_seen();
  REQUIRE(store::AddDomain(*fixture.connection, "c.example", kNow).ok());
  CHECK(Eventually([&] { return fixture.presence->directory_seen() > seen; }));
  CHECK(fixture.database.Ask(waiting) == "1");
  REQUIRE(writer->ExecuteScript("ROLLBACK").ok());
  CHECK(fixture.Eventually("SELECT count(*) FROM watchers", "1"));
}

TEST_CASE("The slow poll finds what no hint told", "[hint][component]") {
  Fixture fixture;
  FakeSession session;
  auto handle = std::make_shared<SessionHandle>(&fixture.reactor, &session);
  auto account = fixture.registry.Join(fixture.account, handle);
  REQUIRE(fixture.reactor.RunUntilDone(fixture.presence->Watch(account)).ok());
  auto made =
      store::CreateMailbox(*fixture.connection, fixture.account, "new", store::Role::kNone, kNow);
  REQUIRE(made.ok());
  for (int i = 0; i < 500 && account->latest < made->change.modseq; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  CHECK(account->latest >= made->change.modseq);
}

// Who was logged in stayed so after "account disable", for as long as the connection lived; then
// for up to a minute.
TEST_CASE("Sessions of a disabled account are sent away", "[hint][component]") {
  Fixture fixture;
  FakeSession session;
  auto handle = std::make_shared<SessionHandle>(&fixture.reactor, &session);
  fixture.registry.Join(fixture.account, handle);
  CHECK(session.lockouts == 0);
  REQUIRE(store::SetAccountDisabled(*fixture.connection, fixture.account, true).ok());
  CHECK(Eventually([&] { return session.lockouts > 0; }));
  // One that does not go is told again, for as long as he may not be there.
  CHECK(Eventually([&] { return session.lockouts > 2; }));
  REQUIRE(store::SetAccountDisabled(*fixture.connection, fixture.account, false).ok());
  int told = 0;
  CHECK(Eventually(
      [&] {
        const int before = std::exchange(told, session.lockouts.load());
        return told == before;
      },
      100));
}

TEST_CASE("Sessions that a replaced password let in are sent away", "[hint][component]") {
  Fixture fixture;
  store::NewCredential credential;
  credential.name = "password";
  auto first = store::SetCredential(*fixture.connection, fixture.account, credential, kNow);
  credential.name = "phone";
  auto phone = store::SetCredential(*fixture.connection, fixture.account, credential, kNow);
  REQUIRE((first.ok() && phone.ok()));
  FakeSession by_password;
  FakeSession by_phone;
  auto password_handle = std::make_shared<SessionHandle>(&fixture.reactor, &by_password);
  auto phone_handle = std::make_shared<SessionHandle>(&fixture.reactor, &by_phone);
  fixture.registry.Join(fixture.account, password_handle, *first);
  fixture.registry.Join(fixture.account, phone_handle, *phone);
  credential.name = "password";
  REQUIRE(store::SetCredential(*fixture.connection, fixture.account, credential, kNow).ok());
  CHECK(Eventually([&] { return by_password.lockouts > 1; }));
  CHECK(by_phone.lockouts == 0);
  REQUIRE(store::RemoveAccount(*fixture.connection, fixture.account).ok());
  CHECK(Eventually([&] { return by_phone.lockouts > 0; }));
}

TEST_CASE("Who can not know what changed looks at everybody", "[hint][component]") {
  Fixture fixture;
  FakeSession session;
  auto handle = std::make_shared<SessionHandle>(&fixture.reactor, &session);
  fixture.registry.Join(fixture.account, handle);
  const int64_t seen = fixture.presence->directory_seen();
  REQUIRE(fixture.connection
              ->ExecuteScript("BEGIN; UPDATE accounts SET disabled = true; SET CONSTRAINTS ALL "
                              "IMMEDIATE; DELETE FROM directory_changes; COMMIT")
              .ok());
  CHECK(Eventually([&] { return session.lockouts > 0; }));
  CHECK(fixture.presence->directory_seen() == seen + 1);
}

// Sessions that had gone moved the others up, past their turn: a third was told at the end, all at
// once.
TEST_CASE("Draining tells every session in its turn", "[hint][unit]") {
  constexpr size_t kSlices = 20;
  base::RunLoop loop;
  Registry registry;
  std::vector<FakeSession> sessions(200);
  std::vector<std::shared_ptr<SessionHandle>> handles;
  for (FakeSession& session : sessions) {
    handles.push_back(std::make_shared<SessionHandle>(&loop, &session));
    registry.Add(handles.back());
  }
  for (size_t slice = 0; slice < kSlices; ++slice) {
    registry.Drain(slice, kSlices);
    loop.RunReady();
    size_t told = 0;
    for (size_t i = 0; i < sessions.size(); ++i) {
      told += static_cast<size_t>(sessions[i].drains);
      if (sessions[i].drains > 0 && i % 3 > 0) registry.Remove(handles[i]);  // some stay
    }
    CHECK(told == (slice + 1) * sessions.size() / kSlices);
  }
}

TEST_CASE("A change wakes the sessions of its account once", "[hint][unit]") {
  base::RunLoop loop;
  Registry registry;
  FakeSession alice;
  FakeSession bob;
  auto alice_handle = std::make_shared<SessionHandle>(&loop, &alice);
  auto bob_handle = std::make_shared<SessionHandle>(&loop, &bob);
  registry.Add(alice_handle);
  registry.Add(bob_handle);
  auto account = registry.Join(store::AccountId{1}, alice_handle);
  registry.Join(store::AccountId{2}, bob_handle);

  CHECK(registry.Changed(store::AccountId{1}, 5));
  CHECK_FALSE(registry.Changed(store::AccountId{1}, 5));
  CHECK(registry.Changed(store::AccountId{1}, 6));
  CHECK_FALSE(registry.Changed(store::AccountId{3}, 6));
  loop.RunReady();
  CHECK(alice.changes == 1);
  CHECK(bob.changes == 0);

  registry.Changed(store::AccountId{1}, 7, alice_handle.get());
  loop.RunReady();
  CHECK(alice.changes == 1);

  registry.Drain(0, 2);
  registry.Drain(1, 2);
  loop.RunReady();
  CHECK(alice.drains == 1);
  CHECK(bob.drains == 1);

  // A hint that says too much hid all later ones of the account, for ever.
  CHECK(registry.Changed(store::AccountId{2}, INT64_MAX));
  auto bobs = registry.Find(store::AccountId{2});
  bobs->Correct(INT64_MAX, 7);
  CHECK(registry.Changed(store::AccountId{2}, 8));
  // What came in while the store was asked stays.
  bobs->Correct(7, 7);
  CHECK(bobs->latest == 8);

  // A session that is gone is not touched.
  registry.Changed(store::AccountId{1}, 8);
  alice_handle->session = nullptr;
  loop.RunReady();
  CHECK(alice.changes == 1);
  registry.Leave(account, alice_handle, absl::ZeroDuration());
  CHECK(registry.TakeIdle(absl::Seconds(1), 10) ==
        std::vector<store::AccountId>{store::AccountId{1}});
}

}  // namespace
}  // namespace godwit::hint
