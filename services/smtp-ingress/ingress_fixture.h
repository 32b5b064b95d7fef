#pragma once

// IngressFixture: the whole daemon in this process, for component tests: a PostgreSQL of its own,
// an auth-verifier that says what the test tells it, certificates, and a gateway that takes hints.

#include <grpcpp/server_context.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "libs/base/executor.h"
#include "libs/base/status.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "libs/store/admin.h"
#include "libs/store/entries.h"
#include "libs/testing/certificates.h"
#include "libs/testing/must.h"
#include "libs/testing/scratch_database.h"
#include "libs/testing/smtp_client.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"
#include "proto/godwit/delivery_queue/v1/delivery_queue.grpc.pb.h"
#include "proto/godwit/hint/v1/hint.grpc.pb.h"
#include "services/smtp-ingress/server.h"

namespace godwit::smtp_ingress {

using testing::Must;
using testing::MustOk;
using testing::SmtpClient;

// Remembers what it was asked and answers `response`, or fails.
class ScriptedVerifier : public auth_verifier::v1::AuthVerifier::CallbackService {
 public:
  explicit ScriptedVerifier(base::Executor* executor) : executor_(executor) {}

  grpc::ServerReadReactor<auth_verifier::v1::VerifyRequest>* Verify(
      grpc::CallbackServerContext* context, auth_verifier::v1::VerifyResponse* out) override;
  grpc::ServerUnaryReactor* VerifyWhole(grpc::CallbackServerContext* context,
                                        const auth_verifier::v1::VerifyRequest* in,
                                        auth_verifier::v1::VerifyResponse* out) override;
  grpc::ServerUnaryReactor* Record(grpc::CallbackServerContext* context,
                                   const auth_verifier::v1::RecordRequest* in,
                                   auth_verifier::v1::RecordResponse* out) override;
  grpc::ServerReadReactor<auth_verifier::v1::SealRequest>* Seal(
      grpc::CallbackServerContext* context, auth_verifier::v1::SealResponse* out) override;
  // Everything that Record was told, once there are `count`.
  std::vector<auth_verifier::v1::RecordedMessage> AwaitRecorded(size_t count);

  bool keep = true;  // of messages what is sent
  // Set before a message, read after its answer.
  auth_verifier::v1::VerifyResponse response;
  absl::Status failure;
  auth_verifier::v1::Envelope envelope;
  std::string data;
  std::atomic<int> begun{0};
  bool hang = false;  // no answer until `release`
  base::Completion<bool> release;
  auth_verifier::v1::SealResponse seal;  // of Seal; empty: "not sealed"
  absl::Status seal_failure;
  std::vector<auth_verifier::v1::SealContext> seal_contexts;
  std::string seal_data;               // of the last one
  std::atomic<int> refuse_records{0};  // so many calls are answered with Unavailable

 private:
  std::mutex mutex_;
  std::condition_variable recorded_more_;
  std::vector<auth_verifier::v1::RecordedMessage> recorded_;
  base::Executor* const executor_;
};

// Remembers what was enqueued, or fails.
class ScriptedQueue : public delivery_queue::v1::DeliveryQueue::CallbackService {
 public:
  explicit ScriptedQueue(base::Executor* executor) : executor_(executor) {}
  grpc::ServerReadReactor<delivery_queue::v1::EnqueueRequest>* Enqueue(
      grpc::CallbackServerContext* context, delivery_queue::v1::EnqueueResponse* out) override;

  struct Taken {
    delivery_queue::v1::Submission submission;
    std::string header;
    std::string body;
  };

  // Set before a message, read after its answer.
  absl::Status failure;
  int failures = 1000;       // so many calls fail with it
  std::vector<Taken> taken;  // whatever was answered
  std::atomic<int> calls{0};

 private:
  base::Executor* const executor_;
};

class ScriptedGateway : public hint::v1::Hints::CallbackService {
 public:
  explicit ScriptedGateway(base::Executor* executor) : executor_(executor) {}
  grpc::ServerUnaryReactor* Hint(grpc::CallbackServerContext* context,
                                 const hint::v1::HintRequest* in,
                                 hint::v1::HintResponse* out) override;
  std::atomic<int64_t> last_account{0};
  std::atomic<int64_t> last_modseq{0};

 private:
  base::Executor* const executor_;
};

class IngressFixture {
 public:
  IngressFixture();
  ~IngressFixture();

  // Starts the daemon with lines added to its configuration (YAML, at the top level).
  void Start(const std::string& more_config = "") { MustOk(TryStart(more_config)); }
  absl::Status TryStart(const std::string& more_config);
  void StopVerifier() { verifier_server_.reset(); }
  void StartVerifier();
  // Its address, for the configuration: "delivery_queue: {target: ...}\n"; `more` is in it, too.
  std::string StartQueue(const std::string& more = "");

  SmtpClient Connect() { return SmtpClient(server->endpoints().at(0)); }
  net::Endpoint internal_endpoint() const { return server->endpoints().back(); }
  // A client context that trusts our authority, with a certificate of that name ("" none).
  std::shared_ptr<net::TlsContext> ClientTls(const std::string& name = "");

  store::AccountId AddAccount(const std::string& address);
  // The whole text of the only message in that mailbox of the account; fails with another number.
  std::string OnlyMessage(store::AccountId account, const std::string& mailbox = "INBOX");
  // Emails in all of the database.
  std::string CountEmails() const { return database.Ask("SELECT count(*) FROM emails"); }
  void CheckStore();

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  store::AccountId alice;
  store::AccountId bob;
  testing::CertificateAuthority authority;
  testing::LeafFiles public_leaf;
  base::RunLoop loop;
  std::thread thread;
  ScriptedVerifier verifier;
  ScriptedGateway gateway;
  ScriptedQueue queue;
  runtime::Context context;
  std::unique_ptr<Server> server;
  uint16_t gateway_port = 0;
  std::string verify_deadline = "5s";
  std::string recipient_cache = "0s";  // tests change the directory between two RCPT
  std::string listener = "{listen: \"127.0.0.1:0\"}";  // of the configuration

 private:
  std::string BaseConfig() const;

  testing::LeafFiles verifier_leaf_;
  testing::LeafFiles ingress_leaf_;
  std::unique_ptr<rpc::Server> verifier_server_;
  std::unique_ptr<rpc::Server> gateway_server_;
  std::unique_ptr<rpc::Server> queue_server_;
  uint16_t verifier_port_ = 0;
};

}  // namespace godwit::smtp_ingress
