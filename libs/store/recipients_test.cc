// Where recipients lead: kinds of domains, rules of addresses, how local parts are compared; and
// the secrets of forwarding.

#include <functional>

#include "libs/store/admin.h"
#include "libs/store/credentials.h"
#include "libs/store/directory.h"
#include "libs/store/srs_secrets.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

using Code = absl::StatusCode;

class RecipientsFixture : public StoreFixture {
 public:
  Recipient Lookup(std::string_view local, std::string_view domain = "b.example") {
    return Must(LookupRecipient(*connection, local, domain));
  }
  RecipientKind Kind(std::string_view local, std::string_view domain = "b.example") {
    return Lookup(local, domain).kind;
  }
  void Change(const std::function<void(Domain*)>& change, std::string_view name = "b.example") {
    Domain domain = Must(GetDomain(*connection, name));
    change(&domain);
    MustOk(UpdateDomain(*connection, domain));
  }
};

TEST_CASE_METHOD(RecipientsFixture, "Mail of a relayed domain goes on, all of it or what is listed",
                 "[store][integration]") {
  MustOk(AddDomain(*connection, "r.example", now));
  MustOk(SetPostmaster(*connection, alice));
  CHECK(Kind("anybody", "r.example") == RecipientKind::kUnknownUser);
  Change(
      [](Domain* domain) {
        domain->kind = DomainKind::kRelay;
        domain->next_hop = "mail.inside.example:2525";
      },
      "r.example");
  const Domain domain = Must(GetDomain(*connection, "r.example"));
  CHECK((domain.kind == DomainKind::kRelay && domain.next_hop == "mail.inside.example:2525"));
  CHECK(Kind("anybody", "r.example") == RecipientKind::kRelay);
  // RFC 5321 §4.5.1: its postmaster is the other server's, not ours.
  CHECK(Kind("postmaster", "r.example") == RecipientKind::kRelay);

  MustOk(AddRelayedAddress(*connection, "Known@r.example", now));
  CHECK(AddRelayedAddress(*connection, "known@r.example", now).code() == Code::kAlreadyExists);
  CHECK(AddRelayedAddress(*connection, "x@b.example", now).code() == Code::kFailedPrecondition);
  CHECK(AddRelayedAddress(*connection, "x@c.example", now).code() == Code::kFailedPrecondition);
  Change([](Domain* d) { d->listed_only = true; }, "r.example");
  CHECK(Kind("anybody", "r.example") == RecipientKind::kUnknownUser);
  CHECK(Kind("KNOWN+tag", "r.example") == RecipientKind::kRelay);
  CHECK(Kind("postmaster", "r.example") == RecipientKind::kRelay);
  CHECK(Must(ListAddresses(*connection, "r.example")).at(0).relayed);

  const DomainRoute route = Must(FindDomainRoute(*connection, "r.example"));
  CHECK((route.ours && route.kind == DomainKind::kRelay));
  CHECK(route.next_hop == "mail.inside.example:2525");
  CHECK_FALSE(Must(FindDomainRoute(*connection, "c.example")).ours);

  Change([](Domain* d) { d->disabled = true; }, "r.example");
  CHECK(Kind("known", "r.example") == RecipientKind::kDomainDisabled);
  // Back to local: what was listed is nobody's.
  Change(
      [](Domain* d) {
        d->disabled = false;
        d->kind = DomainKind::kLocal;
        d->next_hop.clear();
      },
      "r.example");
  CHECK(Kind("known", "r.example") == RecipientKind::kUnknownUser);
}

TEST_CASE_METHOD(RecipientsFixture, "A next hop is asked for those that nobody has listed",
                 "[store][integration]") {
  MustOk(AddDomain(*connection, "r.example", now));
  Domain domain = Must(GetDomain(*connection, "r.example"));
  domain.kind = DomainKind::kRelay;
  domain.callout = true;
  CHECK(UpdateDomain(*connection, domain).code() == Code::kInvalidArgument);
  domain.next_hop = "192.0.2.1:25";
  MustOk(UpdateDomain(*connection, domain));
  CHECK(Must(GetDomain(*connection, "r.example")).callout);
  MustOk(AddRelayedAddress(*connection, "known@r.example", now));
  CHECK(Lookup("anybody", "r.example").callout == "192.0.2.1:25");
  CHECK(Lookup("known", "r.example").callout.empty());
  // Whether it has tags is the next hop's.
  CHECK(Lookup("known+tag", "r.example").callout == "192.0.2.1:25");
  CHECK(Lookup("postmaster", "r.example").callout.empty());
  domain.listed_only = true;
  CHECK(UpdateDomain(*connection, domain).code() == Code::kInvalidArgument);
}

