// Sign and Seal as their callers see them: over mutual TLS, with a real PostgreSQL and
// auth-verifier's own role.

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/dkim/sign.h"
#include "libs/dkim/verify.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "libs/store/admin.h"
#include "libs/store/dkim_keys.h"
#include "libs/testing/certificates.h"
#include "libs/testing/fake_resolver.h"
#include "libs/testing/rpc_peer.h"
#include "libs/testing/scratch_database.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"
#include "proto/godwit/tls_policy/v1/tls_policy.grpc.pb.h"
#include "services/auth-verifier/rpc_service.h"
#include "services/auth-verifier/server.h"

namespace godwit::auth_verifier {
namespace {

namespace pb = ::godwit::auth_verifier::v1;
namespace tls = ::godwit::tls_policy::v1;
using AsyncVerifier = pb::AuthVerifier::StubInterface::async_interface;
using Code = absl::StatusCode;
using Chunks = std::vector<std::string>;

constexpr char kMessage[] =
    "From: Alice <alice@a.example>\r\nTo: bob@c.example\r\nSubject: hello\r\n\r\ntext\r\n";

void MustOk(const absl::Status& status) {
  if (!status.ok()) FAIL(base::ToString(status));
}
template <typename T>
T Must(absl::StatusOr<T> result) {
  MustOk(result.status());
  return *std::move(result);
}

pb::SignRequest Context(int64_t account, const std::string& from) {
  pb::SignRequest request;
  request.mutable_context()->set_account_id(account);
  request.mutable_context()->set_from_address(from);
  return request;
}

template <typename Request, typename Response, typename Method>
base::Task<absl::StatusOr<Response>> SendRequests(pb::AuthVerifier::Stub* stub, Method method,
                                                  std::vector<Request> requests) {
  auto stream =
      rpc::ClientStream<Request, Response>::Open(stub, method, {.deadline = absl::Seconds(20)});
  for (const Request& request : requests) {
    absl::Status sent = co_await stream->Write(request);
    if (!sent.ok()) break;  // Finish() has the reason
  }
  co_return co_await stream->Finish();
}

base::Task<absl::StatusOr<pb::SignResponse>> Send(pb::AuthVerifier::Stub* stub,
                                                  std::vector<pb::SignRequest> requests) {
  return SendRequests<pb::SignRequest, pb::SignResponse>(stub, &AsyncVerifier::Sign,
                                                         std::move(requests));
}

base::Task<absl::StatusOr<pb::VerifyResponse>> SendAll(pb::AuthVerifier::Stub* stub,
                                                       std::vector<pb::VerifyRequest> requests) {
  return SendRequests<pb::VerifyRequest, pb::VerifyResponse>(stub, &AsyncVerifier::Verify,
                                                             std::move(requests));
}

base::Task<absl::StatusOr<pb::VerifyResponse>> SendToVerify(pb::AuthVerifier::Stub* stub,
                                                            std::string message,
                                                            bool report_address = false) {
  auto stream = rpc::ClientStream<pb::VerifyRequest, pb::VerifyResponse>::Open(
      stub, &AsyncVerifier::Verify, {.deadline = absl::Seconds(20)});
  pb::VerifyRequest request;
  request.mutable_envelope()->set_client_ip("\x7f\0\0\1", 4);
  request.mutable_envelope()->set_helo("mx.a.example");
  request.mutable_envelope()->set_mail_from("alice@a.example");
  request.mutable_envelope()->set_authserv_id("mx.b.example");
  request.mutable_envelope()->set_report_address(report_address);
  absl::Status sent = co_await stream->Write(request);
  request.clear_envelope();
  constexpr size_t kPiece = 256 * 1024;
  for (size_t at = 0; sent.ok() && at < message.size(); at += kPiece) {
    request.set_data(message.substr(at, kPiece));
    sent = co_await stream->Write(request);
  }
  co_return co_await stream->Finish();
}

// A seal for `message` with what Verify said of it.
base::Task<absl::StatusOr<pb::SealResponse>> SendToSeal(pb::AuthVerifier::Stub* stub,
                                                        std::string domain,
                                                        pb::VerifyResponse verdict,
                                                        std::string message) {
  auto stream = rpc::ClientStream<pb::SealRequest, pb::SealResponse>::Open(
      stub, &AsyncVerifier::Seal, {.deadline = absl::Seconds(20)});
  pb::SealRequest request;
  request.mutable_context()->set_domain(domain);
  request.mutable_context()->set_authserv_id("mx.b.example");
  request.mutable_context()->set_authentication_results(verdict.authentication_results());
  *request.mutable_context()->mutable_arc() = verdict.arc();
  request.set_data(message.substr(0, 20));
  absl::Status sent = co_await stream->Write(request);
  if (sent.ok()) {
    request.Clear();
    request.set_data(message.substr(20));
    sent = co_await stream->Write(request);
  }
  co_return co_await stream->Finish();
}

base::Task<absl::StatusOr<pb::RecordResponse>> SendRecord(pb::AuthVerifier::Stub* stub,
                                                          pb::RecordRequest request) {
  auto response =
      co_await rpc::Call(stub, &AsyncVerifier::Record, request, {.deadline = absl::Seconds(20)});
  co_return response;
}

// In the place of tls-policy.
class TlsPolicyPeer : public tls::TlsPolicy::CallbackService {
 public:
  grpc::ServerUnaryReactor* StoreReport(grpc::CallbackServerContext* context,
                                        const tls::StoreReportRequest* request,
                                        tls::StoreReportResponse* response) override {
    given.push_back(*request);
    response->set_stored(problem.empty());
    response->set_problem(problem);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  // Looked at between calls only.
  std::vector<tls::StoreReportRequest> given;
  std::string problem;
};

class World {
 public:
  World() : connection_(database_.Connect()), pool_(PoolOptions(database_)), keys_(&pool_) {
    MustOk(store::AddDomain(*connection_, "a.example", now_));
    MustOk(store::AddDomain(*connection_, "b.example", now_));
    alice = AddAccount("alice@a.example");
    bob = AddAccount("bob@b.example");
    Start();
  }
  ~World() {
    server_->Shutdown(absl::ZeroDuration());
    executors_.Stop();
  }

