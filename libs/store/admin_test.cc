#include "libs/store/admin.h"

#include "libs/store/credentials.h"
#include "libs/store/directory.h"
#include "libs/store/entries.h"
#include "libs/store/maintenance.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

using Code = absl::StatusCode;

TEST_CASE_METHOD(StoreFixture, "Domains are added, changed and removed", "[store][integration]") {
  MustOk(AddDomain(*connection, "Sub.B.example", now));
  CHECK(AddDomain(*connection, "sub.b.example", now).code() == Code::kAlreadyExists);
  for (const char* bad : {"", "a..b", "-a.b", "a_b.example", "ä.example", "a b"}) {
    CAPTURE(bad);
    CHECK(AddDomain(*connection, bad, now).code() == Code::kInvalidArgument);
  }
  auto domains = Must(ListDomains(*connection));
  REQUIRE(domains.size() == 2);
  CHECK((domains[0].name == "b.example" && domains[0].addresses == 1));
  CHECK(RemoveDomain(*connection, "b.example").code() == Code::kFailedPrecondition);
  MustOk(RemoveDomain(*connection, "sub.b.example"));
  CHECK(RemoveDomain(*connection, "sub.b.example").code() == Code::kNotFound);
  CHECK(GetDomain(*connection, "sub.b.example").status().code() == Code::kNotFound);
}

TEST_CASE_METHOD(StoreFixture, "Accounts have addresses, quota and an end",
                 "[store][integration]") {
  CHECK(AddAccount(*connection, "x@other.example", base::RandomSource::System(), now)
            .status()
            .code() == Code::kFailedPrecondition);
  CHECK(AddAccount(*connection, "ALICE@B.example", base::RandomSource::System(), now)
            .status()
            .code() == Code::kAlreadyExists);
  MustOk(AddAddress(*connection, "Sales@b.example", alice, now));
  CHECK(AddAddress(*connection, "sales@b.example", alice, now).code() == Code::kAlreadyExists);
  CHECK(AddAddress(*connection, "y@b.example", AccountId{1}, now).code() == Code::kNotFound);
  MustOk(SetAdmin(*connection, alice, true, now));
  MustOk(SetQuota(*connection, alice, 1000));
  const Account account = Must(GetAccount(*connection, alice));
  CHECK(account.addresses == std::vector<std::string>{"alice@b.example", "sales@b.example"});
  CHECK((account.admin && account.quota_bytes == 1000 && !account.disabled));
  CHECK(account.created == now);

  const AccountId bob = MakeAccount("bob@b.example");
  CHECK(Must(ListAccounts(*connection)).size() == 2);
  CHECK(Must(ListAccounts(*connection, account)).at(0).id == bob);
  Fill(bob, 3);
  Domain domain = Must(GetDomain(*connection, "b.example"));
  domain.catch_all = bob;
  MustOk(UpdateDomain(*connection, domain));
  MustOk(SetPostmaster(*connection, bob));
  MustOk(
      AddAlias(*connection, {"team@b.example", true, {"alice@b.example", "bob@b.example"}}, now));
  MustOk(RemoveAccount(*connection, bob));
  CHECK(RemoveAccount(*connection, bob).code() == Code::kNotFound);
  CHECK_FALSE(Must(GetDomain(*connection, "b.example")).catch_all.has_value());
  CHECK(Must(ListAliases(*connection))[0].members == std::vector<std::string>{"alice@b.example"});
  CHECK(Must(SweepDeleted(*connection, now)) == 3 * 6);
  CHECK(database.Ask("SELECT count(*) FROM emails") == "0");
  MustOk(RemoveAddress(*connection, "sales@b.example"));
  CHECK(Must(ListAddresses(*connection, "b.example")).size() == 1);
}

// Pages went by name alone: of accounts with the same name those behind the page's end were left
// out.
TEST_CASE_METHOD(StoreFixture, "Accounts of one name are all listed", "[store][integration]") {
  for (int i = 0; i < 4; ++i) MakeAccount("a" + std::to_string(i) + "@b.example");
  MustOk(connection->ExecuteScript("UPDATE accounts SET name = 'same@b.example'").status());
  size_t listed = 0;
  Account after;
  for (auto page = Must(ListAccounts(*connection, after, 2)); !page.empty();
       page = Must(ListAccounts(*connection, after, 2))) {
    listed += page.size();
    after = page.back();
  }
  CHECK(listed == 5);
}

