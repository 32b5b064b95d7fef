#pragma once

// QueueFixture: the whole daemon in this process, for component tests: a PostgreSQL of its own, a
// tls-policy that says what the test tells it, mail servers (test_mx.h), and a caller of Enqueue.

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
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
#include "libs/testing/certificates.h"
#include "libs/testing/scratch_database.h"
#include "proto/godwit/delivery_queue/v1/delivery_queue.grpc.pb.h"
#include "proto/godwit/tls_policy/v1/tls_policy.grpc.pb.h"
#include "services/delivery-queue/server.h"
#include "services/delivery-queue/test_mx.h"

namespace godwit::delivery_queue {

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) FAIL(base::ToString(result.status()));
  return *std::move(result);
}
inline void MustOk(const absl::Status& status) {
  if (!status.ok()) FAIL(base::ToString(status));
}

class ScriptedPolicy : public tls_policy::v1::TlsPolicy::CallbackService {
 public:
  explicit ScriptedPolicy(base::Executor* executor) : executor_(executor) {}
  grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* context,
                                    const tls_policy::v1::ResolveRequest* in,
                                    tls_policy::v1::ResolveResponse* out) override;
  grpc::ServerUnaryReactor* Record(grpc::CallbackServerContext* context,
                                   const tls_policy::v1::RecordRequest* in,
                                   tls_policy::v1::RecordResponse* out) override;

  // One host "mx.DOMAIN" on 127.0.0.1 for every domain without an answer of its own.
  void Answer(const std::string& domain, const tls_policy::v1::ResolveResponse& answer);
  std::vector<tls_policy::v1::TlsOutcome> outcomes() const;
  static tls_policy::v1::ResolveResponse OneHost(
      const std::string& name,
      tls_policy::v1::Requirement requirement = tls_policy::v1::REQUIREMENT_OPPORTUNISTIC);
  // Hosts at 127.0.0.1, 127.0.0.2, ..., by preference.
  static tls_policy::v1::ResolveResponse Hosts(const std::vector<std::string>& names);

  std::atomic<int> busy{0};      // so many calls of Resolve are refused
  std::atomic<int> resolves{0};  // calls of it

 private:
  base::Executor* const executor_;
  mutable std::mutex mutex_;
  std::map<std::string, tls_policy::v1::ResolveResponse> answers_;
  std::vector<tls_policy::v1::TlsOutcome> outcomes_;
};

class QueueFixture {
 public:
  QueueFixture();
  ~QueueFixture();

  // Starts the daemon: mail for other domains goes to `port` of each host, mail for y.example to
  // the internal server. `more` is YAML at the top level, `outbound` ends that section.
  void Start(uint16_t port, const std::string& more = "", const std::string& outbound = "");
  void StartSmarthost(uint16_t port);
  void StartCapture(const std::string& more = "");
  // A second replica of the daemon.
  std::unique_ptr<Server> StartAnother(const std::string& more = "");
  // Drains it, as SIGTERM does.
  void Stop();

  struct Mail {
    std::string from = "alice@y.example";
    std::vector<std::string> to = {"bob@x.example"};
    std::string key = "";  // "" a new one
    std::string body = "Hello.\r\n";
    std::string header = "Subject: test\r\nFrom: alice@y.example\r\n\r\n";
    uint32_t notify = 0;
    bool requiretls = false;
    bool smtputf8 = false;
    delivery_queue::v1::Origin origin = delivery_queue::v1::ORIGIN_SUBMISSION;
    std::string orcpt = "";
    delivery_queue::v1::Ret ret = delivery_queue::v1::RET_UNSPECIFIED;
    std::string envid = "";
  };
  absl::StatusOr<delivery_queue::v1::EnqueueResponse> Enqueue(
      const Mail& mail, const std::string& caller = "submission");
  // In one request each, without a check of anything.
  absl::StatusOr<delivery_queue::v1::EnqueueResponse> Call(
      const std::vector<delivery_queue::v1::EnqueueRequest>& requests, const std::string& caller);
  std::unique_ptr<delivery_queue::v1::DeliveryQueue::Stub> Stub(const std::string& caller);

  // A client's or server's context with a certificate of that name.
  std::shared_ptr<net::TlsContext> ServerTls(const std::string& name, bool mutual = false);
  std::string CountMessages() { return database.Ask("SELECT count(*) FROM queue_messages"); }
  // Until the queue has so many messages; false after ten seconds.
  bool WaitForMessages(int count);
  // Until a query gives that; false after ten seconds.
  bool WaitFor(const std::string& sql, const std::string& value);
  void CheckQueue();

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  store::AccountId alice;
  testing::CertificateAuthority authority;
  base::RunLoop loop;
  std::thread thread;
  ScriptedPolicy policy;
  runtime::Context context;
  std::unique_ptr<TestMx> internal;
  std::unique_ptr<Server> server;
  std::string folder;

 private:
  std::unique_ptr<Server> StartWith(const std::string& outbound, const std::string& more);

  std::map<std::string, testing::LeafFiles> leaves_;
  std::unique_ptr<rpc::Server> policy_server_;
  std::string outbound_;
  int next_key_ = 0;
};

}  // namespace godwit::delivery_queue