  int64_t AddAccount(const std::string& address) {
    return store::ToInt(
        Must(store::AddAccount(*connection_, address, base::RandomSource::System(), now_)));
  }

  // A new active key; its record is in the DNS.
  void AddKey(const std::string& domain, const std::string& selector,
              dkim::KeyType type = dkim::KeyType::kEd25519) {
    const auto made = Must(dkim::PrivateKey::Generate(type));
    store::DkimKey key;
    key.domain = domain;
    key.selector = selector;
    key.algorithm = dkim::AlgorithmName(type);
    key.public_key = made.PublicBytes();
    MustOk(store::AddDkimKey(*connection_, key, made.Pkcs8(), now_));
    MustOk(store::ActivateDkimKey(*connection_, domain, selector, now_));
    base::DnsAnswer answer;
    answer.outcome = base::DnsOutcome::kOk;
    answer.texts = {made.PublicRecord()};
    zone_.Override({selector + "._domainkey." + domain, base::DnsType::kTxt}, answer);
    resolver_.Set(zone_);
  }

  pb::AuthVerifier::Stub* StubOf(const std::string& daemon) {
    auto& stub = stubs_[daemon];
    if (stub != nullptr) return stub.get();
    rpc::ChannelOptions options;
    options.target = "127.0.0.1:" + std::to_string(server_->port());
    options.daemon = "auth-verifier";
    options.tls = FilesOf(daemon);
    stub = pb::AuthVerifier::NewStub(Must(rpc::Connect(options)));
    return stub.get();
  }

  absl::StatusOr<std::string> Sign(int64_t account, const std::string& from,
                                   const Chunks& chunks = {kMessage},
                                   const std::string& daemon = "submission") {
    std::vector<pb::SignRequest> requests = {Context(account, from)};
    for (const std::string& chunk : chunks) requests.emplace_back().set_data(chunk);
    auto response = base::RunBlocking(Send(StubOf(daemon), requests));
    if (!response.ok()) return response.status();
    return response->header_fields();
  }
  Code CodeOf(int64_t account, const std::string& from, const Chunks& chunks = {kMessage},
              const std::string& daemon = "submission") {
    return Sign(account, from, chunks, daemon).status().code();
  }

  pb::VerifyResponse Verify(const std::string& message, bool report_address = false) {
    return Must(base::RunBlocking(SendToVerify(StubOf("smtp-ingress"), message, report_address)));
  }
  absl::StatusOr<pb::SealResponse> Seal(const std::string& domain, const std::string& message,
                                        const std::string& daemon = "smtp-ingress") {
    return base::RunBlocking(SendToSeal(StubOf(daemon), domain, Verify(message), message));
  }
  // The selectors of the signatures that pass.
  std::vector<std::string> Passing(const std::string& message) {
    std::vector<std::string> selectors;
    const pb::VerifyResponse verdict = Verify(message);
    for (const pb::DkimResult& result : verdict.dkim()) {
      CAPTURE(result.reason());
      CHECK(result.result() == pb::RESULT_PASS);
      selectors.push_back(result.selector());
    }
    return selectors;
  }

  void AddToZone(std::string_view text) {
    zone_.Add(text);
    resolver_.Set(zone_);
  }
  void CheckLists() { (void)base::RunBlocking(RunListCheck()); }
  absl::StatusOr<pb::RecordResponse> Record(const pb::RecordRequest& request,
                                            const std::string& daemon = "smtp-ingress") {
    return base::RunBlocking(SendRecord(StubOf(daemon), request));
  }
  std::string Ask(const std::string& sql) const { return database_.Ask(sql); }
  // A key of somebody else's; the signature field of `message`.
  std::string SignFor(const std::string& domain, const std::string& message,
                      const std::string& tags) {
    const auto key = Must(dkim::PrivateKey::Generate(dkim::KeyType::kEd25519));
    base::DnsAnswer answer;
    answer.outcome = base::DnsOutcome::kOk;
    answer.texts = {key.PublicRecord() + tags};
    zone_.Override({"r._domainkey." + domain, base::DnsType::kTxt}, answer);
    resolver_.Set(zone_);
    dkim::SignOptions options;
    options.domain = domain;
    dkim::Signer signer(options);
    signer.Feed(message);
    return Must(signer.Finish({{"r", key}}));
  }
  TlsPolicyPeer& tls_policy() { return tls_policy_; }
  void StopTlsPolicy() { tls_policy_server_->Shutdown(absl::ZeroDuration()); }
  void AddRecord(const std::string& domain, const std::string& record) {
    zone_.Add("_dmarc." + domain + " TXT \"" + record + "\"");
    resolver_.Set(zone_);
  }

