#include "libs/store/dkim_keys.h"

#include "libs/base/ascii.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

using Code = absl::StatusCode;

class DkimFixture : public StoreFixture {
 public:
  absl::Status Add(std::string_view selector, std::string_view algorithm = "rsa-sha256",
                   std::string_view domain = "b.example") {
    DkimKey key;
    key.domain = domain;
    key.selector = selector;
    key.algorithm = algorithm;
    key.public_key = "public " + std::string(selector);
    return AddDkimKey(*connection, key, base::Secret("private " + base::Lower(selector)), now);
  }
  SigningRight RightOf(AccountId account, std::string_view domain = "b.example") {
    return Must(LookupSigningRight(*connection, account, domain));
  }
  std::vector<std::string> ActiveSelectors() {
    std::vector<std::string> selectors;
    for (const auto& key : Must(ReadSigningKeys(*connection, RightOf(alice).key_ids))) {
      CHECK(key.private_key.Reveal() == "private " + key.selector);
      selectors.push_back(key.selector);
    }
    return selectors;
  }
  using Names = std::vector<std::string>;
};

TEST_CASE_METHOD(DkimFixture, "A key is pending, active, retired, removed",
                 "[store][integration]") {
  MustOk(Add("S1"));
  CHECK(Add("s1").code() == Code::kAlreadyExists);
  CHECK(Add("s1", "rsa-sha256", "other.example").code() == Code::kFailedPrecondition);
  CHECK(Add("s1", "rsa-sha1").code() == Code::kInvalidArgument);
  for (const char* bad : {"", "a b", "a..b", "-a", "a_b", "ä"}) {
    CAPTURE(bad);
    CHECK(Add(bad).code() == Code::kInvalidArgument);
  }
  CHECK(ActiveSelectors().empty());
  CHECK(RetireDkimKey(*connection, "b.example", "s1", now).code() == Code::kFailedPrecondition);

  MustOk(ActivateDkimKey(*connection, "B.example", "s1", now + absl::Hours(1)));
  MustOk(ActivateDkimKey(*connection, "b.example", "s1", now + absl::Hours(2)));
  CHECK(ActiveSelectors() == Names{"s1"});
  CHECK(RemoveDkimKey(*connection, "b.example", "s1").code() == Code::kFailedPrecondition);
  DkimKey key = Must(ListDkimKeys(*connection)).at(0);
  CHECK((key.state == DkimKeyState::kActive && key.created == now && !key.retired));
  CHECK(key.activated == now + absl::Hours(1));
  CHECK(key.public_key == "public S1");

  MustOk(RetireDkimKey(*connection, "b.example", "s1", now + absl::Hours(3)));
  MustOk(RetireDkimKey(*connection, "b.example", "s1", now + absl::Hours(4)));
  CHECK(ActiveSelectors().empty());
  key = Must(ListDkimKeys(*connection, "b.example")).at(0);
  CHECK((key.state == DkimKeyState::kRetired && key.retired == now + absl::Hours(3)));

  MustOk(RemoveDkimKey(*connection, "b.example", "s1"));
  CHECK(RemoveDkimKey(*connection, "b.example", "s1").code() == Code::kNotFound);
  CHECK(RetireDkimKey(*connection, "b.example", "s1", now).code() == Code::kNotFound);
  CHECK(ActivateDkimKey(*connection, "b.example", "s1", now).code() == Code::kNotFound);
}

TEST_CASE_METHOD(DkimFixture, "Active keys come RSA first, then by age", "[store][integration]") {
  for (const auto& [selector, algorithm] :
       {std::pair("e", "ed25519-sha256"), {"r2", "rsa-sha256"}, {"r1", "rsa-sha256"}}) {
    MustOk(Add(selector, algorithm));
    MustOk(ActivateDkimKey(*connection, "b.example", selector, now));
  }
  CHECK(ActiveSelectors() == Names{"r2", "r1", "e"});
}

// A cache of keys goes by the id: with the same selector made anew it would sign with the old key.
TEST_CASE_METHOD(DkimFixture, "A key made anew has another id", "[store][integration]") {
  std::vector<int64_t> ids;
  for (int i = 0; i < 2; ++i) {
    MustOk(Add("s1"));
    MustOk(ActivateDkimKey(*connection, "b.example", "s1", now));
    ids.push_back(RightOf(alice).key_ids.at(0));
    MustOk(RetireDkimKey(*connection, "b.example", "s1", now));
    MustOk(RemoveDkimKey(*connection, "b.example", "s1"));
  }
  CHECK(ids[0] != ids[1]);
  CHECK(Must(ReadSigningKeys(*connection, ids)).empty());
}

TEST_CASE_METHOD(DkimFixture, "Who may sign for a domain", "[store][integration]") {
  MustOk(AddDomain(*connection, "c.example", now));
  const AccountId carol = MakeAccount("carol@c.example");
  CHECK((RightOf(alice).ours && RightOf(alice).permitted));
  CHECK((RightOf(carol).ours && !RightOf(carol).permitted));
  CHECK_FALSE(RightOf(AccountId::kNone).permitted);
  CHECK(RightOf(AccountId::kNone).ours);
  CHECK_FALSE(RightOf(alice, "other.example").ours);

  MustOk(AddAddress(*connection, "carol@b.example", carol, now));
  CHECK(RightOf(carol).permitted);
  MustOk(RemoveAddress(*connection, "carol@b.example"));
  CHECK_FALSE(RightOf(carol).permitted);
  // As a member of an alias, or postmaster, she may send from a domain where nothing is hers: what
  // submission took was then refused for good, because nobody would sign it.
  MustOk(AddAlias(*connection, {"team@b.example", true, {"carol@c.example"}}, now));
  CHECK(RightOf(carol).permitted);
  MustOk(RemoveAlias(*connection, "team@b.example"));
  CHECK_FALSE(RightOf(carol).permitted);
  MustOk(SetPostmaster(*connection, carol));
  CHECK(RightOf(carol).permitted);
  MustOk(SetPostmaster(*connection, alice));
  CHECK_FALSE(RightOf(carol).permitted);
  CHECK(RightOf(alice, "c.example").permitted);
  Domain other = Must(GetDomain(*connection, "c.example"));
  other.postmaster = carol;
  MustOk(UpdateDomain(*connection, other));
  CHECK_FALSE(RightOf(alice, "c.example").permitted);

  Domain domain = Must(GetDomain(*connection, "b.example"));
  domain.catch_all = carol;
  MustOk(UpdateDomain(*connection, domain));
  CHECK(RightOf(carol).permitted);
  // Whom she would stand in for is at another server.
  domain.kind = DomainKind::kLocalThenRelay;
  MustOk(UpdateDomain(*connection, domain));
  CHECK_FALSE(RightOf(carol).permitted);
  domain.listed_only = true;
  MustOk(UpdateDomain(*connection, domain));
  CHECK(RightOf(carol).permitted);
  MustOk(SetAccountDisabled(*connection, carol, true));
  CHECK_FALSE(RightOf(carol).permitted);
  // A domain without a catch-all has not account 0 for one.
  CHECK_FALSE(RightOf(AccountId::kNone, "c.example").permitted);
}

TEST_CASE_METHOD(DkimFixture, "A domain's keys go with it", "[store][integration]") {
  MustOk(AddDomain(*connection, "c.example", now));
  MustOk(Add("s1", "ed25519-sha256", "c.example"));
  MustOk(RemoveDomain(*connection, "c.example"));
  CHECK(Must(ListDkimKeys(*connection)).empty());
}

}  // namespace
}  // namespace godwit::store
