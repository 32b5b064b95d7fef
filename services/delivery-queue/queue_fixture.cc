#include "services/delivery-queue/queue_fixture.h"

#include <grpcpp/channel.h>

#include <utility>

#include "libs/base/random.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "libs/rpc/serve.h"
#include "libs/runtime/yaml_config.h"
#include "libs/store/queue_check.h"

namespace godwit::delivery_queue {
namespace {

namespace pb = ::godwit::delivery_queue::v1;
namespace tls = ::godwit::tls_policy::v1;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

base::Task<absl::Status> Ok() { co_return absl::OkStatus(); }
base::Task<absl::Status> Busy() { co_return base::ResourceExhausted("too many at once"); }

base::Task<absl::StatusOr<pb::EnqueueResponse>> Send(pb::DeliveryQueue::Stub* stub,
                                                     std::vector<pb::EnqueueRequest> requests) {
  using Async = pb::DeliveryQueue::StubInterface::async_interface;
  auto* base_stub = static_cast<pb::DeliveryQueue::StubInterface*>(stub);
  auto stream = rpc::ClientStream<pb::EnqueueRequest, pb::EnqueueResponse>::Open(
      base_stub, &Async::Enqueue, {});
  for (pb::EnqueueRequest& request : requests) {
    absl::Status written = co_await stream->Write(std::move(request));
    if (!written.ok()) break;
  }
  absl::StatusOr<pb::EnqueueResponse> response = co_await stream->Finish();
  co_return response;
}

}  // namespace

grpc::ServerUnaryReactor* ScriptedPolicy::Resolve(grpc::CallbackServerContext* context,
                                                  const tls::ResolveRequest* in,
                                                  tls::ResolveResponse* out) {
  ++resolves;
  if (busy > 0 && busy-- > 0) return rpc::ServeUnary(context, executor_, Busy());
  std::lock_guard lock(mutex_);
  const auto answer = answers_.find(in->domain());
  *out = answer != answers_.end() ? answer->second : OneHost("mx." + in->domain());
  return rpc::ServeUnary(context, executor_, Ok());
}

grpc::ServerUnaryReactor* ScriptedPolicy::Record(grpc::CallbackServerContext* context,
                                                 const tls::RecordRequest* in,
                                                 tls::RecordResponse*) {
  std::lock_guard lock(mutex_);
  outcomes_.insert(outcomes_.end(), in->outcomes().begin(), in->outcomes().end());
  return rpc::ServeUnary(context, executor_, Ok());
}

void ScriptedPolicy::Answer(const std::string& domain, const tls::ResolveResponse& answer) {
  std::lock_guard lock(mutex_);
  answers_[domain] = answer;
}

std::vector<tls::TlsOutcome> ScriptedPolicy::outcomes() const {
  std::lock_guard lock(mutex_);
  return outcomes_;
}

tls::ResolveResponse ScriptedPolicy::OneHost(const std::string& name,
                                             tls::Requirement requirement) {
  tls::ResolveResponse response;
  response.set_outcome(tls::OUTCOME_OK);
  response.set_valid_seconds(60);
  tls::Host* host = response.add_hosts();
  host->set_name(name);
  host->add_addresses(std::string("\x7f\0\0\1", 4));
  host->set_requirement(requirement);
  host->mutable_report()->set_domain(name);
  return response;
}

tls::ResolveResponse ScriptedPolicy::Hosts(const std::vector<std::string>& names) {
  tls::ResolveResponse response = OneHost(names.front());
  response.clear_hosts();
  for (const std::string& name : names) {
    const int number = response.hosts_size() + 1;
    *response.add_hosts() = OneHost(name).hosts(0);
    response.mutable_hosts(number - 1)->set_preference(static_cast<uint32_t>(number));
    std::string address("\x7f\0\0\0", 4);
    address[3] = static_cast<char>(number);
    response.mutable_hosts(number - 1)->set_addresses(0, address);
  }
  return response;
}

QueueFixture::QueueFixture()
    : connection(database.Connect()),
      authority(testing::MakeScratchFolder()),
      thread([this] { loop.Run(); }),
      policy(&loop),
      folder(testing::MakeScratchFolder()) {
  MustOk(store::AddDomain(*connection, "y.example", kNow));
  alice =
      Must(store::AddAccount(*connection, "alice@y.example", base::RandomSource::System(), kNow));
  // With a postmaster, as every installation has one.
  MustOk(connection
             ->ExecuteScript("INSERT INTO settings VALUES ('postmaster', '" +
                             std::to_string(store::ToInt(alice)) + "')")
             .status());
  rpc::ServerOptions options;
  options.address = "127.0.0.1:0";
  leaves_["tls-policy"] = authority.Issue({.names = {"tls-policy"}});
  options.tls.ca_file = authority.ca_file();
  options.tls.certificate_file = leaves_["tls-policy"].chain_file;
  options.tls.key_file = leaves_["tls-policy"].key_file;
  options.callers = {{"/godwit.tls_policy.v1.TlsPolicy/Resolve", {"delivery-queue"}},
                     {"/godwit.tls_policy.v1.TlsPolicy/Record", {"delivery-queue"}},
                     {"/godwit.tls_policy.v1.TlsPolicy/StoreReport", {"auth-verifier"}}};
  policy_server_ = Must(rpc::Server::Start(std::move(options), {&policy}));
  internal = std::make_unique<TestMx>(TestMx::Options{
      .tls = ServerTls("smtp-ingress", true), .implicit_tls = true, .extensions = [] {
        smtp::ExtensionSet set = smtp::ServerOptions().extensions;
        set.Add(smtp::Extension::kOrigin);
        set.Add(smtp::Extension::kRequireTls);
        set.Add(smtp::Extension::kDsn);
        return set;
      }()});
}

QueueFixture::~QueueFixture() {
  Stop();
  server.reset();
  policy_server_.reset();
  loop.Stop();
  thread.join();
  CheckQueue();
}

std::shared_ptr<net::TlsContext> QueueFixture::ServerTls(const std::string& name, bool mutual) {
  const testing::LeafFiles leaf = authority.Issue({.names = {name}});
  net::TlsServerOptions options;
  net::TlsCertificate& certificate = options.certificates.emplace_back();
  certificate.chain_file = leaf.chain_file;
  certificate.key_file = leaf.key_file;
  if (mutual) {
    options.client_certificates = net::ClientCertificates::kRequired;
    options.client_ca_file = authority.ca_file();
  }
  return Must(net::TlsContext::NewServer(std::move(options)));
}

std::unique_ptr<Server> QueueFixture::StartWith(const std::string& outbound,
                                                const std::string& more) {
  if (!leaves_.contains("delivery-queue")) {
    leaves_["delivery-queue"] = authority.Issue({.names = {"delivery-queue"}});
  }
  const testing::LeafFiles& leaf = leaves_["delivery-queue"];
  const std::string text =
      "hostname: out.y.example\n"
      "notices: {domain: y.example, delay_after: 1h}\n"
      "rpc: {listen: \"127.0.0.1:0\"}\n"
      "rpc_tls: {ca_file: \"" +
      authority.ca_file() + "\", certificate_file: \"" + leaf.chain_file + "\", key_file: \"" +
      leaf.key_file +
      "\"}\n"
      "database: {conninfo: \"" +
      database.ConnInfo("godwit_delivery_queue") +
      "\"}\n"
      "outbound: {" +
      outbound + ", ca_file: \"" + authority.ca_file() +
      "\"}\n"
      "internal: {target: \"127.0.0.1:" +
      std::to_string(internal->port()) +
      "\"}\n"
      "tls_policy: {target: \"127.0.0.1:" +
      std::to_string(policy_server_->port()) +
      "\"}\n"
      "dns: {servers: [\"127.0.0.1:1\"]}\n"
      "leases: {lease: 2s, beat: 200ms, margin: 300ms, poll: 50ms}\n" +
      (more.find("limits:") == std::string::npos ? "limits: {threads: 2}\n" : "") + more;
  Config config;
  const auto errors = runtime::LoadYaml(
      text, "test.yaml", [](const std::string&) { return std::nullopt; }, &config);
  for (const auto& error : errors) FAIL(error.ToString());
  context.name = "delivery-queue";
  auto started = std::make_unique<Server>(config, &context);
  MustOk(started->Start());
  return started;
}

void QueueFixture::Start(uint16_t port, const std::string& more, const std::string& outbound) {
  outbound_ = "mode: direct, port: " + std::to_string(port) + outbound;
  server = StartWith(outbound_, more);
}

void QueueFixture::StartSmarthost(uint16_t port) {
  outbound_ = "mode: smarthost, smarthost: \"127.0.0.1:" + std::to_string(port) + "\"";
  server = StartWith(outbound_, "");
}

void QueueFixture::StartCapture(const std::string& more) {
  outbound_ = "mode: capture, capture_folder: \"" + folder + "/capture\"";
  server = StartWith(outbound_, more);
}

std::unique_ptr<Server> QueueFixture::StartAnother(const std::string& more) {
  return StartWith(outbound_, more);
}

void QueueFixture::Stop() {
  if (server != nullptr) server->Drain(absl::Seconds(8));
}

std::unique_ptr<pb::DeliveryQueue::Stub> QueueFixture::Stub(const std::string& caller) {
  if (!leaves_.contains(caller)) leaves_[caller] = authority.Issue({.names = {caller}});
  rpc::ChannelOptions options;
  options.target = "127.0.0.1:" + std::to_string(server->rpc_port());
  options.daemon = "delivery-queue";
  options.tls.ca_file = authority.ca_file();
  options.tls.certificate_file = leaves_[caller].chain_file;
  options.tls.key_file = leaves_[caller].key_file;
  return pb::DeliveryQueue::NewStub(Must(rpc::Connect(std::move(options))));
}

absl::StatusOr<pb::EnqueueResponse> QueueFixture::Call(
    const std::vector<pb::EnqueueRequest>& requests, const std::string& caller) {
  auto stub = Stub(caller);
  return base::RunBlocking(Send(stub.get(), requests));
}

absl::StatusOr<pb::EnqueueResponse> QueueFixture::Enqueue(const Mail& mail,
                                                          const std::string& caller) {
  std::vector<pb::EnqueueRequest> requests(1);
  pb::Submission* submission = requests[0].mutable_submission();
  submission->set_idempotency_key(mail.key.empty() ? "key-" + std::to_string(100000 + ++next_key_)
                                                   : mail.key);
  submission->set_origin(mail.origin);
  if (mail.origin == pb::ORIGIN_SUBMISSION) submission->set_account_id(store::ToInt(alice));
  submission->set_client_address("192.0.2.7");
  submission->set_user("alice@y.example");
  submission->set_reverse_path(mail.from);
  submission->set_ret(mail.ret);
  submission->set_envid(mail.envid);
  submission->set_requiretls(mail.requiretls);
  submission->set_smtputf8(mail.smtputf8);
  submission->set_size(mail.header.size() + mail.body.size());
  for (const std::string& to : mail.to) {
    pb::Recipient* recipient = submission->add_recipients();
    recipient->set_address(to);
    recipient->set_notify(mail.notify);
    recipient->set_orcpt(mail.orcpt);
  }
  requests[0].set_header(mail.header);
  for (size_t at = 0; at < mail.body.size(); at += 200000) {
    if (at > 0) requests.emplace_back();
    requests.back().set_body(mail.body.substr(at, 200000));
  }
  return Call(requests, caller);
}

bool QueueFixture::WaitFor(const std::string& sql, const std::string& value) {
  for (int i = 0; i < 500; ++i) {
    if (database.Ask(sql) == value) return true;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return false;
}

bool QueueFixture::WaitForMessages(int count) {
  return WaitFor("SELECT count(*) FROM queue_messages", std::to_string(count));
}

void QueueFixture::CheckQueue() {
  for (const store::QueueFinding& finding : Must(store::CheckQueue(*connection))) {
    INFO(finding.check << ": " << finding.detail);
    CHECK(finding.check.empty());
  }
}

}  // namespace godwit::delivery_queue