  db::Connection& connection() { return *connection_; }
  absl::Time now() const { return now_; }
  std::string CaFile() const { return authority_.ca_file(); }
  rpc::TlsFiles FilesOf(const std::string& daemon) {
    const auto leaf = authority_.Issue({.names = {daemon}});
    return {authority_.ca_file(), leaf.chain_file, leaf.key_file};
  }

  int64_t alice = 0;
  int64_t bob = 0;

 private:
  static db::PoolOptions PoolOptions(const testing::ScratchDatabase& database) {
    db::PoolOptions options = database.PoolOptions(2, "godwit_auth_verifier");
    options.max_backoff = absl::Milliseconds(100);
    return options;
  }

  static ListOptions OneList() {
    ListOptions options;
    options.lists.resize(1);
    options.lists[0].zone = "bl.example";
    options.lists[0].domains = true;
    return options;
  }
  std::unique_ptr<TlsReportClient> NewTlsReportClient() {
    TlsReportClient::Options options;
    options.channel.target = "127.0.0.1:" + std::to_string(tls_policy_server_->port());
    options.channel.daemon = "tls-policy";
    options.channel.tls = FilesOf("auth-verifier");
    options.deadline = absl::Seconds(5);
    return Must(TlsReportClient::Create(std::move(options)));
  }
  base::Task<bool> RunListCheck() {
    co_await lists_.Check();
    co_return true;
  }

