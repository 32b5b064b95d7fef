// tls-policy as its caller sees it: over mutual TLS, with a real PostgreSQL and its own role.

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>

#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "libs/testing/certificates.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_resolver.h"
#include "libs/testing/scratch_database.h"
#include "proto/godwit/tls_policy/v1/tls_policy.grpc.pb.h"
#include "services/tls-policy/rpc_service.h"

namespace godwit::tls_policy {
namespace {

namespace pb = ::godwit::tls_policy::v1;
using AsyncPolicy = pb::TlsPolicy::StubInterface::async_interface;
using Code = absl::StatusCode;

constexpr char kZone[] = R"(
  x.example               300 MX   10 m.x.example
  m.x.example             300 A    192.0.2.1
  m.x.example             300 AAAA 2001:db8::1
  _25._tcp.m.x.example    300 TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  x.example               SIGNED
  xn--bcher-kva.example   A    192.0.2.2
  null.example            MX   0 .
  broken.example          TEMPFAIL
)";

class World {
 public:
  World() {
    RpcParts parts;
    parts.resolution = {.cached = &resolver_,
                        .uncached = &resolver_,
                        .sts = &sts_,
                        .clock = &clock_,
                        .random = base::RandomSource::System()};
    parts.outcomes = &outcomes;
    parts.executors = &executors_;
    parts.metrics = &metrics_;
    service_ = NewRpcService(parts);
    rpc::ServerOptions options;
    options.address = "127.0.0.1:0";
    options.tls = FilesOf("tls-policy");
    options.callers = Callers();
    server_ = rpc::Server::Start(std::move(options), {service_.get()}).value();
  }
  ~World() {
    server_->Shutdown(absl::ZeroDuration());
    executors_.Stop();
  }

  rpc::TlsFiles FilesOf(const std::string& daemon) {
    const auto leaf = authority_.Issue({.names = {daemon}});
    return {authority_.ca_file(), leaf.chain_file, leaf.key_file};
  }
  pb::TlsPolicy::Stub* StubOf(const std::string& daemon) {
    auto& stub = stubs_[daemon];
    if (stub != nullptr) return stub.get();
    rpc::ChannelOptions options;
    options.target = "127.0.0.1:" + std::to_string(server_->port());
    options.daemon = "tls-policy";
    options.tls = FilesOf(daemon);
    stub = pb::TlsPolicy::NewStub(rpc::Connect(options).value());
    return stub.get();
  }
  absl::StatusOr<pb::ResolveResponse> Ask(const std::string& domain,
                                          const std::string& daemon = "delivery-queue") {
    pb::ResolveRequest request;
    request.set_domain(domain);
    return base::RunBlocking(
        rpc::Call<pb::TlsPolicy::Stub, AsyncPolicy, pb::ResolveRequest, pb::ResolveResponse>(
            StubOf(daemon), &AsyncPolicy::Resolve, request, {}));
  }
  Code Record(const pb::RecordRequest& request, const std::string& daemon = "delivery-queue") {
    return base::RunBlocking(
               rpc::Call<pb::TlsPolicy::Stub, AsyncPolicy, pb::RecordRequest, pb::RecordResponse>(
                   StubOf(daemon), &AsyncPolicy::Record, request, {}))
        .status()
        .code();
  }

  testing::ScratchDatabase database;

 private:
  testing::CertificateAuthority authority_{testing::MakeScratchFolder()};
  db::Pool pool_{database.PoolOptions(2, "godwit_tls_policy")};
  testing::FakeResolver resolver_{kZone};
  testing::FakeClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  Metrics metrics_;
  net::ReactorPool executors_{{.threads = 1, .reactor = {}}};
  std::unique_ptr<StsFetcher> fetcher_ =
      StsFetcher::Create({.ca_file = authority_.ca_file()}, &resolver_).value();
  StsCache sts_{{}, fetcher_.get(), &pool_, &clock_, &metrics_};

 public:
  Outcomes outcomes{&pool_, &metrics_, 1000};