TEST_CASE_METHOD(StoreFixture, "Recipients: exact, tag, alias, postmaster, catch-all",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  MustOk(AddAddress(*connection, "a+b@b.example", bob, now));
  MustOk(AddAlias(*connection,
                  {"team@b.example", false, {"bob@b.example", "alice@b.example", "x@c.example"}},
                  now));
  auto lookup = [&](std::string_view local, std::string_view domain = "b.example") {
    return Must(LookupRecipient(*connection, local, domain));
  };
  auto kind = [&](std::string_view local, std::string_view domain = "b.example") {
    return lookup(local, domain).kind;
  };
  Recipient recipient = lookup("Alice", "B.EXAMPLE");
  REQUIRE(recipient.kind == RecipientKind::kAccount);
  CHECK((recipient.local[0].account == alice && !recipient.by_tag));
  CHECK(recipient.local[0].address == "alice@b.example");
  recipient = lookup("alice+lists+x");
  CHECK((recipient.local.at(0).account == alice && recipient.by_tag));
  CHECK(recipient.local[0].address == "alice@b.example");
  CHECK(lookup("a+b").local.at(0).account == bob);
  CHECK(kind("+alice") == RecipientKind::kUnknownUser);
  CHECK(kind("nobody") == RecipientKind::kUnknownUser);
  CHECK(kind("alice", "c.example") == RecipientKind::kUnknownDomain);
  CHECK(kind("alice", "") == RecipientKind::kUnknownDomain);

  recipient = lookup("team+x");
  REQUIRE(recipient.kind == RecipientKind::kAlias);
  CHECK((recipient.local.size() == 2 && !recipient.alias_public));
  CHECK(recipient.alias == "team@b.example");
  CHECK(recipient.external == std::vector<smtp::Address>{{"x", "c.example"}});

  CHECK(kind("postmaster") == RecipientKind::kUnknownUser);
  MustOk(SetPostmaster(*connection, alice));
  CHECK(lookup("PostMaster").local.at(0).account == alice);
  CHECK(lookup("postmaster", "").local.at(0).account == alice);
  Domain domain = Must(GetDomain(*connection, "b.example"));
  domain.postmaster = bob;
  domain.catch_all = bob;
  MustOk(UpdateDomain(*connection, domain));
  CHECK(lookup("postmaster").local.at(0).account == bob);
  CHECK(lookup("postmaster", "").local.at(0).account == alice);
  recipient = lookup("nobody");
  CHECK((recipient.by_catch_all && recipient.local.at(0).account == bob));
  CHECK_FALSE(lookup("alice").by_catch_all);

  const auto right = [&](AccountId account, std::string_view address) {
    return Must(FindSenderRight(*connection, account, address));
  };
  CHECK(right(alice, "Alice+x@B.example") == SenderRight::kOwn);
  CHECK(right(alice, "bob@b.example") == SenderRight::kNone);
  CHECK(right(alice, "team@b.example") == SenderRight::kAliasMember);
  CHECK(right(bob, "anything@b.example") == SenderRight::kCatchAll);
  CHECK(right(bob, "postmaster@b.example") == SenderRight::kOwn);
  CHECK(right(alice, "postmaster@b.example") == SenderRight::kNone);
  CHECK(right(alice, "alice") == SenderRight::kNone);
  domain.disabled = true;
  MustOk(UpdateDomain(*connection, domain));
  CHECK(right(alice, "alice@b.example") == SenderRight::kDomainDisabled);
  domain.disabled = false;

  domain.separator = "";
  domain.catch_all.reset();
  MustOk(UpdateDomain(*connection, domain));
  CHECK(kind("alice+x") == RecipientKind::kUnknownUser);
  MustOk(SetAccountDisabled(*connection, alice, true));
  CHECK(lookup("alice").local.at(0).disabled);
  domain.disabled = true;
  MustOk(UpdateDomain(*connection, domain));
  CHECK(kind("alice") == RecipientKind::kDomainDisabled);
  CHECK_FALSE(Must(IsLocalDomain(*connection, "b.example")));
}

TEST_CASE_METHOD(StoreFixture, "Aliases keep a member and never nest", "[store][integration]") {
  const Alias team = {"team@b.example", true, {"alice@b.example"}};
  MustOk(AddAlias(*connection, team, now));
  CHECK(AddAlias(*connection, team, now).code() == Code::kAlreadyExists);
  CHECK(AddAlias(*connection, {"alice@b.example", true, {"x@c.example"}}, now).code() ==
        Code::kAlreadyExists);
  CHECK(AddAlias(*connection, {"all@b.example", true, {"team@b.example"}}, now).code() ==
        Code::kFailedPrecondition);
  CHECK(AddAlias(*connection, {"all@b.example", true, {"nobody@b.example"}}, now).code() ==
        Code::kFailedPrecondition);
  CHECK(AddAlias(*connection, {"all@b.example", true, {}}, now).code() == Code::kInvalidArgument);
  CHECK(RemoveAliasMember(*connection, "team@b.example", "alice@b.example").code() ==
        Code::kFailedPrecondition);
  MustOk(AddAliasMember(*connection, "team@b.example", "x@c.example"));
  MustOk(RemoveAliasMember(*connection, "team@b.example", "alice@b.example"));
  CHECK(Must(ListAliases(*connection, "b.example"))[0].members ==
        std::vector<std::string>{"x@c.example"});
  MustOk(RemoveAlias(*connection, "team@b.example"));
  CHECK(RemoveAlias(*connection, "team@b.example").code() == Code::kNotFound);
}

