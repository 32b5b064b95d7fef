// Mail that goes on to other servers: what delivery-queue is handed, and when the client gets its
// 250.

#include <atomic>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/rpc/serve.h"
#include "libs/store/directory.h"
#include "libs/testing/rpc_peer.h"
#include "proto/godwit/delivery_queue/v1/delivery_queue.grpc.pb.h"
#include "services/smtp-ingress/ingress_fixture.h"

namespace godwit::smtp_ingress {
namespace {

namespace dq = ::godwit::delivery_queue::v1;

constexpr std::string_view kText = "Subject: hello\r\n\r\nThe text.\r\n";
const std::string kAccepted = "250 2.0.0 Message accepted";

struct Taken {
  dq::Submission submission;
  std::string header;
  std::string body;
};

class ScriptedQueue : public dq::DeliveryQueue::CallbackService {
 public:
  explicit ScriptedQueue(base::Executor* executor) : executor_(executor) {}

  grpc::ServerReadReactor<dq::EnqueueRequest>* Enqueue(grpc::CallbackServerContext* context,
                                                       dq::EnqueueResponse* out) override {
    return rpc::ServeStream<dq::EnqueueRequest>(
        context, executor_, [this, out](rpc::RequestReader<dq::EnqueueRequest>* reader) {
          return Collect(reader, this, out);
        });
  }

  // Set before a message, read after its answer.
  std::vector<Taken> taken;
  absl::Status failure;
  int failures = 1000;  // so many calls fail with it

 private:
  static base::Task<absl::Status> Collect(rpc::RequestReader<dq::EnqueueRequest>* reader,
                                          ScriptedQueue* queue, dq::EnqueueResponse* out) {
    Taken taken;
    for (;;) {
      std::optional<dq::EnqueueRequest> request = co_await reader->Next();
      if (!request) break;
      if (request->has_submission()) taken.submission = request->submission();
      taken.header += request->header();
      taken.body += request->body();
    }
    queue->taken.push_back(std::move(taken));
    if (!queue->failure.ok() && queue->failures-- > 0) co_return queue->failure;
    out->set_queue_id(static_cast<int64_t>(queue->taken.size()));
    co_return absl::OkStatus();
  }

  base::Executor* const executor_;
};

class OnwardFixture : public IngressFixture {
 public:
  OnwardFixture() : queue(&loop) {
    const std::string service = "/godwit.delivery_queue.v1.DeliveryQueue/";
    rpc::Callers callers = {{service + "Enqueue", {"smtp-ingress"}}};
    for (const char* method : {"List", "Show", "Retry", "Hold", "Release", "Fail", "Drop"}) {
      callers[service + method] = {};
    }
    queue_server_ = testing::StartRpcPeer(authority, authority.Issue({.names = {"delivery-queue"}}),
                                          std::move(callers), &queue);
  }
  ~OnwardFixture() {
    if (server != nullptr) server->Drain(absl::Seconds(5));
    server.reset();
    queue_server_.reset();
  }

  void StartWithQueue(const std::string& more = "") {
    Start("delivery_queue: {target: \"127.0.0.1:" + std::to_string(queue_server_->port()) +
          "\", deadline: 5s}\n" + more);
  }
  void AddAlias(const std::string& address, std::vector<std::string> members) {
    MustOk(store::AddAlias(*connection, {address, true, std::move(members)}, absl::Now()));
  }
  void MakeRelay(const std::string& name, store::DomainKind kind, bool listed_only = false) {
    if (name != "y.example") MustOk(store::AddDomain(*connection, name, absl::Now()));
    store::Domain domain = Must(store::GetDomain(*connection, name));
    domain.kind = kind;
    domain.next_hop = "192.0.2.1:25";
    domain.listed_only = listed_only;
    MustOk(store::UpdateDomain(*connection, domain));
  }
  // Of the only message that was queued.
  std::vector<std::string> QueuedTo(size_t at = 0) {
    REQUIRE(queue.taken.size() > at);
    std::vector<std::string> to;
    for (const auto& r : queue.taken[at].submission.recipients()) to.push_back(r.address());
    return to;
  }