 private:
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> server_;
  std::map<std::string, std::unique_ptr<pb::TlsPolicy::Stub>> stubs_;
};

TEST_CASE("Resolve tells all that a caller has to obey", "[tls_policy][integration]") {
  World world;
  const auto answer = world.Ask("X.Example.");
  REQUIRE(answer.ok());
  CHECK(answer->outcome() == pb::OUTCOME_OK);
  CHECK(answer->domain() == "x.example");
  CHECK(answer->mx_authentic());
  CHECK(answer->valid_seconds() > 0);
  REQUIRE(answer->hosts_size() == 1);
  const pb::Host& host = answer->hosts(0);
  CHECK(host.name() == "m.x.example");
  CHECK(host.preference() == 10);
  CHECK(host.addresses_size() == 2);
  CHECK(host.addresses(0).size() == 16);
  CHECK(host.addresses(1) == std::string("\xc0\0\2\1", 4));
  CHECK(host.requirement() == pb::REQUIREMENT_DANE);
  CHECK(host.tlsa_status() == pb::TLSA_STATUS_SECURE);
  REQUIRE(host.tlsa_size() == 1);
  CHECK(host.tlsa(0).usage() == 3);
  CHECK(host.tlsa(0).data() == std::string(32, '\xaa'));
  CHECK(host.tlsa_base() == "m.x.example");
  CHECK(host.tls_names_size() == 2);
  CHECK(host.report().type() == pb::POLICY_TYPE_TLSA);
  CHECK(!answer->has_mta_sts());

  CHECK(world.Ask("bücher.example")->hosts(0).name() == "xn--bcher-kva.example");
  CHECK(world.Ask("null.example")->outcome() == pb::OUTCOME_NULL_MX);
  CHECK(world.Ask("none.example")->outcome() == pb::OUTCOME_NO_DOMAIN);
  CHECK(world.Ask("broken.example")->outcome() == pb::OUTCOME_TEMPORARY);
  CHECK(!world.Ask("broken.example")->reason().empty());
}

TEST_CASE("What is no domain is refused before it is asked", "[tls_policy][integration]") {
  World world;
  for (const char* domain : {"", ".", "a..b", "a/b", "a b.example", "[192.0.2.1]", "a:25"}) {
    CAPTURE(domain);
    CHECK(world.Ask(domain).status().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("Only delivery-queue may call", "[tls_policy][integration]") {
  World world;
  for (const char* daemon : {"smtp-ingress", "submission", "imap-gateway", "auth-verifier",
                             "tls-policy", "webmail-api", "acme"}) {
    CAPTURE(daemon);
    CHECK(world.Ask("x.example", daemon).status().code() == Code::kUnauthenticated);
    CHECK(world.Record({}, daemon) == Code::kUnauthenticated);
  }
}

TEST_CASE("Record takes what Resolve gave, and nothing that is no outcome",
          "[tls_policy][integration]") {
  World world;
  pb::RecordRequest request;
  pb::TlsOutcome* outcome = request.add_outcomes();
  *outcome->mutable_policy() = world.Ask("x.example")->hosts(0).report();
  outcome->set_result(pb::RESULT_TYPE_VALIDATION_FAILURE);
  outcome->set_mx_host("m.x.example");
  outcome->set_receiving_ip(std::string("\xc0\0\2\1", 4));
  outcome->set_reason(std::string("no\0text", 7));  // no NUL reaches the database
  // A host that says octets in EHLO which are no text must not make the whole call fail.
  outcome->set_mx_helo("\xff\xfe");
  CHECK(world.Record(request) == Code::kOk);
  // That the policy could not be fetched is counted beside what the session did.
  outcome->mutable_policy()->set_type(pb::POLICY_TYPE_STS);
  outcome->mutable_policy()->set_policy_failure(pb::RESULT_TYPE_STS_POLICY_FETCH_ERROR);
  outcome->set_result(pb::RESULT_TYPE_SUCCESS);
  CHECK(world.Record(request) == Code::kOk);
  CHECK(base::RunBlocking(world.outcomes.Flush()).ok());
  CHECK(
      world.database.Ask("SELECT string_agg(p.policy_type || ':' || o.result || ':' || o.sessions, "
                         "' ' ORDER BY 1) FROM tls_outcomes o JOIN tls_policies_seen p "
                         "USING (day, domain, policy_key)") != "");
  CHECK(world.database.Ask("SELECT count(*) FROM tls_outcomes") == "3");
  CHECK(world.database.Ask("SELECT policy[1] FROM tls_policies_seen WHERE policy_type = 3") ==
        "3 1 1 " + std::string(64, 'a'));

  outcome->set_receiving_ip("abc");
  CHECK(world.Record(request) == Code::kInvalidArgument);
  outcome->clear_receiving_ip();
  outcome->clear_result();
  CHECK(world.Record(request) == Code::kInvalidArgument);
  outcome->set_result(pb::RESULT_TYPE_SUCCESS);
  outcome->mutable_policy()->clear_domain();
  CHECK(world.Record(request) == Code::kInvalidArgument);
}

}  // namespace
}  // namespace godwit::tls_policy
