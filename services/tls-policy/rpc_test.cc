// tls-policy as its caller sees it: over mutual TLS, with a real PostgreSQL and its own role.

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>

#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/report_file/pack.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "libs/store/admin.h"
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
    parts.intake = &intake_;
    parts.executors = &executors_;
    parts.metrics = &metrics_;
    service_ = NewRpcService(parts);
    rpc::ServerOptions options;
    options.address = "127.0.0.1:0";
    options.tls = FilesOf("tls-policy");
    options.callers = Callers();
    server_ = rpc::Server::Start(std::move(options), {service_.get()}).value();
    for (const char* result : {"stored", "duplicate", "refused", "failed"}) {
      before_[result] = Counted(result);
    }
    for (const char* result : {"success", "failure"}) before_[result] = Told(result);
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

  absl::StatusOr<pb::StoreReportResponse> StoreReport(const pb::StoreReportRequest& request,
                                                      const std::string& daemon = "auth-verifier") {
    return base::RunBlocking(
        rpc::Call<pb::TlsPolicy::Stub, AsyncPolicy, pb::StoreReportRequest,
                  pb::StoreReportResponse>(StubOf(daemon), &AsyncPolicy::StoreReport, request, {}));
  }
  // What is wrong with it; "" when it was stored.
  std::string Problem(const pb::StoreReportRequest& request) {
    const auto response = StoreReport(request);
    if (!response.ok()) return base::ToString(response.status());
    CHECK(response->stored() == response->problem().empty());
    return response->problem();
  }
  // Since this world began: metrics are the process's.
  double Reports(const std::string& result) { return Counted(result) - before_[result]; }
  double Sessions(const std::string& result) { return Told(result) - before_[result]; }

  testing::ScratchDatabase database;

 private:
  double Counted(const std::string& result) { return metrics_.reports.At({result}).value(); }
  double Told(const std::string& result) { return metrics_.reported_sessions.At({result}).value(); }

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
  ReportIntake intake_{{.at_once = 2, .reports_a_day = 3}, &pool_, &clock_, &metrics_};
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> server_;
  std::map<std::string, double> before_;
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

TEST_CASE("Only delivery-queue may ask and count, only auth-verifier bring reports",
          "[tls_policy][integration]") {
  World world;
  for (const char* daemon : {"smtp-ingress", "submission", "imap-gateway", "auth-verifier",
                             "tls-policy", "webmail-api", "acme"}) {
    CAPTURE(daemon);
    CHECK(world.Ask("x.example", daemon).status().code() == Code::kUnauthenticated);
    CHECK(world.Record({}, daemon) == Code::kUnauthenticated);
    if (std::string(daemon) == "auth-verifier") continue;
    CHECK(world.StoreReport({}, daemon).status().code() == Code::kUnauthenticated);
  }
  CHECK(world.StoreReport({}, "delivery-queue").status().code() == Code::kUnauthenticated);
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

// Of the day before the clock's, about `domain`.
std::string ReportAbout(const std::string& domain, const std::string& id = "1") {
  return R"({"organization-name":"X","contact-info":"r@x.example","report-id":")" + id +
         R"(","date-range":{"start-datetime":"2026-09-20T00:00:00Z",)"
         R"("end-datetime":"2026-09-20T23:59:59Z"},"policies":[{"policy":{"policy-type":"sts",)"
         R"("policy-domain":")" +
         domain +
         R"("},"summary":{"total-successful-session-count":5,"total-failure-session-count":2},)"
         R"("failure-details":[{"result-type":"certificate-expired","failed-session-count":2,)"
         R"("sending-mta-ip":"192.0.2.1"}]}]})";
}

pb::StoreReportRequest Given(std::string file) {
  pb::StoreReportRequest request;
  request.set_file(std::move(file));
  request.add_signers("x.example");
  request.set_submitter("x.example");
  return request;
}

std::string Replace(std::string text, std::string_view from, std::string_view to) {
  REQUIRE(text.find(from) != text.npos);
  return text.replace(text.find(from), from.size(), to);
}