  ScriptedQueue queue;

 private:
  std::unique_ptr<rpc::Server> queue_server_;
};

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE_METHOD(OnwardFixture, "Mail of a relayed domain goes on as it came, with its trace",
                 "[smtp-ingress][component]") {
  MakeRelay("r.example", store::DomainKind::kRelay);
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  const std::string text =
      "Return-Path: <forged@x.example>\r\nReceived: from there\r\n" + std::string(kText);
  CHECK(client.SendMessage("s@x.example", {"Any.Body+tag@R.example", "other@r.example"}, text,
                           " BODY=8BITMIME SIZE=100") == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  const dq::Submission& submission = queue.taken[0].submission;
  CHECK(submission.origin() == dq::ORIGIN_RELAY);
  CHECK(submission.reverse_path() == "s@x.example");
  CHECK(QueuedTo() == std::vector<std::string>{"Any.Body+tag@r.example", "other@r.example"});
  CHECK(submission.account_id() == 0);
  CHECK(submission.body_8bit());
  CHECK(submission.client_address() == "127.0.0.1");
  CHECK(Contains(submission.idempotency_key(), client.last_id()));
  const std::string& header = queue.taken[0].header;
  CHECK(header.substr(0, header.find("\r\n")) ==
        "Authentication-Results: mx.y.example; dmarc=none");
  CHECK(Contains(header, "\r\nReceived: from client.test ([127.0.0.1])\r\n\tby mx.y.example"));
  CHECK(Contains(header, "\r\nReceived: from there\r\n"));
  for (const char* ours : {"Return-Path", "Delivered-To", "X-Godwit-Reason"}) {
    CAPTURE(ours);
    CHECK_FALSE(Contains(header, ours));
  }
  CHECK(queue.taken[0].body == "The text.\r\n");
  CHECK(CountEmails() == "0");
}

TEST_CASE_METHOD(OnwardFixture,
                 "A forwarded message has a sender of ours, and its bounce finds the sender",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example", "bob@y.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("Sender@x.example", {"out@y.example"}, kText) == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  CHECK(queue.taken[0].submission.origin() == dq::ORIGIN_FORWARD);
  CHECK(QueuedTo() == std::vector<std::string>{"e@z.example"});
  const std::string srs = queue.taken[0].submission.reverse_path();
  CHECK(srs.starts_with("SRS0="));
  CHECK(srs.ends_with("=x.example=Sender@y.example"));
  // The member who is here has it too.
  CHECK(Contains(OnlyMessage(bob), "Return-Path: <Sender@x.example>\r\n"));

  // The bounce, as a relay that folds case would bring it.
  queue.taken.clear();
  CHECK(client.SendMessage("", {base::Lower(srs)}, kText) == kAccepted);
  CHECK(queue.taken.at(0).submission.reverse_path().empty());
  CHECK(queue.taken[0].submission.origin() == dq::ORIGIN_FORWARD);
  CHECK(QueuedTo() == std::vector<std::string>{"sender@x.example"});

  client.Say("MAIL FROM:<spammer@x.example>");
  CHECK(client.Say("RCPT TO:<" + srs + ">").substr(0, 9) == "550 5.7.1");
  client.Say("RSET");
  client.Say("MAIL FROM:<>");
  std::string forged = srs;
  forged[6] = forged[6] == 'A' ? 'B' : 'A';
  CHECK(client.Say("RCPT TO:<" + forged + ">").substr(0, 9) == "550 5.1.1");
  CHECK(client.Say("RCPT TO:<" + srs.substr(0, srs.find('@')) + "@z.example>").substr(0, 9) ==
        "550 5.7.1");
  CheckStore();
}

TEST_CASE_METHOD(OnwardFixture, "Null and own senders stay, those of another forwarder are wrapped",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  auto sender = [&](const std::string& from) {
    queue.taken.clear();
    CHECK(client.SendMessage(from, {"out@y.example"}, kText) == kAccepted);
    REQUIRE(queue.taken.size() == 1);
    return queue.taken[0].submission.reverse_path();
  };
  CHECK(sender("") == "");
  CHECK(sender("alice@y.example") == "alice@y.example");
  CHECK(sender("a@[192.0.2.1]") == "a@[192.0.2.1]");
  CHECK(Contains(sender("SRS0=AAAA=BB=w.example=u@f.example"),
                 "=f.example==AAAA=BB=w.example=u@y.example"));
  // A long sender becomes longer than RFC 5321 §4.5.3.1.1 has it; its bounce comes all the same.
  const std::string long_sender =
      sender(std::string(60, 'l') + "@" + std::string(50, 'd') + ".example");
  queue.taken.clear();
  CHECK(client.SendMessage("", {long_sender}, kText) == kAccepted);
  CHECK(QueuedTo() ==
        std::vector<std::string>{std::string(60, 'l') + "@" + std::string(50, 'd') + ".example"});
}

TEST_CASE_METHOD(OnwardFixture, "Recipients of one sender go together, others apart",
                 "[smtp-ingress][component]") {
  MakeRelay("r.example", store::DomainKind::kRelay);
  AddAlias("one@y.example", {"a@z.example", "b@z.example"});
  AddAlias("two@y.example", {"b@z.example", "c@z.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example",
                           {"one@y.example", "r@r.example", "two@y.example", "alice@y.example"},
                           kText) == kAccepted);
  REQUIRE(queue.taken.size() == 2);
  CHECK(QueuedTo(0) == std::vector<std::string>{"a@z.example", "b@z.example", "c@z.example"});
  CHECK(QueuedTo(1) == std::vector<std::string>{"r@r.example"});
  CHECK(queue.taken[0].submission.idempotency_key() != queue.taken[1].submission.idempotency_key());
  CHECK(CountEmails() == "1");
  CheckStore();
}

TEST_CASE_METHOD(OnwardFixture, "A queue that takes nothing is a 451, and nothing is delivered",
                 "[smtp-ingress][component]") {
  AddAlias("both@y.example", {"e@z.example", "alice@y.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  auto answer = [&](absl::Status failure) {
    queue.failure = std::move(failure);
    return client.SendMessage("s@x.example", {"both@y.example"}, kText).substr(0, 9);
  };
  CHECK(answer(base::Unavailable("away")) == "451 4.3.0");
  CHECK(answer(base::PermissionDenied("no")) == "451 4.3.0");
  CHECK(answer(base::ResourceExhausted("full")) == "452 4.3.1");
  CHECK(answer(base::InvalidArgument("bad")) == "554 5.6.0");
  CHECK(CountEmails() == "0");
  // One failure is tried again at once, with the same key.
  queue.taken.clear();
  queue.failures = 1;
  CHECK(answer(base::Unavailable("once")) == "250 2.0.0");
  REQUIRE(queue.taken.size() == 2);
  CHECK(queue.taken[0].submission.idempotency_key() == queue.taken[1].submission.idempotency_key());
  CHECK(CountEmails() == "1");
  CheckStore();
}

TEST_CASE_METHOD(OnwardFixture, "A long message goes on whole, and into the mailbox in chunks",
                 "[smtp-ingress][component]") {
  AddAlias("both@y.example", {"e@z.example", "alice@y.example"});
  StartWithQueue();
  std::string body;
  while (body.size() < 3 * 1024 * 1024) body += "line " + std::to_string(body.size()) + "\r\n";
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"both@y.example"}, "Subject: long\r\n\r\n" + body) ==
        kAccepted);
  REQUIRE(queue.taken.size() == 1);
  CHECK(queue.taken[0].body == body);
  const std::string stored = OnlyMessage(alice);
  CHECK(stored.substr(stored.size() - body.size()) == body);
  CHECK(database.Ask("SELECT count(*) FROM staged_blobs") == "0");
  CheckStore();
}

TEST_CASE_METHOD(OnwardFixture, "In a migration some are here and the others there",
                 "[smtp-ingress][component]") {
  MakeRelay("y.example", store::DomainKind::kLocalThenRelay, /*listed_only=*/true);
  MustOk(store::AddRelayedAddress(*connection, "carol@y.example", absl::Now()));
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<s@x.example>");
  CHECK(client.Say("RCPT TO:<alice@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<carol@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<postmaster@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<nobody@y.example>") == "550 5.1.1 No such user here");
  CHECK(client.Say("DATA").substr(0, 3) == "354");
  CHECK(client.EndMessage(kText) == kAccepted);
  CHECK(QueuedTo() == std::vector<std::string>{"carol@y.example", "postmaster@y.example"});
  CHECK(queue.taken[0].submission.origin() == dq::ORIGIN_RELAY);
  CHECK_FALSE(OnlyMessage(alice).empty());
}

TEST_CASE_METHOD(OnwardFixture, "The next hop is asked whether it has the address, once",
                 "[smtp-ingress][component]") {
  IngressFixture there;
  MustOk(store::AddDomain(*there.connection, "r.example", absl::Now()));
  there.AddAccount("bob@r.example");
  there.Start();
  MustOk(store::AddDomain(*connection, "r.example", absl::Now()));
  store::Domain domain = Must(store::GetDomain(*connection, "r.example"));
  domain.kind = store::DomainKind::kRelay;
  domain.next_hop = there.server->endpoints().at(0).ToString();
  domain.callout = true;
  MustOk(store::UpdateDomain(*connection, domain));
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<s@x.example>");
  auto answer = [&](const std::string& to) {
    return client.Say("RCPT TO:<" + to + ">").substr(0, 9);
  };
  CHECK(answer("bob@r.example") == "250 2.1.5");
  CHECK(answer("nobody@r.example") == "550 5.1.1");
  there.server->Drain(absl::ZeroDuration());
  CHECK(answer("bob@r.example") == "250 2.1.5");
  CHECK(answer("nobody@r.example") == "550 5.1.1");
  CHECK(answer("carol@r.example") == "450 4.1.1");
  // RFC 5321 §4.5.1: it has a postmaster, and is not asked.
  CHECK(answer("postmaster@r.example") == "250 2.1.5");
}

TEST_CASE_METHOD(OnwardFixture, "Mail that is rejected or too much goes nowhere",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  auto* dmarc = verifier.response.mutable_dmarc();
  dmarc->set_result(auth_verifier::v1::RESULT_FAIL);
  dmarc->set_disposition(auth_verifier::v1::DmarcResult::DISPOSITION_REJECT);
  CHECK(client.SendMessage("s@x.example", {"out@y.example"}, kText).substr(0, 9) == "550 5.7.1");
  verifier.failure = base::Unavailable("no DNS");
  CHECK(client.SendMessage("s@x.example", {"out@y.example"}, kText).substr(0, 3) == "451");
  CHECK(queue.taken.empty());
}

TEST_CASE_METHOD(OnwardFixture, "Nobody of that name may be told after the data",
                 "[smtp-ingress][component]") {
  StartWithQueue("policy: {unknown_recipients: after_data}\n");
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"nobody@y.example"}, kText) ==
        "550 5.1.1 No such user here");
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  // What is told of the second recipient says nothing of it.
  for (const char* first : {"alice@y.example", "nobody@y.example"}) {
    client.Say("MAIL FROM:<s@x.example>");
    CHECK(client.Say("RCPT TO:<" + std::string(first) + ">") == "250 2.1.5 Recipient OK");
    CHECK(client.Say("RCPT TO:<bob@y.example>").substr(0, 9) == "452 4.5.3");
    CHECK(client.Say("RCPT TO:<somebody@y.example>").substr(0, 9) == "452 4.5.3");
    client.Say("RSET");
  }
  // Another's domain is no secret.
  client.Say("MAIL FROM:<s@x.example>");
  CHECK(client.Say("RCPT TO:<a@z.example>").substr(0, 9) == "550 5.7.1");
  CHECK(CountEmails() == "1");
}

}  // namespace
}  // namespace godwit::smtp_ingress
