#include "libs/store/directory_changes.h"

#include <thread>

#include "libs/store/admin.h"
#include "libs/store/credentials.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

// "account 7", "domain b.example", ... of what came after `*seen`, which moves on.
std::vector<std::string> News(db::Connection& connection, int64_t* seen) {
  const DirectoryChanges news = Must(ReadDirectoryChanges(connection, *seen));
  CHECK_FALSE(news.missed);
  *seen = news.last;
  std::vector<std::string> all;
  for (const DirectoryChange& change : news.changes) {
    const char* const kinds[] = {"account", "credential", "domain", "dkim-key", "other"};
    const std::string of =
        change.domain.empty() ? std::to_string(ToInt(change.account)) : change.domain;
    all.push_back(std::string(kinds[static_cast<int>(change.kind)]) + " " + of);
  }
  return all;
}

using Texts = std::vector<std::string>;

TEST_CASE_METHOD(StoreFixture, "Changes of the directory are told in their order",
                 "[store][integration]") {
  // As any daemon reads them.
  auto reader = database.Connect("godwit_tls_policy");
  int64_t seen = Must(LastDirectoryChange(*reader));
  CHECK(News(*reader, &seen).empty());
  const std::string id = std::to_string(ToInt(alice));

  MustOk(SetAccountDisabled(*connection, alice, true));
  CHECK(News(*reader, &seen) == Texts{"account " + id});
  MustOk(SetAccountDisabled(*connection, alice, true));  // it is already
  MustOk(SetQuota(*connection, alice, 5000));
  CHECK(News(*reader, &seen).empty());
  MustOk(SetAccountDisabled(*connection, alice, false));
  NewCredential credential;
  credential.name = "password";
  Must(SetCredential(*connection, alice, credential, now));
  Fill(alice, 1);
  CHECK(News(*reader, &seen) == Texts{"account " + id});
  Must(SetCredential(*connection, alice, credential, now));
  CHECK(News(*reader, &seen) == Texts{"credential " + id});
  MustOk(RemoveCredential(*connection, alice, "password"));
  CHECK(News(*reader, &seen) == Texts{"credential " + id});

  Domain domain = Must(GetDomain(*connection, "b.example"));
  domain.disabled = true;
  MustOk(UpdateDomain(*connection, domain));
  MustOk(AddDomain(*connection, "c.example", now));
  MustOk(connection
             ->ExecuteScript("INSERT INTO dkim_keys (domain, selector, algorithm, private_key, "
                             "public_key, created_at) VALUES ('c.example', 's', "
                             "'ed25519-sha256', '', '', '2026-01-01')")
             .status());
  MustOk(RemoveDomain(*connection, "c.example"));
  const Texts news = News(*reader, &seen);
  REQUIRE(news.size() >= 4);
  CHECK(Texts(news.begin(), news.begin() + 3) ==
        Texts{"domain b.example", "domain c.example", "dkim-key c.example"});
  CHECK(std::count(news.begin(), news.end(), "domain c.example") == 2);

  Must(SetCredential(*connection, alice, credential, now));
  MustOk(RemoveAccount(*connection, alice));
  CHECK(News(*reader, &seen) == Texts{"account " + id, "credential " + id});
}

// A number that is given when the row is written, not when it is committed, lets a reader pass by a
// change that commits later.
TEST_CASE_METHOD(StoreFixture, "A change that commits late is not passed by",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  int64_t seen = Must(LastDirectoryChange(*connection));
  auto slow = database.Connect();
  MustOk(slow->Begin());
  MustOk(SetAccountDisabled(*slow, alice, true));
  // Nor does it hold up the others.
  MustOk(SetAccountDisabled(*connection, bob, true));
  CHECK(News(*connection, &seen) == Texts{"account " + std::to_string(ToInt(bob))});
  MustOk(slow->Commit());
  CHECK(News(*connection, &seen) == Texts{"account " + std::to_string(ToInt(alice))});
  MustOk(slow->Begin());
  MustOk(SetAccountDisabled(*slow, alice, false));
  slow->Rollback();
  CHECK(News(*connection, &seen).empty());
}

TEST_CASE_METHOD(StoreFixture, "Who is too far behind learns that changes are missing",
                 "[store][integration]") {
  const int64_t start = Must(LastDirectoryChange(*connection));
  for (int i = 0; i < 6; ++i) MustOk(SetAccountDisabled(*connection, alice, i % 2 == 0));
  auto page = Must(ReadDirectoryChanges(*connection, start, 4));
  CHECK((page.changes.size() == 4 && page.last == start + 4));
  MustOk(connection
             ->ExecuteScript("UPDATE directory_changes SET at = at - interval '2 hours' "
                             "WHERE change_id <= " +
                             std::to_string(start + 5))
             .status());
  auto sweeper = database.Connect("godwit_smtp_ingress");
  CHECK(Must(CompactDirectoryChanges(*sweeper)) >= 5);
  auto news = Must(ReadDirectoryChanges(*connection, start + 4));
  CHECK((news.missed && news.changes.empty() && news.last == start + 6));
  CHECK(Must(ReadDirectoryChanges(*connection, start + 5)).changes.size() == 1);
  // All of it is gone; and a database that was restored to an earlier point.
  CHECK(Must(CompactDirectoryChanges(*sweeper, absl::ZeroDuration())) == 1);
  CHECK(Must(ReadDirectoryChanges(*connection, start + 5)).missed);
  CHECK_FALSE(Must(ReadDirectoryChanges(*connection, start + 6)).missed);
  CHECK(Must(ReadDirectoryChanges(*connection, start + 7)).missed);
}

TEST_CASE_METHOD(StoreFixture, "Logins end with the account and with the credential",
                 "[store][integration]") {
  auto c = database.Connect("godwit_imap_gateway");
  const AccountId bob = MakeAccount("bob@b.example");
  NewCredential credential;
  credential.name = "password";
  const LoginRef of_bob = {bob, Must(SetCredential(*connection, bob, credential, now))};
  const LoginRef first = {alice, Must(SetCredential(*connection, alice, credential, now))};
  credential.name = "phone";
  const LoginRef phone = {alice, Must(SetCredential(*connection, alice, credential, now))};
  const LoginRef none = {alice, 0};
  const std::vector<LoginRef> all = {of_bob, first, phone, none};
  CHECK(Must(EndedLogins(*c, all)).empty());
  CHECK(Must(EndedLogins(*c, {})).empty());
  CHECK(Must(EndedLogins(*c, {{bob, phone.credential + 100}})).size() == 1);

  credential.name = "password";
  Must(SetCredential(*connection, alice, credential, now));
  CHECK(Must(EndedLogins(*c, all)) == std::vector<LoginRef>{first});
  MustOk(RemoveCredential(*connection, alice, "phone"));
  CHECK(Must(EndedLogins(*c, all)) == std::vector<LoginRef>{first, phone});
  MustOk(SetAccountDisabled(*connection, alice, true));
  CHECK(Must(EndedLogins(*c, all)) == std::vector<LoginRef>{first, phone, none});
  MustOk(RemoveAccount(*connection, bob));
  CHECK(Must(EndedLogins(*c, all)).size() == 4);
}

}  // namespace
}  // namespace godwit::store