// Mail from outside still went into mailboxes that nobody read any more, while that of our own
// users went to the new server.
TEST_CASE_METHOD(RecipientsFixture, "With relay all of it goes on, also what has an account here",
                 "[store][integration]") {
  MustOk(AddAlias(*connection, {"team@b.example", true, {"alice@b.example"}}, now));
  MustOk(SetRefusal(*connection, "moved@b.example", "550 5.1.6 Moved", now));
  MustOk(SetSenders(*connection, "alice@b.example", {"@b.example"}));
  auto relay = [](Domain* d) {
    d->kind = DomainKind::kRelay;
    d->next_hop = "192.0.2.1:25";
    d->callout = true;
  };
  Change(relay);
  for (const char* name : {"alice", "alice+tag", "team"}) {
    CAPTURE(name);
    const Recipient found = Lookup(name);
    CHECK(found.kind == RecipientKind::kRelay);
    CHECK((found.local.empty() && found.external.empty()));
    CHECK(found.callout == "192.0.2.1:25");
  }
  // What is said of the address itself holds.
  CHECK(Lookup("alice").senders == std::vector<std::string>{"@b.example"});
  CHECK(Lookup("moved").refusal == "550 5.1.6 Moved");
  CHECK(Lookup("moved").callout.empty());
  Change([](Domain* d) {
    d->callout = false;
    d->listed_only = true;
  });
  CHECK(Kind("alice") == RecipientKind::kUnknownUser);
  CHECK(AddAlias(*connection, {"all@b.example", true, {"x@c.example"}}, now).code() ==
        Code::kFailedPrecondition);
  // To an alias of another domain she is somebody elsewhere.
  MustOk(AddDomain(*connection, "r.example", now));
  MustOk(AddAlias(*connection, {"all@r.example", true, {"alice@b.example"}}, now));
  CHECK(Lookup("all", "r.example").external == std::vector<smtp::Address>{{"alice", "b.example"}});
}

// They were dropped, and the sender had his 250.
TEST_CASE_METHOD(RecipientsFixture, "Members of an alias who are not here do not vanish",
                 "[store][integration]") {
  MustOk(AddAlias(*connection,
                  {"team@b.example", true, {"alice@b.example", "Zoe@z.example", "x@z.example"}},
                  now));
  MustOk(AddDomain(*connection, "z.example", now));
  const AccountId zoe = MakeAccount("zoe@z.example");
  const Recipient team = Lookup("team");
  REQUIRE(team.local.size() == 2);
  CHECK((team.local[0].account == zoe || team.local[1].account == zoe));
  // Sent on, to our own server, who says that there is nobody.
  CHECK(team.external == std::vector<smtp::Address>{{"x", "z.example"}});
  CHECK(Must(FindSenderRight(*connection, zoe, "team@b.example")) == SenderRight::kAliasMember);
}

// Whoever had the catch-all could write as anybody who is at the other server.
TEST_CASE_METHOD(RecipientsFixture, "Nobody stands in for those who are at the other server",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  MustOk(SetPostmaster(*connection, bob));
  auto right = [&](std::string_view address) {
    return Must(FindSenderRight(*connection, bob, address));
  };
  Change([&](Domain* d) { d->catch_all = bob; });
  CHECK(right("carol@b.example") == SenderRight::kCatchAll);
  CHECK(right("postmaster@b.example") == SenderRight::kOwn);
  Change([](Domain* d) { d->kind = DomainKind::kLocalThenRelay; });
  CHECK(right("carol@b.example") == SenderRight::kNone);
  CHECK(right("postmaster@b.example") == SenderRight::kNone);
  CHECK(right("bob@b.example") == SenderRight::kOwn);
  Change([](Domain* d) { d->listed_only = true; });
  CHECK(right("carol@b.example") == SenderRight::kCatchAll);
  Change([&](Domain* d) { d->postmaster = bob; });
  CHECK(right("postmaster@b.example") == SenderRight::kOwn);
}

TEST_CASE_METHOD(RecipientsFixture, "In a migration those who are here are delivered here",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  Change([](Domain* d) { d->kind = DomainKind::kLocalThenRelay; });
  CHECK(Lookup("alice+x").local.at(0).account == alice);
  CHECK(Kind("carol") == RecipientKind::kRelay);
  CHECK(Kind("postmaster") == RecipientKind::kRelay);
  Change([&](Domain* d) {
    d->postmaster = bob;
    d->listed_only = true;
  });
  CHECK(Lookup("postmaster").local.at(0).account == bob);
  CHECK(Kind("carol") == RecipientKind::kUnknownUser);
  MustOk(AddRelayedAddress(*connection, "carol@b.example", now));
  CHECK(Kind("carol") == RecipientKind::kRelay);
  Change([&](Domain* d) { d->catch_all = bob; });
  CHECK(Kind("carol") == RecipientKind::kRelay);
  CHECK(Lookup("dave").by_catch_all);
  // An alias may have members on both sides.
  MustOk(
      AddAlias(*connection, {"team@b.example", true, {"alice@b.example", "carol@b.example"}}, now));
  CHECK(AddAlias(*connection, {"all@b.example", true, {"team@b.example"}}, now).code() ==
        Code::kFailedPrecondition);
  const Recipient team = Lookup("team");
  CHECK(team.local.at(0).account == alice);
  CHECK(team.external == std::vector<smtp::Address>{{"carol", "b.example"}});
}

