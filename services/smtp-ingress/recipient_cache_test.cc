#include "services/smtp-ingress/recipient_cache.h"

#include <catch2/catch.hpp>

#include "libs/testing/fake_clock.h"

namespace godwit::smtp_ingress {
namespace {

using store::AccountId;
using store::RecipientKind;

Found Alice() {
  Found found;
  found.recipient.kind = RecipientKind::kAccount;
  found.recipient.local.push_back({AccountId{7}, "alice@y.example"});
  return found;
}

const smtp::Address kAlice{"alice", "y.example"};

TEST_CASE("Who may have mail is known for as long as configured", "[smtp-ingress][unit]") {
  testing::FakeClock clock;
  RecipientCache cache(absl::Seconds(1), &clock);
  CHECK_FALSE(cache.Find(kAlice));
  cache.Add(kAlice, Alice());
  clock.Advance(absl::Milliseconds(999));
  const std::optional<Found> known = cache.Find(kAlice);
  REQUIRE(known);
  CHECK(known->recipient.local[0].account == AccountId{7});
  CHECK_FALSE(cache.Find({"Alice", "y.example"}));  // a local part is its owner's (RFC 5321 2.4)
  CHECK_FALSE(cache.Find({"alice", "z.example"}));
  // Adding it again does not make it younger.
  cache.Add(kAlice, Alice());
  clock.Advance(absl::Milliseconds(1));
  CHECK_FALSE(cache.Find(kAlice));
  cache.Add(kAlice, Alice());
  CHECK(cache.Find(kAlice));
}

TEST_CASE("What is refused, goes on or is not there is asked for each time",
          "[smtp-ingress][unit]") {
  testing::FakeClock clock;
  RecipientCache cache(absl::Seconds(1), &clock);
  const auto kept = [&](auto change) {
    Found found = Alice();
    change(&found);
    cache.Add(kAlice, found);
    return cache.Find(kAlice).has_value();
  };
  CHECK_FALSE(kept([](Found* f) { f->recipient.kind = RecipientKind::kUnknownUser; }));
  CHECK_FALSE(kept([](Found* f) { f->recipient.kind = RecipientKind::kUnknownDomain; }));
  CHECK_FALSE(kept([](Found* f) { f->recipient.kind = RecipientKind::kDomainDisabled; }));
  CHECK_FALSE(kept([](Found* f) { f->recipient.kind = RecipientKind::kRelay; }));
  CHECK_FALSE(kept([](Found* f) { f->recipient.local[0].disabled = true; }));
  CHECK_FALSE(kept([](Found* f) { f->recipient.refusal = "550 5.1.6 Moved"; }));
  CHECK_FALSE(kept([](Found* f) { f->recipient.external.push_back({"bob", "x.example"}); }));
  CHECK_FALSE(kept([](Found* f) { f->srs = Found::Srs::kReturn; }));
  CHECK_FALSE(kept([](Found* f) { f->srs = Found::Srs::kExpired; }));
  CHECK_FALSE(kept([](Found* f) { f->recipient.by_tag = true; }));
  CHECK_FALSE(kept([](Found* f) { f->recipient.by_catch_all = true; }));
  const auto full = [](Found* f, int64_t used) {
    f->recipient.local[0].quota_bytes = 100;
    f->recipient.local[0].used_bytes = used;
  };
  CHECK_FALSE(kept([&](Found* f) { full(f, 100); }));
  const auto alias = [](Found* f, size_t members) {
    f->recipient.kind = RecipientKind::kAlias;
    f->recipient.local.resize(members, f->recipient.local[0]);
  };
  CHECK_FALSE(kept([&](Found* f) { alias(f, 17); }));
  CHECK(kept([&](Found* f) { alias(f, 16); }));
  clock.Advance(absl::Seconds(1));
  CHECK(kept([&](Found* f) { full(f, 99); }));
}

TEST_CASE("Nothing is kept for no time, and no more than the bound", "[smtp-ingress][unit]") {
  testing::FakeClock clock;
  RecipientCache none(absl::ZeroDuration(), &clock);
  none.Add(kAlice, Alice());
  CHECK_FALSE(none.Find(kAlice));

  RecipientCache cache(absl::Seconds(1), &clock);
  const auto user = [](size_t i) { return smtp::Address{"u" + std::to_string(i), "y.example"}; };
  for (size_t i = 0; i <= RecipientCache::kMost; ++i) cache.Add(user(i), Alice());
  CHECK_FALSE(cache.Find(user(0)));  // the oldest
  CHECK(cache.Find(user(1)));
  CHECK(cache.Find(user(RecipientCache::kMost)));
}

}  // namespace
}  // namespace godwit::smtp_ingress
