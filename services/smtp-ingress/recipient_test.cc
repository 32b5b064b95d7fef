#include "services/smtp-ingress/recipient.h"

#include <catch2/catch.hpp>

#include "libs/store/delivery.h"

namespace godwit::smtp_ingress {
namespace {

using store::AccountId;
using store::LocalRecipient;
using store::Recipient;
using store::RecipientKind;

const smtp::Address kSender{"s", "x.example"};

Recipient Account(LocalRecipient local) {
  Recipient recipient;
  recipient.kind = RecipientKind::kAccount;
  recipient.local = {std::move(local)};
  return recipient;
}

Recipient Alias(std::vector<LocalRecipient> members) {
  Recipient recipient;
  recipient.kind = RecipientKind::kAlias;
  recipient.local = std::move(members);
  return recipient;
}

LocalRecipient Member(int64_t account, bool disabled = false, int64_t used = 0, int64_t quota = 0) {
  return {AccountId{account}, "m" + std::to_string(account) + "@y.example", disabled, used, quota};
}

std::string Answer(const Recipient& recipient, uint64_t size = 0, bool reject_disabled = false) {
  const auto verdict = JudgeRecipient(recipient, kSender, size, {reject_disabled});
  CHECK(verdict.reply.positive() == !verdict.accounts.empty());
  return std::to_string(verdict.reply.code) + " " + verdict.reply.enhanced;
}

TEST_CASE("What the directory does not have is refused", "[smtp-ingress][unit]") {
  Recipient recipient;
  recipient.kind = RecipientKind::kUnknownDomain;
  CHECK(Answer(recipient) == "550 5.7.1");
  recipient.kind = RecipientKind::kUnknownUser;
  CHECK(Answer(recipient) == "550 5.1.1");
  recipient.kind = RecipientKind::kDomainDisabled;
  CHECK(Answer(recipient) == "450 4.2.1");
  CHECK(Answer(recipient, 0, true) == "550 5.2.1");
}

TEST_CASE("An account takes mail unless it is disabled or full", "[smtp-ingress][unit]") {
  CHECK(Answer(Account(Member(1))) == "250 2.1.5");
  CHECK(Answer(Account(Member(1, true))) == "450 4.2.1");
  CHECK(Answer(Account(Member(1, true)), 0, true) == "550 5.2.1");
  CHECK(Answer(Account(Member(1, false, 90, 100)), 10) == "250 2.1.5");
  CHECK(Answer(Account(Member(1, false, 90, 100)), 11) == "452 4.2.2");
  CHECK(Answer(Account(Member(1, false, 100, 100))) == "452 4.2.2");
  CHECK(Answer(Account(Member(1, false, 200, 100)), 1) == "452 4.2.2");
  CHECK(Answer(Account(Member(1, false, 200, 0)), 1) == "250 2.1.5");
}

TEST_CASE("An alias leads to the members that can take mail", "[smtp-ingress][unit]") {
  const Recipient alias = Alias({Member(1), Member(2, true), Member(3, false, 100, 100)});
  const auto verdict = JudgeRecipient(alias, kSender, 0, {});
  CHECK(verdict.reply.code == 250);
  CHECK(verdict.accounts == std::vector<AccountId>{AccountId{1}, AccountId{3}});
  CHECK(Answer(Alias({Member(1, true)})) == "450 4.2.1");
  CHECK(Answer(Alias({Member(1, false, 100, 100)})) == "452 4.2.2");
}

TEST_CASE("What goes on is taken where there is a queue, and deferred where there is none",
          "[smtp-ingress][unit]") {
  const RecipientPolicy with_queue = {.may_send_on = true};
  Recipient alias = Alias({Member(1)});
  alias.external = {{"e", "z.example"}};
  CHECK(JudgeRecipient(alias, kSender, 0, {}).reply.code == 450);
  auto verdict = JudgeRecipient(alias, kSender, 0, with_queue);
  CHECK(verdict.reply.code == 250);
  CHECK(verdict.accounts == std::vector<AccountId>{AccountId{1}});
  CHECK(verdict.external == alias.external);
  CHECK_FALSE(verdict.relay);
  // Nobody here can take it, but somebody elsewhere can.
  alias.local = {Member(1, /*disabled=*/true)};
  CHECK(JudgeRecipient(alias, kSender, 0, with_queue).reply.code == 250);
  alias.local = {Member(1, false, 100, 100)};
  CHECK(JudgeRecipient(alias, kSender, 0, with_queue).reply.code == 250);
  // A member elsewhere may send to a closed alias, too.
  alias.alias_public = false;
  CHECK(JudgeRecipient(alias, {"E", "z.example"}, 0, with_queue).reply.code == 250);
  CHECK(JudgeRecipient(alias, kSender, 0, with_queue).reply.enhanced == "5.7.2");

  Recipient relayed;
  relayed.kind = RecipientKind::kRelay;
  CHECK(JudgeRecipient(relayed, kSender, 0, {}).reply.code == 450);
  verdict = JudgeRecipient(relayed, kSender, 0, with_queue);
  CHECK((verdict.reply.code == 250 && verdict.relay && verdict.accounts.empty()));
}

TEST_CASE("An address may have a refusal of its own (RFC 5321 §4.2.2, RFC 3463)",
          "[smtp-ingress][unit]") {
  Recipient recipient = Account(Member(1));
  recipient.refusal = "551 5.1.6 Moved to y.example";
  const auto verdict = JudgeRecipient(recipient, kSender, 0, {});
  CHECK(verdict.reply == smtp::Reply{551, "5.1.6", {"Moved to y.example"}});
  CHECK(verdict.accounts.empty());
  recipient.refusal = "nonsense";
  CHECK(Answer(recipient) == "550 5.1.1");
  // Of a domain that is disabled nothing is told.
  recipient.kind = RecipientKind::kDomainDisabled;
  CHECK(Answer(recipient) == "450 4.2.1");
}

TEST_CASE("An address may take mail from some senders only", "[smtp-ingress][unit]") {
  Recipient recipient = Account(Member(1));
  auto may = [&](std::vector<std::string> senders, const smtp::Address& sender) {
    recipient.senders = std::move(senders);
    return JudgeRecipient(recipient, sender, 0, {}).reply.positive();
  };
  CHECK(may({}, kSender));
  CHECK(may({"a@b.example", "S@X.example"}, kSender));
  CHECK(may({"@X.example"}, kSender));
  CHECK_FALSE(may({"@example", "t@x.example", "<>"}, kSender));
  CHECK(may({"<>"}, {}));
  CHECK_FALSE(may({"@x.example"}, {}));
  CHECK(Answer(recipient) == "250 2.1.5");
  recipient.senders = {"<>"};
  CHECK(Answer(recipient) == "550 5.7.1");
}

TEST_CASE("A rewritten sender takes bounces only (RFC 3464 §2: the null sender)",
          "[smtp-ingress][unit]") {
  const RecipientPolicy with_queue = {.may_send_on = true};
  Found found;
  found.srs = Found::Srs::kReturn;
  found.original = {"alice", "z.example"};
  const auto verdict = JudgeReturn(found, {}, with_queue);
  CHECK(verdict.reply.code == 250);
  CHECK(verdict.external == std::vector<smtp::Address>{found.original});
  CHECK(JudgeReturn(found, {}, {}).reply.code == 450);
  CHECK(JudgeReturn(found, kSender, with_queue).reply.enhanced == "5.7.1");
  for (const auto srs : {Found::Srs::kForged, Found::Srs::kExpired}) {
    found.srs = srs;
    CHECK(JudgeReturn(found, {}, with_queue).reply.code == 550);
    CHECK(JudgeReturn(found, {}, with_queue).external.empty());
  }
}

TEST_CASE("A closed alias takes mail from members only", "[smtp-ingress][unit]") {
  Recipient alias = Alias({Member(1)});
  alias.alias_public = false;
  CHECK(Answer(alias) == "550 5.7.2");
  CHECK(JudgeRecipient(alias, {"M1", "y.example"}, 0, {}).reply.code == 250);
  CHECK(JudgeRecipient(alias, {}, 0, {}).reply.code == 550);
}

// Such a list was accepted at RCPT; its delivery was more than the store takes at once, and was
// answered 451 for ever.
TEST_CASE("A list with more members than one delivery has copies is refused",
          "[smtp-ingress][unit]") {
  std::vector<LocalRecipient> members;
  for (size_t i = 1; i <= store::kMaxTargets; ++i)
    members.push_back(Member(static_cast<int64_t>(i)));
  CHECK(Answer(Alias(members)) == "250 2.1.5");
  members.push_back(Member(2000, /*disabled=*/true));
  CHECK(Answer(Alias(members)) == "250 2.1.5");
  members.push_back(Member(2001));
  CHECK(Answer(Alias(members)) == "550 5.2.4");
}

}  // namespace
}  // namespace godwit::smtp_ingress