TEST_CASE_METHOD(RecipientsFixture, "Settings of a domain that can not be are refused",
                 "[store][integration]") {
  Domain domain = Must(GetDomain(*connection, "b.example"));
  auto code = [&] { return UpdateDomain(*connection, domain).code(); };
  domain.next_hop = "mail.inside.example:25";
  CHECK(code() == Code::kInvalidArgument);  // a local domain
  domain.kind = DomainKind::kRelay;
  for (const char* good : {"mail.inside.example:25", "192.0.2.1:2525", "[2001:db8::1]:25", ""}) {
    CAPTURE(good);
    domain.next_hop = good;
    CHECK(code() == Code::kOk);
  }
  for (const char* bad : {"mail", "mail:", ":25", "mail:0", "mail:65536", "a b:25", "mail:25 ",
                          "2001:db8::1:25", "[mail]:25", "[:25"}) {
    CAPTURE(bad);
    domain.next_hop = bad;
    CHECK(code() == Code::kInvalidArgument);
  }
  domain.next_hop.clear();
  for (const char* bad : {"a", ".", "@", " ", "+\""}) {
    CAPTURE(bad);
    domain.separator = bad;
    CHECK(code() == Code::kInvalidArgument);
  }
  domain.name = "c.example";
  domain.separator = "+";
  CHECK(code() == Code::kNotFound);
}

TEST_CASE_METHOD(RecipientsFixture, "A domain has several separators, or none",
                 "[store][integration]") {
  const AccountId mary = MakeAccount("mary-ann@b.example");
  Change([](Domain* d) { d->separator = "+-"; });
  CHECK(Lookup("alice+x").local.at(0).account == alice);
  CHECK(Lookup("alice-x+y").local.at(0).address == "alice@b.example");
  // The longest that is there.
  CHECK(Lookup("mary-ann").local.at(0).account == mary);
  CHECK(Lookup("mary-ann+x").local.at(0).account == mary);
  CHECK(Kind("mary-x") == RecipientKind::kUnknownUser);
  CHECK(Kind("alice=x") == RecipientKind::kUnknownUser);
  Change([](Domain* d) { d->separator = ""; });
  CHECK(Kind("alice+x") == RecipientKind::kUnknownUser);
  CHECK(Kind("alice") == RecipientKind::kAccount);
}

TEST_CASE_METHOD(RecipientsFixture, "Case of local parts counts where the domain says so",
                 "[store][integration]") {
  MustOk(AddDomain(*connection, "case.example", now));
  Change([](Domain* d) { d->case_sensitive = true; }, "case.example");
  const AccountId upper = MakeAccount("Bob@case.example");
  const AccountId lower = MakeAccount("bob@case.example");
  CHECK(Lookup("Bob", "CASE.example").local.at(0).account == upper);
  CHECK(Lookup("bob+X", "case.example").local.at(0).account == lower);
  CHECK(Kind("BOB", "case.example") == RecipientKind::kUnknownUser);
  CHECK(Must(FindAccount(*connection, "Bob@case.example")) == upper);
  CHECK(Must(LookupLogin(*connection, "Bob@CASE.example"))->address == "Bob@case.example");
  CHECK(Must(GetAccount(*connection, upper)).name == "Bob@case.example");
  CHECK(Must(FindSenderRight(*connection, lower, "Bob@case.example")) == SenderRight::kNone);
  // RFC 5321 §4.1.1.3: postmaster in any case.
  MustOk(SetPostmaster(*connection, upper));
  CHECK(Lookup("PostMaster", "case.example").local.at(0).account == upper);
  Domain domain = Must(GetDomain(*connection, "case.example"));
  domain.case_sensitive = false;
  CHECK(UpdateDomain(*connection, domain).code() == Code::kFailedPrecondition);
}

