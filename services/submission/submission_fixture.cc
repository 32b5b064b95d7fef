#include "services/submission/submission_fixture.h"

#include <utility>

#include "libs/base/encoding.h"
#include "libs/base/random.h"
#include "libs/rpc/serve.h"
#include "libs/runtime/yaml_config.h"
#include "libs/sasl/scram_verifier.h"
#include "libs/store/credentials.h"
#include "libs/testing/rpc_peer.h"

namespace godwit::submission {
namespace {

namespace auth = ::godwit::auth_verifier::v1;
namespace dq = ::godwit::delivery_queue::v1;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

base::Task<absl::Status> CollectSigned(rpc::RequestReader<auth::SignRequest>* reader,
                                       ScriptedSigner* signer, auth::SignResponse* out) {
  ++signer->calls;
  std::string data;
  for (;;) {
    std::optional<auth::SignRequest> request = co_await reader->Next();
    if (!request) break;
    if (request->has_context()) signer->context = request->context();
    data += request->data();
  }
  signer->data = std::move(data);
  *out = signer->response;
  co_return signer->failure;
}

base::Task<absl::Status> CollectQueued(rpc::RequestReader<dq::EnqueueRequest>* reader,
                                       ScriptedQueue* queue, dq::EnqueueResponse* out) {
  const int call = ++queue->calls;
  std::string header;
  std::string body;
  for (;;) {
    std::optional<dq::EnqueueRequest> request = co_await reader->Next();
    if (!request) break;
    if (request->has_submission()) queue->submission = request->submission();
    header += request->header();
    body += request->body();
  }
  queue->header = std::move(header);
  queue->body = std::move(body);
  if (call <= queue->hang) co_await queue->release.at(static_cast<size_t>(call - 1));
  if (!queue->failure.ok() && queue->failures-- > 0) co_return queue->failure;
  out->set_queue_id(call);
  co_return absl::OkStatus();
}

}  // namespace

grpc::ServerReadReactor<auth::SignRequest>* ScriptedSigner::Sign(grpc::CallbackServerContext* call,
                                                                 auth::SignResponse* out) {
  return rpc::ServeStream<auth::SignRequest>(
      call, executor_, [this, out](rpc::RequestReader<auth::SignRequest>* reader) {
        return CollectSigned(reader, this, out);
      });
}

grpc::ServerReadReactor<dq::EnqueueRequest>* ScriptedQueue::Enqueue(
    grpc::CallbackServerContext* call, dq::EnqueueResponse* out) {
  return rpc::ServeStream<dq::EnqueueRequest>(
      call, executor_, [this, out](rpc::RequestReader<dq::EnqueueRequest>* reader) {
        return CollectQueued(reader, this, out);
      });
}

SubmissionFixture::SubmissionFixture()
    : connection(database.Connect()),
      authority(testing::MakeScratchFolder()),
      thread([this] { loop.Run(); }),
      signer(&loop),
      queue(&loop) {
  MustOk(store::AddDomain(*connection, "y.example", kNow));
  alice = AddAccount("alice@y.example");
  bob = AddAccount("bob@y.example");
  public_leaf = authority.Issue({.names = {"mail.y.example"}});
  own_leaf_ = authority.Issue({.names = {"submission"}});
  signer_leaf_ = authority.Issue({.names = {"auth-verifier"}});
  queue_leaf_ = authority.Issue({.names = {"delivery-queue"}});
  signer.response.set_header_fields("DKIM-Signature: v=1; d=y.example\r\n");
  StartSigner();
  StartQueue();
}

SubmissionFixture::~SubmissionFixture() {
  for (const auto& call : queue.release) call.Set(true);
  if (server != nullptr) server->Drain(absl::Seconds(5));
  server.reset();
  signer_server_.reset();
  queue_server_.reset();
  loop.Stop();
  thread.join();
}

void SubmissionFixture::StartSigner() {
  const std::string service = "/godwit.auth_verifier.v1.AuthVerifier/";
  signer_server_ = testing::StartRpcPeer(authority, signer_leaf_,
                                         {{service + "Sign", {"submission"}},
                                          {service + "Verify", {}},
                                          {service + "VerifyWhole", {}},
                                          {service + "Seal", {}},
                                          {service + "Record", {}}},
                                         &signer, signer_port_);
  signer_port_ = signer_server_->port();
}

void SubmissionFixture::StartQueue() {
  const std::string service = "/godwit.delivery_queue.v1.DeliveryQueue/";
  rpc::Callers callers = {{service + "Enqueue", {"submission"}}};
  for (const char* method : {"List", "Show", "Retry", "Hold", "Release", "Fail", "Drop"}) {
    callers[service + method] = {};
  }
  queue_server_ =
      testing::StartRpcPeer(authority, queue_leaf_, std::move(callers), &queue, queue_port_);
  queue_port_ = queue_server_->port();
}

std::string SubmissionFixture::BaseConfig() const {
  return "hostname: mail.y.example\n"
         "listeners: " +
         listeners +
         "\n"
         "rpc: {listen: \"127.0.0.1:0\"}\n"
         "tls: {certificates: [{chain_file: \"" +
         public_leaf.chain_file + "\", key_file: \"" + public_leaf.key_file +
         "\"}]}\n"
         "database: {conninfo: \"" +
         database.ConnInfo("godwit_submission") +
         "\"}\n"
         "rpc_tls: {ca_file: \"" +
         authority.ca_file() + "\", certificate_file: \"" + own_leaf_.chain_file +
         "\", key_file: \"" + own_leaf_.key_file +
         "\"}\n"
         "auth_verifier: {target: \"127.0.0.1:" +
         std::to_string(signer_port_) + "\", deadline: " + deadline +
         "}\n"
         "delivery_queue: {target: \"127.0.0.1:" +
         std::to_string(queue_port_) + "\", deadline: " + deadline + "}\n";
}

void SubmissionFixture::Start(const std::string& more_config) {
  Config config;
  std::string text = BaseConfig() + more_config;
  if (more_config.find("login:") == std::string::npos) text += "login: {failure_delay: 10ms}\n";
  const auto errors = runtime::LoadYaml(
      text, "test.yaml", [](const std::string&) { return std::nullopt; }, &config);
  for (const auto& error : errors) FAIL(error.ToString());
  context.name = "submission";
  server = std::make_unique<Server>(config, &context);
  MustOk(server->Start());
}

std::shared_ptr<net::TlsContext> SubmissionFixture::ClientTls() {
  net::TlsClientOptions options;
  options.ca_file = authority.ca_file();
  return Must(net::TlsContext::NewClient(std::move(options)));
}

std::unique_ptr<SmtpClient> SubmissionFixture::Connect() {
  auto client = std::make_unique<SmtpClient>(server->endpoints().at(0));
  REQUIRE(client->Reply() == "220 mail.y.example ESMTP Godwit");
  client->Say("EHLO client.test");
  REQUIRE(client->Say("STARTTLS") == "220 2.0.0 Ready to start TLS");
  REQUIRE(client->StartTls(ClientTls(), "mail.y.example"));
  client->Say("EHLO client.test");
  return client;
}

std::unique_ptr<SmtpClient> SubmissionFixture::LogIn(const std::string& user) {
  auto client = Connect();
  REQUIRE(client->Say("AUTH PLAIN " + PlainMessage(user, "secret")) ==
          "235 2.7.0 Authentication succeeded");
  return client;
}

store::AccountId SubmissionFixture::AddAccount(const std::string& address) {
  const auto id = Must(store::AddAccount(*connection, address, base::RandomSource::System(), kNow));
  AddCredential(id, "password", "secret", store::kScopeAll);
  return id;
}

void SubmissionFixture::AddCredential(store::AccountId account, const std::string& name,
                                      const std::string& password, store::ScopeMask scopes) {
  auto* random = base::RandomSource::System();
  const auto scram = Must(store::GetOrMakeScramParameters(*connection, account, random));
  const auto keys = Must(sasl::MakeScramKeys(sasl::ScramHash::kSha256, password, scram.sha256.salt,
                                             static_cast<uint32_t>(scram.sha256.iterations)));
  store::NewCredential credential;
  credential.name = name;
  credential.scopes = scopes;
  credential.sha256 = {base::Secret(keys.stored_key), base::Secret(keys.server_key)};
  Must(store::SetCredential(*connection, account, credential, kNow));
}

std::string PlainMessage(const std::string& user, const std::string& password) {
  return base::Base64Encode(std::string(1, '\0') + user + std::string(1, '\0') + password);
}

}  // namespace godwit::submission