  void Start() {
    RpcOptions options;
    options.concurrent_messages = 4;
    options.verify.trusted_sealers = {"b.example"};
    service_ = NewRpcService(options, {.resolvers = {&resolver_, &resolver_},
                                       .lists = &lists_,
                                       .clock = base::Clock::System(),
                                       .executors = &executors_,
                                       .keys = &keys_,
                                       .counter = &counter_,
                                       .intake = &intake_,
                                       .metrics = &metrics_});
    rpc::ServerOptions server;
    server.address = "127.0.0.1:0";
    server.tls = FilesOf("auth-verifier");
    server.callers = Callers();
    server_ = Must(rpc::Server::Start(server, {service_.get()}));
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'790'000'000);
  testing::ScratchDatabase database_;
  std::unique_ptr<db::Connection> connection_;
  testing::CertificateAuthority authority_{testing::MakeScratchFolder()};
  testing::FakeZone zone_;
  testing::FakeResolver resolver_;
  net::ReactorPool executors_{{.threads = 2, .reactor = {}}};
  db::Pool pool_;
  SigningKeys keys_;
  TlsPolicyPeer tls_policy_;
  std::unique_ptr<rpc::Server> tls_policy_server_ =
      testing::StartRpcPeer(authority_, authority_.Issue({.names = {"tls-policy"}}),
                            {{"/godwit.tls_policy.v1.TlsPolicy/Resolve", {"delivery-queue"}},
                             {"/godwit.tls_policy.v1.TlsPolicy/Record", {"delivery-queue"}},
                             {"/godwit.tls_policy.v1.TlsPolicy/StoreReport", {"auth-verifier"}}},
                            &tls_policy_);
  std::unique_ptr<TlsReportClient> tls_reports_ = NewTlsReportClient();
  ReportIntake intake_{{}, &pool_, base::Clock::System(), tls_reports_.get()};
  EvaluationCounter counter_{{}, &pool_, base::Clock::System()};
  Metrics metrics_;
  ListMonitor lists_{OneList(), &resolver_, &metrics_};
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> server_;
  std::map<std::string, std::unique_ptr<pb::AuthVerifier::Stub>> stubs_;
};

TEST_CASE("What is signed verifies, with every active key", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "ed");
  world.AddKey("a.example", "rsa", dkim::KeyType::kRsa);
  const std::string fields = Must(world.Sign(world.alice, "alice@a.example"));
  CHECK(world.Passing(fields + kMessage) == Chunks{"rsa", "ed"});
  CHECK(world.Verify(fields + kMessage).dmarc().from_domain() == "a.example");
  // Damage is seen: the test could fail.
  CHECK(world.Verify(fields + kMessage + "x").dkim(0).result() == pb::RESULT_FAIL);
}

TEST_CASE("RFC 9990: what became of a verified message is counted",
          "[auth-verifier][integration]") {
  World world;
  CHECK(!world.Verify(kMessage).has_evaluation());
  world.AddRecord("a.example", "v=DMARC1; p=reject; ruf=mailto:f@a.example; fo=0");
  const pb::VerifyResponse verdict = world.Verify(kMessage);
  REQUIRE(verdict.has_evaluation());
  CHECK(verdict.evaluation().policy_domain() == "a.example");
  CHECK(verdict.evaluation().requested() == pb::DmarcResult::DISPOSITION_REJECT);

  pb::RecordRequest request;
  for (int i = 0; i < 3; ++i) {
    pb::RecordedMessage* message = request.add_messages();
    *message->mutable_evaluation() = verdict.evaluation();
    message->set_disposition(pb::DmarcResult::DISPOSITION_REJECT);
    message->set_envelope_to("b.example");
  }
  CHECK(Must(world.Record(request)).dropped() == 0);
  CHECK(world.Ask("SELECT header_from || ' ' || disposition || ' ' || failure || ' ' || messages "
                  "FROM dmarc_rows") == "a.example reject 0 3");
  CHECK(world.Ask("SELECT wanted FROM dmarc_periods") == "f");

  CHECK(world.Record(request, "submission").status().code() == Code::kUnauthenticated);
  pb::RecordRequest wrong;
  wrong.add_messages();
  CHECK(world.Record(wrong).status().code() == Code::kInvalidArgument);
  for (int i = 0; i < 1001; ++i) *wrong.add_messages() = request.messages(0);
  CHECK(world.Record(wrong).status().code() == Code::kInvalidArgument);
  CHECK(world.Record({}).ok());
}

TEST_CASE("RFC 9990: a report that comes is kept, when its author passes",
          "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  world.AddRecord("a.example", "v=DMARC1; p=reject");
  const std::string report =
      "<feedback><report_metadata><org_name>A</org_name><report_id>1</report_id><date_range>"
      "<begin>1700000000</begin><end>1700086399</end></date_range></report_metadata>"
      "<policy_published><domain>B.example</domain><p>none</p></policy_published>"
      "<record><row><source_ip>192.0.2.1</source_ip><count>5</count><policy_evaluated>"
      "<dkim>fail</dkim><spf>fail</spf></policy_evaluated></row></record></feedback>\r\n";
  const auto message = [](const std::string& xml) {
    return "From: <alice@a.example>\r\nContent-Type: text/xml\r\n\r\n" + xml;
  };
  const auto sign = [&](const std::string& text) {
    return Must(world.Sign(world.alice, "alice@a.example", {text})) + text;
  };
  const std::string good = sign(message(report));
  CHECK(!world.Verify(good).has_report());
  CHECK(world.Verify(good, true).report().stored());
  CHECK(world.Verify(good, true).report().stored());  // it came twice
  CHECK(world.Ask("SELECT domain || ' ' || reporter || ' ' || policy || ' ' || messages || ' ' || "
                  "failed FROM dmarc_reports") == "b.example a.example p=none 5 5");
  CHECK(world.Ask("SELECT count(*) FROM dmarc_report_rows") == "1");

  CHECK(world.Verify(message(report), true).report().problem() == "its author does not pass DMARC");
  CHECK(world.Verify(sign(kMessage), true).report().problem() == "no report is attached");
  CHECK(world.Verify(sign(message("<feedback>")), true).report().problem() ==
        "no XML: no element found");
  std::string foreign = report;
  foreign.replace(foreign.find("B.example"), 9, "x.example");
  CHECK(world.Verify(sign(message(foreign)), true).report().problem() == "x.example is not ours");
  std::string future = report;
  future.replace(future.find("1700086399"), 10, "4000000000");
  CHECK(world.Verify(sign(message(future)), true).report().problem() ==
        "the report is of the future");
  CHECK(world.Ask("SELECT count(*) FROM dmarc_reports") == "1");
}

std::string TlsReportMail(const std::string& file = "{}") {
  return "From: <tls@r.example>\r\nTLS-Report-Submitter: r.example\r\n"
         "Content-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n"
         "--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n" +
         file + "\r\n--b--\r\n";
}

TEST_CASE("RFC 8460 §3: a TLS report goes to tls-policy with who signed it",
          "[auth-verifier][integration]") {
  World world;
  const std::string mail = TlsReportMail();
  const std::string good = world.SignFor("r.example", mail, "; s=tlsrpt") + mail;
  CHECK(!world.Verify(good).has_report());
  CHECK(world.tls_policy().given.empty());  // not to an address for reports
  CHECK(world.Verify(good, true).report().stored());
  REQUIRE(world.tls_policy().given.size() == 1);
  CHECK(world.tls_policy().given[0].file() == "{}");
  CHECK(world.tls_policy().given[0].submitter() == "r.example");
  REQUIRE(world.tls_policy().given[0].signers_size() == 1);
  CHECK(world.tls_policy().given[0].signers(0) == "r.example");
  // Such a key is for nothing else.
  CHECK(world.Verify(good).dkim(0).result() == pb::RESULT_PERMERROR);

  world.tls_policy().problem = "r.example is not ours";
  CHECK(world.Verify(good, true).report().problem() == "r.example is not ours");
  CHECK(!world.Verify(good, true).report().stored());
}

TEST_CASE("RFC 8460 §3: a TLS report without a valid signature is ignored",
          "[auth-verifier][integration]") {
  World world;
  const std::string mail = TlsReportMail();
  const std::string none = "no DKIM signature for TLS reports";
  CHECK(world.Verify(mail, true).report().problem() == none);
  CHECK(
      world.Verify(world.SignFor("r.example", mail, "; s=email") + mail, true).report().problem() ==
      none);
  std::string damaged = mail;
  damaged.replace(damaged.find("{}"), 2, "[]");
  CHECK(world.Verify(world.SignFor("r.example", mail, "") + damaged, true).report().problem() ==
        none);
  CHECK(world.tls_policy().given.empty());
  // It is not read as a DMARC report either, whoever its author is.
  CHECK(world.Ask("SELECT count(*) FROM dmarc_reports") == "0");
}

TEST_CASE("A TLS report that can not be kept is mail, with the reason",
          "[auth-verifier][integration]") {
  World world;
  const std::string large = TlsReportMail(std::string(4 << 20, ' '));
  const std::string signed_large = world.SignFor("r.example", large, "") + large;
  CHECK(world.Verify(signed_large, true).report().problem() == "the report is too large");
  CHECK(world.tls_policy().given.empty());
  const std::string mail = TlsReportMail();
  const std::string good = world.SignFor("r.example", mail, "") + mail;
  world.StopTlsPolicy();
  const pb::VerifyResponse verdict = world.Verify(good, true);
  CHECK(verdict.dkim(0).result() == pb::RESULT_PASS);
  CHECK(!verdict.report().stored());
  CHECK(verdict.report().problem().starts_with("tls-policy: "));
}

TEST_CASE("A message may come in pieces, or with its context", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  const std::string large(600 * 1024, 'x');
  const std::string whole = kMessage + large;
  Chunks chunks = {std::string(kMessage).substr(0, 5), std::string(kMessage).substr(5)};
  for (size_t i = 0; i < large.size(); i += 200 * 1024)
    chunks.push_back(large.substr(i, 200 * 1024));
  const std::string fields = Must(world.Sign(world.alice, "alice@a.example", chunks));
  CHECK(world.Passing(fields + whole) == Chunks{"s1"});

  pb::SignRequest one = Context(world.alice, "alice@a.example");
  one.set_data(kMessage);
  const auto response = Must(base::RunBlocking(Send(world.StubOf("submission"), {one})));
  CHECK(world.Passing(response.header_fields() + kMessage) == Chunks{"s1"});
}

TEST_CASE("RFC 8617 §5.1: what is sealed at three hops verifies", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "rsa-a", dkim::KeyType::kRsa);
  world.AddKey("b.example", "ed-b");
  world.AddKey("b.example", "rsa-b", dkim::KeyType::kRsa);
  std::string message = kMessage;
  int hops = 0;
  for (const char* domain : {"a.example", "b.example", "A.example"}) {
    const std::string daemon = hops == 0 ? "delivery-queue" : "smtp-ingress";
    message = Must(world.Seal(domain, message, daemon)).header_fields() + message;
    const pb::VerifyResponse verdict = world.Verify(message);
    CAPTURE(message, verdict.arc().reason());
    CHECK(verdict.arc().result() == pb::RESULT_PASS);
    CHECK(verdict.arc().instances() == ++hops);
  }
  CHECK(world.Verify(message).arc().sealer() == "a.example");
  // A chain that failed gets one more set, and none after that.
  message += "x";
  message = Must(world.Seal("a.example", message)).header_fields() + message;
  CHECK(message.find("cv=fail") != message.npos);
  const pb::SealResponse none = Must(world.Seal("a.example", message));
  CHECK(none.header_fields().empty());
  CHECK_FALSE(none.not_sealed().empty());
}

TEST_CASE("RFC 8617 §7.2: a trusted forwarder's word is in the verdict",
          "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  world.AddKey("b.example", "rsa", dkim::KeyType::kRsa);
  world.AddToZone("_dmarc.a.example TXT \"v=DMARC1; p=reject\"");
  const std::string sent = Must(world.Sign(world.alice, "alice@a.example")) + kMessage;
  // b changes the subject of what it found good, and seals what it sends on.
  const pb::VerifyResponse found = world.Verify(sent);
  REQUIRE(found.dmarc().result() == pb::RESULT_PASS);
  std::string changed = sent;
  changed.replace(changed.find("Subject: hello"), 14, "Subject: [list] hello");
  const std::string forwarded =
      Must(base::RunBlocking(SendToSeal(world.StubOf("smtp-ingress"), "b.example", found, changed)))
          .header_fields() +
      changed;
  const pb::VerifyResponse verdict = world.Verify(forwarded);
  CHECK(verdict.dmarc().result() == pb::RESULT_FAIL);
  CHECK(verdict.dmarc().disposition() == pb::DmarcResult::DISPOSITION_REJECT);
  CHECK(verdict.arc().trusted());
  CHECK(verdict.dmarc().override_type() == "trusted_forwarder");
  CHECK(verdict.dmarc().override_comment() == "arc=pass as[1].d=b.example as[1].s=rsa");
  CHECK(world.Verify(changed).dmarc().override_type().empty());
}

TEST_CASE("RFC 5782: what DNS lists say is in the verdict", "[auth-verifier][integration]") {
  World world;
  world.AddToZone(
      "2.0.0.127.bl.example A 127.0.0.2\n"
      "test.bl.example A 127.0.0.2\n"
      "a.example.bl.example A 127.0.0.4\n"
      "a.example.bl.example TXT \"see https://bl.example/\"");
  // Not before it was found in order.
  CHECK(world.Verify(kMessage).dnsbl().empty());
  world.CheckLists();
  const pb::VerifyResponse verdict = world.Verify(kMessage);
  REQUIRE(verdict.dnsbl_size() == 2);
  CHECK(verdict.dnsbl(0).outcome() == pb::DnsblResult::OUTCOME_NOT_LISTED);
  CHECK(verdict.dnsbl(1).list() == "bl.example");
  CHECK(verdict.dnsbl(1).subject() == "a.example");
  CHECK(verdict.dnsbl(1).outcome() == pb::DnsblResult::OUTCOME_LISTED);
  CHECK(verdict.dnsbl(1).weight() == 1);
  CHECK(verdict.dnsbl(1).text() == "see https://bl.example/");
}

TEST_CASE("RFC 8617 §4.1.3: only our domains seal, with RSA", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "ed");
  const auto code = [&](const std::string& domain, const std::string& daemon = "smtp-ingress") {
    return world.Seal(domain, kMessage, daemon).status().code();
  };
  CHECK(code("a.example") == Code::kFailedPrecondition);
  CHECK(code("c.example") == Code::kFailedPrecondition);
  CHECK(code("") == Code::kInvalidArgument);
  world.AddKey("a.example", "rsa", dkim::KeyType::kRsa);
  CHECK(code("a.example") == Code::kOk);
  CHECK(code("a.example", "submission") == Code::kUnauthenticated);
  CHECK(code("a.example", "webmail-api") == Code::kUnauthenticated);
}

TEST_CASE("Each RPC is open to its callers only", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  struct Row {
    std::string daemon;
    bool sign;
    bool verify;
  };
  const auto row = GENERATE(values<Row>({{"submission", true, false},
                                         {"webmail-api", true, true},
                                         {"delivery-queue", true, false},
                                         {"smtp-ingress", false, true},
                                         {"imap-gateway", false, false},
                                         {"auth-verifier", false, false},
                                         {"tls-policy", false, false},
                                         {"acme", false, false},
                                         {"godwitctl", false, false}}));
  CAPTURE(row.daemon);
  CHECK(world.CodeOf(world.alice, "alice@a.example", {kMessage}, row.daemon) ==
        (row.sign ? Code::kOk : Code::kUnauthenticated));
  const auto verified = base::RunBlocking(SendToVerify(world.StubOf(row.daemon), kMessage));
  CHECK(verified.status().code() == (row.verify ? Code::kOk : Code::kUnauthenticated));
}

TEST_CASE("Only delivery-queue signs for the suite itself", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  const std::string from = "mailer-daemon@a.example";
  const std::string notice = "From: " + from + "\r\n\r\nNot delivered.\r\n";
  const std::string fields = Must(world.Sign(0, from, {notice}, "delivery-queue"));
  CHECK(world.Passing(fields + notice) == Chunks{"s1"});
  CHECK(world.CodeOf(0, from, {notice}, "submission") == Code::kPermissionDenied);
  CHECK(world.CodeOf(0, from, {notice}, "webmail-api") == Code::kPermissionDenied);
  CHECK(world.CodeOf(0, "x@c.example", {"From: x@c.example\r\n\r\n"}, "delivery-queue") ==
        Code::kFailedPrecondition);
}

TEST_CASE("An account has its own domains signed", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  const std::string as_alice = "alice@a.example";
  CHECK(world.CodeOf(world.alice, as_alice) == Code::kOk);
  CHECK(world.CodeOf(world.alice, "sales@A.Example") == Code::kOk);  // submission judges the name
  CHECK(world.CodeOf(world.bob, as_alice) == Code::kPermissionDenied);
  CHECK(world.CodeOf(12345, as_alice) == Code::kPermissionDenied);
  CHECK(world.CodeOf(-1, as_alice) == Code::kPermissionDenied);
  // No active key, and not ours.
  const Chunks from_bob = {"From: bob@b.example\r\n\r\n"};
  CHECK(world.CodeOf(world.bob, "bob@b.example", from_bob) == Code::kFailedPrecondition);
  CHECK(world.CodeOf(world.bob, "bob@c.example") == Code::kFailedPrecondition);

  const store::AccountId bob{world.bob};
  MustOk(store::AddAddress(world.connection(), "robert@a.example", bob, world.now()));
  CHECK(world.CodeOf(world.bob, as_alice) == Code::kOk);
  MustOk(store::SetAccountDisabled(world.connection(), bob, true));
  CHECK(world.CodeOf(world.bob, as_alice) == Code::kPermissionDenied);
  MustOk(store::SetAccountDisabled(world.connection(), bob, false));
  MustOk(store::RemoveAddress(world.connection(), "robert@a.example"));
  CHECK(world.CodeOf(world.bob, as_alice) == Code::kPermissionDenied);
}

TEST_CASE("Requests that make no sense are refused", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  const auto code = [&](std::vector<pb::SignRequest> requests) {
    return base::RunBlocking(Send(world.StubOf("submission"), requests)).status().code();
  };
  pb::SignRequest data;
  data.set_data(kMessage);
  const pb::SignRequest context = Context(world.alice, "alice@a.example");
  CHECK(code({}) == Code::kInvalidArgument);
  CHECK(code({data}) == Code::kInvalidArgument);
  CHECK(code({context, data, context}) == Code::kInvalidArgument);
  CHECK(code({context}) == Code::kInvalidArgument);
  CHECK(code({Context(world.alice, "alice"), data}) == Code::kInvalidArgument);
  CHECK(world.CodeOf(world.alice, "alice@a.example", {"From: alice@b.example\r\n\r\n"}) ==
        Code::kInvalidArgument);
}

absl::StatusOr<pb::VerifyResponse> VerifyWhole(World* world, pb::VerifyRequest request,
                                               const std::string& daemon = "smtp-ingress") {
  return base::RunBlocking(rpc::Call(world->StubOf(daemon), &AsyncVerifier::VerifyWhole,
                                     std::move(request), {.deadline = absl::Seconds(20)}));
}

pb::VerifyRequest EnvelopeAndMessage(const std::string& message) {
  pb::VerifyRequest request;
  request.mutable_envelope()->set_client_ip("\x7f\0\0\1", 4);
  request.mutable_envelope()->set_helo("mx.a.example");
  request.mutable_envelope()->set_mail_from("alice@a.example");
  request.mutable_envelope()->set_authserv_id("mx.b.example");
  request.set_data(message);
  return request;
}

TEST_CASE("A message that is there is judged as one that still comes",
          "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  world.AddRecord("a.example", "v=DMARC1; p=reject; rua=mailto:r@a.example");
  const std::string good = Must(world.Sign(world.alice, "alice@a.example")) + kMessage;
  for (const std::string& message :
       {good, good + "more\r\n", std::string(kMessage), std::string()}) {
    const pb::VerifyResponse whole = Must(VerifyWhole(&world, EnvelopeAndMessage(message)));
    CHECK(whole.SerializeAsString() == world.Verify(message).SerializeAsString());
  }
  CHECK(Must(VerifyWhole(&world, EnvelopeAndMessage(good))).dkim(0).result() == pb::RESULT_PASS);
  // In one request of the stream, too.
  const pb::VerifyResponse one =
      Must(base::RunBlocking(SendAll(world.StubOf("smtp-ingress"), {EnvelopeAndMessage(good)})));
  CHECK(one.SerializeAsString() == world.Verify(good).SerializeAsString());
  CHECK(VerifyWhole(&world, EnvelopeAndMessage(good), "submission").status().code() ==
        Code::kUnauthenticated);
}

TEST_CASE("What can not be verified is refused", "[auth-verifier][integration]") {
  World world;
  const pb::VerifyRequest good = EnvelopeAndMessage(kMessage);
  pb::VerifyRequest data = good;
  data.clear_envelope();
  pb::VerifyRequest nowhere = good;
  nowhere.mutable_envelope()->set_client_ip("12345");
  CHECK(VerifyWhole(&world, data).status().code() == Code::kInvalidArgument);
  CHECK(VerifyWhole(&world, nowhere).status().code() == Code::kInvalidArgument);
  const auto code = [&](std::vector<pb::VerifyRequest> requests) {
    return base::RunBlocking(SendAll(world.StubOf("smtp-ingress"), std::move(requests)))
        .status()
        .code();
  };
  CHECK(code({}) == Code::kInvalidArgument);
  CHECK(code({data}) == Code::kInvalidArgument);
  CHECK(code({nowhere}) == Code::kInvalidArgument);
  CHECK(code({good, data, good}) == Code::kInvalidArgument);
  CHECK(code({good, data}) == Code::kOk);
}

TEST_CASE("A change of the keys takes effect with the next message",
          "[auth-verifier][integration]") {
  World world;
  const auto selectors = [&] {
    const auto fields = world.Sign(world.alice, "alice@a.example");
    return fields.ok() ? world.Passing(*fields + kMessage) : Chunks{};
  };
  CHECK(selectors() == Chunks{});
  world.AddKey("a.example", "s1");
  CHECK(selectors() == Chunks{"s1"});
  world.AddKey("a.example", "s2");
  CHECK(selectors() == Chunks{"s1", "s2"});
  db::Connection& connection = world.connection();
  MustOk(store::RetireDkimKey(connection, "a.example", "s1", world.now()));
  CHECK(selectors() == Chunks{"s2"});
  // The same name, another key.
  MustOk(store::RetireDkimKey(connection, "a.example", "s2", world.now()));
  MustOk(store::RemoveDkimKey(connection, "a.example", "s2"));
  world.AddKey("a.example", "s2");
  CHECK(selectors() == Chunks{"s2"});
  MustOk(store::RetireDkimKey(connection, "a.example", "s2", world.now()));
  CHECK(world.CodeOf(world.alice, "alice@a.example") == Code::kFailedPrecondition);
}

TEST_CASE("A key that can't be read signs nothing", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  MustOk(world.connection().ExecuteScript("UPDATE dkim_keys SET private_key = 'x'").status());
  CHECK(world.CodeOf(world.alice, "alice@a.example") == Code::kUnavailable);
}

TEST_CASE("Without a database nothing is signed, and mail is still verified",
          "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  const std::string fields = Must(world.Sign(world.alice, "alice@a.example"));
  testing::ScratchDatabase::StopCluster();
  // Keys that were read before are no licence.
  CHECK(world.CodeOf(world.alice, "alice@a.example") == Code::kUnavailable);
  CHECK(world.Passing(fields + kMessage) == Chunks{"s1"});
  testing::ScratchDatabase::StartCluster();
  Code code = Code::kUnavailable;
  for (int i = 0; i < 100 && code == Code::kUnavailable; ++i) {
    code = world.CodeOf(world.alice, "alice@a.example");
    if (code != Code::kOk) absl::SleepFor(absl::Milliseconds(50));
  }
  CHECK(code == Code::kOk);
}

// A client that opens calls and leaves them open.
base::Task<bool> HoldAndSign(World* world, int held) {
  using Stream = rpc::ClientStream<pb::SignRequest, pb::SignResponse>;
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < held; ++i) {
    streams.push_back(Stream::Open(world->StubOf("submission"), &AsyncVerifier::Sign, {}));
    (void)co_await streams.back()->Write(Context(world->alice, "alice@a.example"));
  }
  std::vector<pb::SignRequest> requests;
  requests.push_back(Context(world->alice, "alice@a.example"));
  auto response = co_await Send(world->StubOf("submission"), requests);
  co_return response.status().code() == Code::kResourceExhausted;
}

