#pragma once

// SubmissionFixture: the whole daemon in this process, for component tests: a PostgreSQL of its
// own, an auth-verifier and a delivery-queue that say what the test tells them over real mutual
// TLS, and accounts alice and bob at y.example with the password "secret".

#include <grpcpp/server_context.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "libs/base/executor.h"
#include "libs/base/status.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "libs/store/admin.h"
#include "libs/testing/certificates.h"
#include "libs/testing/must.h"
#include "libs/testing/scratch_database.h"
#include "libs/testing/smtp_client.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"
#include "proto/godwit/delivery_queue/v1/delivery_queue.grpc.pb.h"
#include "services/submission/server.h"

namespace godwit::submission {

using testing::Must;
using testing::MustOk;
using testing::SmtpClient;

// Remembers what it was asked to sign and answers `response`, or fails.
class ScriptedSigner : public auth_verifier::v1::AuthVerifier::CallbackService {
 public:
  explicit ScriptedSigner(base::Executor* executor) : executor_(executor) {}

  grpc::ServerReadReactor<auth_verifier::v1::SignRequest>* Sign(
      grpc::CallbackServerContext* context, auth_verifier::v1::SignResponse* out) override;

  // Set before a message, read after its answer.
  auth_verifier::v1::SignResponse response;
  absl::Status failure;
  auth_verifier::v1::SignContext context;
  std::string data;
  std::atomic<int> calls{0};

 private:
  base::Executor* const executor_;
};

// Remembers what was enqueued and answers with the next number, or fails.
class ScriptedQueue : public delivery_queue::v1::DeliveryQueue::CallbackService {
 public:
  explicit ScriptedQueue(base::Executor* executor) : executor_(executor) {}

  grpc::ServerReadReactor<delivery_queue::v1::EnqueueRequest>* Enqueue(
      grpc::CallbackServerContext* context, delivery_queue::v1::EnqueueResponse* out) override;

  absl::Status failure;
  int failures = 1000;  // so many calls fail with it
  delivery_queue::v1::Submission submission;
  std::string header;
  std::string body;
  std::atomic<int> calls{0};
  int hang = 0;  // so many calls have no answer until `release`
  std::array<base::Completion<bool>, 8> release;

 private:
  base::Executor* const executor_;
};

class SubmissionFixture {
 public:
  SubmissionFixture();
  ~SubmissionFixture();

  // Starts the daemon with lines added to its configuration (YAML, at the top level).
  void Start(const std::string& more_config = "");
  void StopSigner() { signer_server_.reset(); }
  void StartSigner();
  void StopQueue() { queue_server_.reset(); }
  void StartQueue();

  // To port 587, greeted, inside TLS, and said EHLO.
  std::unique_ptr<SmtpClient> Connect();
  // The same, and logged in.
  std::unique_ptr<SmtpClient> LogIn(const std::string& user = "alice@y.example");
  std::shared_ptr<net::TlsContext> ClientTls();

  store::AccountId AddAccount(const std::string& address);
  void AddCredential(store::AccountId account, const std::string& name, const std::string& password,
                     store::ScopeMask scopes);

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  testing::CertificateAuthority authority;
  testing::LeafFiles public_leaf;
  store::AccountId alice;
  store::AccountId bob;
  base::RunLoop loop;
  std::thread thread;
  ScriptedSigner signer;
  ScriptedQueue queue;
  runtime::Context context;
  std::unique_ptr<Server> server;
  std::string deadline = "5s";  // of both daemons
  std::string listeners =
      "[{listen: \"127.0.0.1:0\"}, {listen: \"127.0.0.1:0\", implicit_tls: true}]";

 private:
  std::string BaseConfig() const;

  testing::LeafFiles own_leaf_;
  testing::LeafFiles signer_leaf_;
  testing::LeafFiles queue_leaf_;
  std::unique_ptr<rpc::Server> signer_server_;
  std::unique_ptr<rpc::Server> queue_server_;
  uint16_t signer_port_ = 0;
  uint16_t queue_port_ = 0;
};

// "\0user\0password" in base 64, for AUTH PLAIN.
std::string PlainMessage(const std::string& user, const std::string& password);

}  // namespace godwit::submission
