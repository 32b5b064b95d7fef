#include "services/smtp-ingress/refusals.h"

#include <catch2/catch.hpp>

namespace godwit::smtp_ingress {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

smtp::Address To(int number) {
  smtp::Address address;
  address.local_part = "u" + std::to_string(number);
  address.domain = "y.example";
  return address;
}

TEST_CASE("Refusals: the refused recipients are kept before the accepted, and no more than five",
          "[smtp-ingress][unit]") {
  Refusals refusals;
  for (int i = 0; i < 12; ++i) refusals.NoteRecipient(To(i), MakeReply(ReplyKind::kRecipientOk));
  CHECK_FALSE(refusals.any());
  for (int i = 100; i < 103; ++i) refusals.NoteRecipient(To(i), MakeReply(ReplyKind::kUnknownUser));
  REQUIRE(refusals.any());
  smtpd::ClientFacts client;
  client.session = "abc";
  const store::RefusedSession row = refusals.Row(client, {}, "abc.7");
  CHECK(row.id() == "abc.7");
  CHECK(row.mail_from == "");
  CHECK(row.recipient_count == 15);
  REQUIRE(row.recipients.size() == store::kMaxKeptRecipients);
  CHECK(row.recipients[2].address == "u102@y.example");
  CHECK(row.recipients[2].reply == "550 5.1.1 No such user here");
  CHECK(row.recipients[3] == store::RefusedRecipient{"u0@y.example", ""});
  CHECK(row.reason == "recipient");
}

TEST_CASE("Refusals: a hundred refused recipients are five lines", "[smtp-ingress][unit]") {
  Refusals refusals;
  for (int i = 0; i < 100; ++i) refusals.NoteRecipient(To(i), MakeReply(ReplyKind::kUnknownUser));
  refusals.NoteMessage(MakeReply(ReplyKind::kRejected), "dmarc-reject", "a;\r\n\tb=c");
  const store::RefusedSession row = refusals.Row({}, {}, "abc.1");
  CHECK(row.recipients.size() == store::kMaxKeptRecipients);
  CHECK(row.recipient_count == 100);
  CHECK(row.reply == "550 5.7.1 Message rejected");
  CHECK(row.reason == "dmarc-reject");
  CHECK(row.verdict == "a;\tb=c");
}

}  // namespace
}  // namespace godwit::smtp_ingress