TEST_CASE("Above the bound a message is refused", "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  // The held calls reach the service some time after their first write.
  bool refused = false;
  for (int i = 0; i < 50 && !refused; ++i) refused = base::RunBlocking(HoldAndSign(&world, 4));
  CHECK(refused);
}

// A client that verifies as many messages as it may, does not end one, and asks for a signature.
base::Task<absl::Status> SignWhileVerifying(World* world, int held) {
  using Stream = rpc::ClientStream<pb::VerifyRequest, pb::VerifyResponse>;
  std::vector<std::unique_ptr<Stream>> streams;
  pb::VerifyRequest envelope;
  envelope.mutable_envelope()->set_client_ip("\x7f\0\0\1", 4);
  // The held calls have reached the service when one more is refused; until then that one may have
  // taken the place of one of them.
  for (bool full = false; !full;) {
    do {
      streams.push_back(Stream::Open(world->StubOf("smtp-ingress"), &AsyncVerifier::Verify, {}));
      (void)co_await streams.back()->Write(envelope);
    } while (std::ssize(streams) < held);
    auto more = co_await SendToVerify(world->StubOf("smtp-ingress"), kMessage);
    full = more.status().code() == Code::kResourceExhausted;
  }
  std::vector<pb::SignRequest> requests = {Context(world->alice, "alice@a.example")};
  requests.back().set_data(kMessage);
  auto response = co_await Send(world->StubOf("submission"), requests);
  co_return response.status();
}

