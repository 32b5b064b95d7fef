// DSN on port 25 (RFC 3461): what a sender is told of a delivery, and what of none.

#include "libs/dsn/parse.h"
#include "services/smtp-ingress/ingress_fixture.h"

namespace godwit::smtp_ingress {
namespace {

namespace dq = ::godwit::delivery_queue::v1;
namespace pb = ::godwit::auth_verifier::v1;

const std::string kAccepted = "250 2.0.0 Message accepted";

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Each of `rcpts` is what stands behind "RCPT TO:".
std::string Send(SmtpClient* client, const std::string& mail,
                 const std::vector<std::string>& rcpts) {
  client->Say("EHLO c.x.example");
  CHECK(client->Say("MAIL FROM:" + mail) == "250 2.1.0 Sender OK");
  for (const std::string& rcpt : rcpts) {
    CHECK(client->Say("RCPT TO:" + rcpt) == "250 2.1.5 Recipient OK");
  }
  CHECK(client->Say("DATA").substr(0, 3) == "354");
  return client->EndMessage("Subject: hello\r\n\r\nThe text.\r\n");
}

TEST_CASE_METHOD(IngressFixture, "NOTIFY=SUCCESS brings a notification (RFC 3461 §4.1, §6)",
                 "[smtp-ingress][component]") {
  MustOk(store::AddAlias(
      *connection, {"team@y.example", true, {"alice@y.example", "bob@y.example"}}, absl::Now()));
  Start(StartQueue());
  verifier.response.mutable_spf_mail_from()->set_result(pb::RESULT_PASS);
  SmtpClient client = Connect();
  client.Reply();
  CHECK(Contains(client.Say("EHLO c"), "|DSN|"));
  CHECK(Send(&client, "<s@x.example> ENVID=one+2Btwo RET=FULL",
             {"<alice@y.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old+40x.example",
              "<bob@y.example> NOTIFY=NEVER", "<team@y.example> NOTIFY=SUCCESS"}) == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  const dq::Submission& submission = queue.taken[0].submission;
  const std::string text = queue.taken[0].header + queue.taken[0].body;
  CHECK(submission.origin() == dq::ORIGIN_DSN);
  CHECK(submission.reverse_path().empty());
  REQUIRE(submission.recipients_size() == 1);
  CHECK(submission.recipients(0).address() == "s@x.example");
  CHECK(submission.recipients(0).notify() == dq::NOTIFY_NEVER);
  CHECK(submission.idempotency_key() == client.last_id());
  CHECK(submission.size() == text.size());
  CHECK(Contains(text, "From: Mail Delivery System <postmaster@y.example>\r\n"));
  const auto parsed = dsn::Parse(text);
  REQUIRE(parsed);
  CHECK(parsed->report.reporting_mta == "mx.y.example");
  CHECK(parsed->report.envelope_id == "one+two");
  CHECK(parsed->report.received_from_mta == "c.x.example");
  CHECK(parsed->original_header == "Subject: hello\r\n");
  REQUIRE(parsed->report.recipients.size() == 2);
  const dsn::Recipient& first = parsed->report.recipients[0];
  CHECK(first.action == dsn::Action::kDelivered);
  CHECK(first.final_recipient.address == "alice@y.example");
  CHECK(first.original_recipient == dsn::TypedAddress{"rfc822", "old@x.example"});
  CHECK(first.status == "2.0.0");
  CHECK(parsed->report.recipients[1].action == dsn::Action::kExpanded);
  CHECK(parsed->report.recipients[1].final_recipient.address == "team@y.example");
}

TEST_CASE_METHOD(IngressFixture, "Nobody is notified who did not ask, or may not be the sender",
                 "[smtp-ingress][component]") {
  Start(StartQueue());
  SmtpClient client = Connect();
  client.Reply();
  const std::string asked = "<alice@y.example> NOTIFY=SUCCESS";
  // SPF says nothing of the sender: it may be anybody's address.
  CHECK(Send(&client, "<s@x.example>", {asked}) == kAccepted);
  verifier.response.mutable_spf_mail_from()->set_result(pb::RESULT_PASS);
  CHECK(Send(&client, "<>", {asked}) == kAccepted);
  CHECK(Send(&client, "<s@x.example>", {"<alice@y.example>"}) == kAccepted);
  CHECK(Send(&client, "<s@x.example>", {"<alice@y.example> NOTIFY=FAILURE,DELAY"}) == kAccepted);
  pb::DmarcResult* dmarc = verifier.response.mutable_dmarc();
  dmarc->set_result(pb::RESULT_FAIL);
  dmarc->set_disposition(pb::DmarcResult::DISPOSITION_REJECT);
  CHECK(Send(&client, "<s@x.example>", {asked}).substr(0, 3) == "550");
  CHECK(queue.calls == 0);
}

TEST_CASE_METHOD(IngressFixture,
                 "A notification that can not be sent does not keep the message out",
                 "[smtp-ingress][component]") {
  Start(StartQueue());
  verifier.response.mutable_spf_mail_from()->set_result(pb::RESULT_PASS);
  queue.failure = base::Unavailable("no database");
  SmtpClient client = Connect();
  client.Reply();
  CHECK(Send(&client, "<s@x.example>", {"<alice@y.example> NOTIFY=SUCCESS"}) == kAccepted);
  CHECK(CountEmails() == "1");
}

TEST_CASE_METHOD(IngressFixture, "Without delivery-queue DSN is not offered, nor to our daemons",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  CHECK_FALSE(Contains(client.Say("EHLO c"), "DSN"));
  client.Say("MAIL FROM:<s@x.example>");
  CHECK(client.Say("RCPT TO:<alice@y.example> NOTIFY=SUCCESS") ==
        "555 5.5.4 Parameter not recognized");
  SmtpClient internal(internal_endpoint());
  REQUIRE(internal.StartTls(ClientTls("delivery-queue"), "smtp-ingress"));
  internal.Reply();
  CHECK_FALSE(Contains(internal.Say("EHLO queue"), "DSN"));
}

}  // namespace
}  // namespace godwit::smtp_ingress