TEST_CASE("RFC 8460: a TLS report that comes is kept, once", "[tls_policy][integration]") {
  World world;
  const auto connection = world.database.Connect();
  REQUIRE(store::AddDomain(*connection, "b.example", absl::FromUnixSeconds(1'790'000'000)).ok());
  const std::string report = ReportAbout("B.example");
  CHECK(world.Problem(Given(report)).empty());
  CHECK(world.Problem(Given(report_file::Gzip(report))).empty());  // it came twice
  CHECK(world.Problem(Given(ReportAbout("mx.b.example", "2"))).empty());
  CHECK(world.database.Ask("SELECT string_agg(domain || ' ' || reporter || ' ' || report_id || ' ' "
                           "|| successful || ' ' || failed, ', ' ORDER BY report_id) "
                           "FROM tls_reports") ==
        "b.example x.example 1 5 2, mx.b.example x.example 2 5 2");
  CHECK(world.database.Ask("SELECT string_agg(result_type || ' ' || sessions, ', ') "
                           "FROM tls_report_failures WHERE sending_ip = '\\xc0000201'") ==
        "certificate-expired 2, certificate-expired 2");
  CHECK((world.Reports("stored") == 2 && world.Reports("duplicate") == 1));
  CHECK((world.Sessions("success") == 10 && world.Sessions("failure") == 4));

  CHECK(world.Problem(Given(ReportAbout("b.example", "3"))).empty());
  CHECK(world.Problem(Given(ReportAbout("b.example", "4"))).empty());
  CHECK(world.Problem(Given(ReportAbout("b.example", "5"))) ==
        "too many reports about b.example in a day");
}

TEST_CASE("RFC 8460 §3, §4: a TLS report that is none, or not theirs, is told as such",
          "[tls_policy][integration]") {
  World world;
  const auto connection = world.database.Connect();
  REQUIRE(store::AddDomain(*connection, "b.example", absl::FromUnixSeconds(1'790'000'000)).ok());
  const std::string good = ReportAbout("b.example");
  pb::StoreReportRequest request = Given(good);
  request.clear_signers();
  CHECK(world.Problem(request) == "no valid DKIM signature of x.example");
  request.add_signers("y.example");
  CHECK(world.Problem(request) == "no valid DKIM signature of x.example");
  CHECK(world.Problem(Given("")).starts_with("JSON: "));
  CHECK(world.Problem(Given(good.substr(0, good.size() - 1))).starts_with("JSON: "));
  CHECK(world.Problem(Given(report_file::Gzip(good).substr(0, 60))) ==
        "the packed data is cut off");
  CHECK(world.Problem(Given("{}")) == "not a TLS report: it has no policies");
  CHECK(world.Problem(Given(ReportAbout("x.example"))) == "x.example is not ours");
  CHECK(world.Problem(Given(ReportAbout("-..-"))) == "the report names no domain");
  CHECK(world.Problem(Given(Replace(good, "2026-09-20T23", "2027-09-20T23"))) ==
        "the report is of the future");
  CHECK(world.Problem(Given(Replace(good, "2026-09-20T00", "2026-06-20T00"))) ==
        "the report is too old");
  // 64 MiB, packed in 64 KiB.
  CHECK(world.Problem(Given(report_file::Gzip(std::string(64 << 20, '[')))) ==
        "unpacks to too much");
  CHECK(world.database.Ask("SELECT count(*) FROM tls_reports") == "0");
  CHECK(world.Reports("refused") == 11);
  CHECK(world.Reports("stored") == 0);
  CHECK(world.Reports("failed") == 0);
}

TEST_CASE("A TLS report that can not be stored now is no answer", "[tls_policy][integration]") {
  World world;
  const auto connection = world.database.Connect();
  REQUIRE(connection->ExecuteScript("ALTER TABLE tls_reports RENAME TO gone").ok());
  REQUIRE(store::AddDomain(*connection, "b.example", absl::FromUnixSeconds(1'790'000'000)).ok());
  CHECK(!world.StoreReport(Given(ReportAbout("b.example"))).ok());
  CHECK(world.Reports("failed") == 1);
}

TEST_CASE("Of a very large TLS report the most frequent failures are kept", "[tls_policy][unit]") {
  tlsrpt::Report report;
  report.end = absl::FromUnixSeconds(1'790'000'000);
  report.begin = report.end - absl::Hours(24);
  report.policies.resize(200);
  for (tlsrpt::Policy& policy : report.policies) policy.domain = "b.example";
  tlsrpt::Policy& first = report.policies[0];
  first.text.resize(5000);
  first.successful = int64_t{1} << 52;
  first.failures.resize(5000);
  for (size_t i = 0; i < first.failures.size(); ++i) {
    first.failures[i].sessions = static_cast<int64_t>(i);
  }
  const auto kept = Summarize(report, "x.example", report.end);
  REQUIRE(kept.ok());
  CHECK(kept->policies.size() == 100);
  CHECK(kept->policies[0].text.size() == 100);
  CHECK(kept->policies[0].successful == 1'000'000'000'000);
  REQUIRE(kept->policies[0].failures.size() == 1000);
  CHECK(kept->policies[0].failures.back().sessions == 4000);
}

}  // namespace
}  // namespace godwit::tls_policy