// One bound stood for both: clients on port 25 that sent an octet a minute stopped all outgoing
// mail, which is not sent unsigned.
TEST_CASE("Messages that come in slowly do not keep others from being signed",
          "[auth-verifier][integration]") {
  World world;
  world.AddKey("a.example", "s1");
  MustOk(base::RunBlocking(SignWhileVerifying(&world, 4)));
}

TEST_CASE("The daemon starts while its database is away", "[auth-verifier][integration]") {
  testing::CertificateAuthority authority(testing::MakeScratchFolder());
  const auto leaf = authority.Issue({.names = {"auth-verifier"}});
  Config config;
  config.mutable_rpc()->set_listen("127.0.0.1:0");
  config.mutable_rpc_tls()->set_ca_file(authority.ca_file());
  config.mutable_rpc_tls()->set_certificate_file(leaf.chain_file);
  config.mutable_rpc_tls()->set_key_file(leaf.key_file);
  config.mutable_dns()->add_servers("127.0.0.1:9");
  config.mutable_dns()->mutable_timeout()->set_seconds(1);
  config.mutable_dns()->set_attempts(1);
  config.mutable_dns()->set_cache_entries(100);
  config.mutable_limits()->set_threads(1);
  config.mutable_limits()->mutable_message_time()->set_seconds(60);
  config.mutable_database()->set_threads(1);
  config.mutable_database()->mutable_queue_timeout()->set_seconds(5);
  config.mutable_database()->mutable_statement_timeout()->set_seconds(5);
  runtime::Context context;
  SECTION("away") {
    config.mutable_database()->set_conninfo("host=/nonexistent dbname=godwit");
    Server server(config, &context);
    CHECK(server.Start().ok());
    CHECK(server.port() != 0);
    server.Drain(absl::ZeroDuration());
  }
  SECTION("too old") {
    const testing::ScratchDatabase database(testing::Durability::kFast, testing::Schema::kEmpty);
    config.mutable_database()->set_conninfo(database.ConnInfo());
    Server server(config, &context);
    CHECK(server.Start().code() == Code::kFailedPrecondition);
  }
}

}  // namespace
}  // namespace godwit::auth_verifier