TEST_CASE_METHOD(StoreFixture, "Credentials share the account's salts", "[store][integration]") {
  auto* random = base::RandomSource::System();
  auto scram = Must(GetOrMakeScramParameters(*connection, alice, random));
  CHECK(scram.sha256.salt.size() == 16);
  CHECK(scram.sha256.salt != scram.sha1.salt);
  CHECK(Must(GetOrMakeScramParameters(*connection, alice, random, 9000)).sha256.salt ==
        scram.sha256.salt);
  CHECK(GetOrMakeScramParameters(*connection, AccountId{1}, random).status().code() ==
        Code::kNotFound);
  NewCredential credential;
  credential.name = "password";
  credential.sha256 = {base::Secret("stored"), base::Secret(std::string_view("se\0er", 5))};
  const int64_t id = Must(SetCredential(*connection, alice, credential, now));
  credential.name = "phone";
  credential.scopes = kScopeImap;
  CHECK(Must(SetCredential(*connection, alice, credential, now)) != id);
  credential.name = "password";
  credential.sha256.stored_key = base::Secret("changed");
  const int64_t replaced = Must(SetCredential(*connection, alice, credential, now));

  auto login = Must(LookupLogin(*connection, "Alice@B.example"));
  REQUIRE(login.has_value());
  CHECK((login->account == alice && !login->disabled && !login->admin));
  CHECK(login->sha256.salt == scram.sha256.salt);
  CHECK(login->sha1.iterations == kDefaultScramIterations);
  REQUIRE(login->credentials.size() == 2);
  const Credential& found = login->credentials[1];
  CHECK((found.name == "password" && found.id == replaced && found.id != id));
  CHECK(found.sha256.stored_key == base::Secret("changed"));
  CHECK(found.sha256.server_key == base::Secret(std::string_view("se\0er", 5)));
  for (const char* nobody : {"alice+x@b.example", "x@b.example", "alice", ""}) {
    CHECK_FALSE(Must(LookupLogin(*connection, nobody)).has_value());
  }
  CHECK(Must(FakeSaltKey(*connection)).size() == 32);
  MustOk(RemoveCredential(*connection, alice, "phone"));
  CHECK(RemoveCredential(*connection, alice, "phone").code() == Code::kNotFound);
  CHECK(Must(ListCredentials(*connection, alice)).size() == 1);
}

TEST_CASE_METHOD(StoreFixture, "Canary: the same ids in another account show nothing",
                 "[store][integration]") {
  // Ids of mailboxes and emails are small numbers that every account has.
  const AccountId bob = MakeAccount("bob@b.example");
  Delivery secret = Message(alice, "canary-c0ffee", "canary-c0ffee\r\n");
  const Delivered delivered = DeliverOne(secret);
  const auto entry =
      Must(FetchEntries(*connection, alice, delivered.mailbox, {kAllUids}, {.summary = true}))
          .entries.at(0);
  CHECK(Must(FetchEntries(*connection, bob, delivered.mailbox, {kAllUids}, {.search = true}))
            .entries.empty());
  CHECK(Must(OpenMailbox(*connection, bob, delivered.mailbox)).uids.empty());
  CHECK(ReadBlob(*connection, bob, entry.blob, 0, 100).status().code() == Code::kNotFound);
  const BlobId blob[] = {entry.blob.blob};
  CHECK(Must(ReadHeaders(*connection, bob, blob))[0].empty());
  CHECK(Must(StoreFlags(*connection, bob, delivered.mailbox, {kAllUids}, {.flags = kDeleted}, now))
            .entries.empty());
  CHECK(Must(ExpungeEntries(*connection, bob, delivered.mailbox, {kAllUids}, now, true))
            .vanished.empty());
  CHECK(Must(CopyEntries(*connection, bob, delivered.mailbox, {kAllUids}, delivered.mailbox, now))
            .source.empty());
  CHECK(Must(ChangesSince(*connection, bob, delivered.mailbox, 0)).changed.empty());
  MustOk(RemoveAccount(*connection, bob));
  CHECK(Find("INBOX").total == 1);
}

}  // namespace
}  // namespace godwit::store
