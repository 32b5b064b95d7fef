#include "services/smtp-ingress/ingress_fixture.h"

#include <chrono>
#include <utility>

#include "libs/rpc/serve.h"
#include "libs/runtime/yaml_config.h"
#include "libs/store/check.h"
#include "libs/store/mailbox.h"
#include "libs/testing/rpc_peer.h"

namespace godwit::smtp_ingress {
namespace {

namespace pb = ::godwit::auth_verifier::v1;
namespace dq = ::godwit::delivery_queue::v1;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

base::Task<absl::Status> AnswerMessage(ScriptedVerifier* verifier, std::string data,
                                       pb::VerifyResponse* out) {
  verifier->data = std::move(data);
  if (verifier->hang) co_await verifier->release;
  *out = verifier->response;
  co_return verifier->failure;
}

base::Task<absl::Status> Collect(rpc::RequestReader<pb::VerifyRequest>* reader,
                                 ScriptedVerifier* verifier, pb::VerifyResponse* out) {
  std::string data;
  for (;;) {
    std::optional<pb::VerifyRequest> request = co_await reader->Next();
    if (!request) break;
    if (request->has_envelope()) {
      verifier->envelope = request->envelope();
      ++verifier->begun;
    }
    if (verifier->keep) data += request->data();
  }
  absl::Status answered = co_await AnswerMessage(verifier, std::move(data), out);
  co_return answered;
}

base::Task<absl::Status> TakeWhole(ScriptedVerifier* verifier, const pb::VerifyRequest* in,
                                   pb::VerifyResponse* out) {
  verifier->envelope = in->envelope();
  ++verifier->begun;
  absl::Status answered = co_await AnswerMessage(verifier, verifier->keep ? in->data() : "", out);
  co_return answered;
}

base::Task<absl::Status> CollectSealed(rpc::RequestReader<pb::SealRequest>* reader,
                                       ScriptedVerifier* verifier, pb::SealResponse* out) {
  std::string data;
  for (;;) {
    std::optional<pb::SealRequest> request = co_await reader->Next();
    if (!request) break;
    if (request->has_context()) verifier->seal_contexts.push_back(request->context());
    data += request->data();
  }
  verifier->seal_data = std::move(data);
  *out = verifier->seal;
  co_return verifier->seal_failure;
}

base::Task<absl::Status> TakeHint(const hint::v1::HintRequest* in, ScriptedGateway* gateway) {
  for (const auto& change : in->changes()) {
    gateway->last_account = change.account_id();
    gateway->last_modseq = change.modseq();
  }
  co_return absl::OkStatus();
}

base::Task<absl::Status> CollectQueued(rpc::RequestReader<dq::EnqueueRequest>* reader,
                                       ScriptedQueue* queue, dq::EnqueueResponse* out) {
  ScriptedQueue::Taken taken;
  for (;;) {
    std::optional<dq::EnqueueRequest> request = co_await reader->Next();
    if (!request) break;
    if (request->has_submission()) taken.submission = request->submission();
    taken.header += request->header();
    taken.body += request->body();
  }
  queue->taken.push_back(std::move(taken));
  out->set_queue_id(++queue->calls);
  if (!queue->failure.ok() && queue->failures-- > 0) co_return queue->failure;
  co_return absl::OkStatus();
}

}  // namespace

grpc::ServerReadReactor<dq::EnqueueRequest>* ScriptedQueue::Enqueue(
    grpc::CallbackServerContext* context, dq::EnqueueResponse* out) {
  return rpc::ServeStream<dq::EnqueueRequest>(
      context, executor_, [this, out](rpc::RequestReader<dq::EnqueueRequest>* reader) {
        return CollectQueued(reader, this, out);
      });
}

grpc::ServerReadReactor<pb::VerifyRequest>* ScriptedVerifier::Verify(
    grpc::CallbackServerContext* context, pb::VerifyResponse* out) {
  return rpc::ServeStream<pb::VerifyRequest>(
      context, executor_, [this, out](rpc::RequestReader<pb::VerifyRequest>* reader) {
        return Collect(reader, this, out);
      });
}

grpc::ServerUnaryReactor* ScriptedVerifier::VerifyWhole(grpc::CallbackServerContext* context,
                                                        const pb::VerifyRequest* in,
                                                        pb::VerifyResponse* out) {
  return rpc::ServeUnary(context, executor_, TakeWhole(this, in, out));
}

grpc::ServerReadReactor<pb::SealRequest>* ScriptedVerifier::Seal(
    grpc::CallbackServerContext* context, pb::SealResponse* out) {
  return rpc::ServeStream<pb::SealRequest>(
      context, executor_, [this, out](rpc::RequestReader<pb::SealRequest>* reader) {
        return CollectSealed(reader, this, out);
      });
}

grpc::ServerUnaryReactor* ScriptedVerifier::Record(grpc::CallbackServerContext* context,
                                                   const pb::RecordRequest* in,
                                                   pb::RecordResponse*) {
  if (refuse_records > 0) {
    --refuse_records;
    return rpc::Answer(context, base::Unavailable("scripted"));
  }
  {
    std::lock_guard lock(mutex_);
    recorded_.insert(recorded_.end(), in->messages().begin(), in->messages().end());
  }
  recorded_more_.notify_all();
  return rpc::Answer(context, absl::OkStatus());
}

std::vector<pb::RecordedMessage> ScriptedVerifier::AwaitRecorded(size_t count) {
  std::unique_lock lock(mutex_);
  const bool there = recorded_more_.wait_for(lock, std::chrono::seconds(20),
                                             [&] { return recorded_.size() >= count; });
  CHECK(there);
  return recorded_;
}

grpc::ServerUnaryReactor* ScriptedGateway::Hint(grpc::CallbackServerContext* context,
                                                const hint::v1::HintRequest* in,
                                                hint::v1::HintResponse*) {
  return rpc::ServeUnary(context, executor_, TakeHint(in, this));
}

IngressFixture::IngressFixture()
    : connection(database.Connect()),
      authority(testing::MakeScratchFolder()),
      thread([this] { loop.Run(); }),
      verifier(&loop),
      gateway(&loop),
      queue(&loop) {
  MustOk(store::AddDomain(*connection, "y.example", kNow));
  alice = AddAccount("alice@y.example");
  bob = AddAccount("bob@y.example");
  public_leaf = authority.Issue({.names = {"mx.y.example"}});
  verifier_leaf_ = authority.Issue({.names = {"auth-verifier"}});
  ingress_leaf_ = authority.Issue({.names = {"smtp-ingress", "localhost"}});
  verifier.response.set_authentication_results("mx.y.example; dmarc=none");
  verifier.response.set_received_spf("none (mx.y.example: nothing)");
  StartVerifier();
  gateway_server_ =
      testing::StartRpcPeer(authority, authority.Issue({.names = {"imap-gateway"}}),
                            {{"/godwit.hint.v1.Hints/Hint", {"smtp-ingress"}}}, &gateway);
  gateway_port = gateway_server_->port();
}

IngressFixture::~IngressFixture() {
  verifier.release.Set(true);
  if (server != nullptr) server->Drain(absl::Seconds(5));
  server.reset();
  verifier_server_.reset();
  gateway_server_.reset();
  queue_server_.reset();
  loop.Stop();
  thread.join();
}

void IngressFixture::StartVerifier() {
  verifier_server_ = testing::StartRpcPeer(
      authority, verifier_leaf_,
      {{"/godwit.auth_verifier.v1.AuthVerifier/Verify", {"smtp-ingress"}},
       {"/godwit.auth_verifier.v1.AuthVerifier/VerifyWhole", {"smtp-ingress"}},
       {"/godwit.auth_verifier.v1.AuthVerifier/Record", {"smtp-ingress"}},
       {"/godwit.auth_verifier.v1.AuthVerifier/Sign", {}},
       {"/godwit.auth_verifier.v1.AuthVerifier/Seal", {"smtp-ingress"}}},
      &verifier, verifier_port_);
  verifier_port_ = verifier_server_->port();
}

std::string IngressFixture::StartQueue(const std::string& more) {
  const std::string service = "/godwit.delivery_queue.v1.DeliveryQueue/";
  rpc::Callers callers = {{service + "Enqueue", {"smtp-ingress"}}};
  for (const char* other : {"List", "Show", "Retry", "Hold", "Release", "Fail", "Drop"}) {
    callers[service + other] = {};
  }
  queue_server_ = testing::StartRpcPeer(authority, authority.Issue({.names = {"delivery-queue"}}),
                                        std::move(callers), &queue);
  return "delivery_queue: {target: \"127.0.0.1:" + std::to_string(queue_server_->port()) +
         "\", deadline: 2s" + (more.empty() ? "" : ", " + more) + "}\n";
}

std::string IngressFixture::BaseConfig() const {
  return "hostname: mx.y.example\n"
         "listeners: [" +
         listener +
         "]\n"
         "internal: {listen: \"127.0.0.1:0\"}\n"
         "recipient_cache: " +
         recipient_cache +
         "\n"
         "rpc: {listen: \"127.0.0.1:0\"}\n"
         "tls:\n"
         "  certificates: [{chain_file: \"" +
         public_leaf.chain_file + "\", key_file: \"" + public_leaf.key_file +
         "\"}]\n"
         "  reload_interval: 1s\n"
         "database: {conninfo: \"" +
         database.ConnInfo("godwit_smtp_ingress") +
         "\"}\n"
         "rpc_tls: {ca_file: \"" +
         authority.ca_file() + "\", certificate_file: \"" + ingress_leaf_.chain_file +
         "\", key_file: \"" + ingress_leaf_.key_file +
         "\"}\n"
         "auth_verifier: {target: \"127.0.0.1:" +
         std::to_string(verifier_port_) + "\", deadline: " + verify_deadline + "}\n";
}

absl::Status IngressFixture::TryStart(const std::string& more_config) {
  Config config;
  const std::string text = BaseConfig() + more_config;
  const auto errors = runtime::LoadYaml(
      text, "test.yaml", [](const std::string&) { return std::nullopt; }, &config);
  for (const auto& error : errors) FAIL(error.ToString());
  context.name = "smtp-ingress";
  server = std::make_unique<Server>(config, &context);
  return server->Start();
}

std::shared_ptr<net::TlsContext> IngressFixture::ClientTls(const std::string& name) {
  net::TlsClientOptions options;
  options.ca_file = authority.ca_file();
  if (!name.empty()) {
    const testing::LeafFiles leaf = authority.Issue({.names = {name}});
    options.certificate.chain_file = leaf.chain_file;
    options.certificate.key_file = leaf.key_file;
  }
  return Must(net::TlsContext::NewClient(std::move(options)));
}

store::AccountId IngressFixture::AddAccount(const std::string& address) {
  return Must(store::AddAccount(*connection, address, base::RandomSource::System(), kNow));
}

std::string IngressFixture::OnlyMessage(store::AccountId account, const std::string& mailbox) {
  const store::Mailbox box = Must(store::FindMailbox(*connection, account, mailbox));
  const auto opened = Must(store::OpenMailbox(*connection, account, box.id));
  const auto found =
      Must(store::FetchEntries(*connection, account, box.id, opened.uids, {.summary = true}));
  REQUIRE(found.entries.size() == 1);
  const store::Entry& entry = found.entries[0];
  std::string text;
  while (text.size() < static_cast<size_t>(entry.size)) {
    const std::string piece = Must(store::ReadBlob(
        *connection, account, entry.blob, static_cast<int64_t>(text.size()), store::kMaxBlobRead));
    REQUIRE_FALSE(piece.empty());
    text += piece;
  }
  return text;
}

void IngressFixture::CheckStore() {
  const auto findings = Must(store::CheckStore(*connection));
  for (const store::Finding& finding : findings) {
    INFO(finding.check << ": " << finding.detail);
    CHECK(finding.check.empty());
  }
}

}  // namespace godwit::smtp_ingress