TEST_CASE_METHOD(RecipientsFixture, "Local parts: NFC (RFC 6532 §3.1), quotes are not compared",
                 "[store][integration]") {
  const AccountId joerg = MakeAccount("Jo\xCC\x88rg@b.example");
  CHECK(Lookup("j\xC3\xB6rg").local.at(0).account == joerg);
  CHECK(Lookup("jo\xCC\x88rg").local.at(0).account == joerg);
  const AccountId quoted = MakeAccount("\"A b\"@b.example");
  CHECK(Lookup("a b").local.at(0).account == quoted);
  CHECK(Must(FindAccount(*connection, "\"a\\ b\"@b.example")) == quoted);
  CHECK(Must(FindAccount(*connection, "\"alice\"@b.example")) == alice);
  CHECK(SplitAddress("\"a@b.example").status().code() == Code::kInvalidArgument);
  // Members elsewhere are written as they must be, their case is theirs.
  MustOk(AddAlias(*connection, {"out@b.example", true, {"\"X y\"@C.example", "Z@c.example"}}, now));
  CHECK(Lookup("out").external ==
        std::vector<smtp::Address>{{"X y", "c.example"}, {"Z", "c.example"}});
}

TEST_CASE_METHOD(RecipientsFixture, "An address may be refused, or taken from some only",
                 "[store][integration]") {
  MustOk(SetRefusal(*connection, "gone@b.example", "550 5.1.6 Moved to c.example", now));
  CHECK(Lookup("gone").refusal == "550 5.1.6 Moved to c.example");
  CHECK(Kind("gone") == RecipientKind::kUnknownUser);
  MustOk(SetRefusal(*connection, "gone@b.example", "450 4.2.1 Later", now));
  CHECK(Lookup("gone").refusal == "450 4.2.1 Later");
  MustOk(SetRefusal(*connection, "alice@b.example", "550 5.2.1 On leave", now));
  CHECK(Lookup("alice+x").refusal == "550 5.2.1 On leave");
  CHECK(Kind("alice") == RecipientKind::kAccount);
  for (const char* bad : {"550", "250 2.0.0 ok", "421 4.3.2 bye", "550 4.1.1 x", "550 5.1 x",
                          "550 5.1.1 a\rb", "550 5.1.1 ", "5x0 5.1.1 x"}) {
    CAPTURE(bad);
    CHECK(SetRefusal(*connection, "alice@b.example", bad, now).code() == Code::kInvalidArgument);
  }
  CHECK(SetRefusal(*connection, "x@c.example", "550 5.1.1 x", now).code() ==
        Code::kFailedPrecondition);
  MustOk(SetRefusal(*connection, "alice@b.example", "", now));
  MustOk(SetRefusal(*connection, "gone@b.example", "", now));
  CHECK(SetRefusal(*connection, "gone@b.example", "", now).code() == Code::kNotFound);
  CHECK(Lookup("alice").refusal.empty());
  CHECK(Lookup("gone").refusal.empty());

  MustOk(SetSenders(*connection, "alice@b.example", {"Boss@C.example", "@d.example", "<>"}));
  const std::vector<std::string> senders = {"Boss@c.example", "@d.example", "<>"};
  CHECK(Lookup("alice").senders == senders);
  CHECK(Must(ListAddresses(*connection)).at(0).senders == senders);
  CHECK(SetSenders(*connection, "alice@b.example", {"nonsense"}).code() == Code::kInvalidArgument);
  CHECK(SetSenders(*connection, "nobody@b.example", {}).code() == Code::kNotFound);
  MustOk(SetSenders(*connection, "alice@b.example", {}));
  CHECK(Lookup("alice").senders.empty());
}

TEST_CASE_METHOD(RecipientsFixture, "SRS secrets: one from the start, older ones for a while",
                 "[store][integration]") {
  auto c = database.Connect("godwit_smtp_ingress");
  REQUIRE(Must(ListSrsSecrets(*c)).size() == 1);
  CHECK(Must(ListSrsSecrets(*c))[0].size() >= 16);
  const base::Secret second("0123456789abcdef"), third("fedcba9876543210");
  CHECK(AddSrsSecret(*connection, base::Secret("short"), now, absl::Hours(1)).code() ==
        Code::kInvalidArgument);
  MustOk(AddSrsSecret(*connection, second, now, absl::Hours(24)));
  CHECK(Must(ListSrsSecrets(*c)).size() == 2);
  // The first one has not signed since the second came, two days ago.
  MustOk(AddSrsSecret(*connection, third, now + absl::Hours(48), absl::Hours(24)));
  const auto left = Must(ListSrsSecrets(*c));
  REQUIRE(left.size() == 2);
  CHECK((left[0] == third && left[1] == second));
  for (const char* role : {"godwit_submission", "godwit_reader", "godwit_delivery_queue"}) {
    auto other = database.Connect(role);
    CHECK(ListSrsSecrets(*other).status().code() == Code::kPermissionDenied);
  }
  CHECK(AddSrsSecret(*c, third, now, absl::Hours(24)).code() == Code::kPermissionDenied);
}

}  // namespace
}  // namespace godwit::store
