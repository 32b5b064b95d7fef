#include "services/tls-policy/rpc_service.h"

#include <atomic>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/obs/log.h"
#include "libs/rpc/serve.h"
#include "proto/godwit/tls_policy/v1/tls_policy.grpc.pb.h"

namespace godwit::tls_policy {
namespace {

namespace pb = ::godwit::tls_policy::v1;

constexpr int kMostOutcomes = 1000;
// Of texts that end in a report.
constexpr size_t kMostText = 200;

static_assert(static_cast<int>(Requirement::kUnusable) == pb::REQUIREMENT_UNUSABLE);
static_assert(static_cast<int>(Requirement::kDane) == pb::REQUIREMENT_DANE);
static_assert(static_cast<int>(Requirement::kMtaSts) == pb::REQUIREMENT_MTA_STS);
static_assert(static_cast<int>(Requirement::kEncrypt) == pb::REQUIREMENT_ENCRYPT);
static_assert(static_cast<int>(PolicyType::kTlsa) == pb::POLICY_TYPE_TLSA);
static_assert(static_cast<int>(PolicyType::kSts) == pb::POLICY_TYPE_STS);
static_assert(static_cast<int>(TlsResult::kSuccess) == pb::RESULT_TYPE_SUCCESS);
static_assert(static_cast<int>(TlsResult::kValidationFailure) ==
              pb::RESULT_TYPE_VALIDATION_FAILURE);
static_assert(static_cast<int>(TlsResult::kStsWebPkiInvalid) == pb::RESULT_TYPE_STS_WEBPKI_INVALID);

std::string_view Label(Route::Outcome outcome) {
  switch (outcome) {
    case Route::Outcome::kOk: return "ok";
    case Route::Outcome::kNullMx: return "null_mx";
    case Route::Outcome::kNoDomain: return "no_domain";
    case Route::Outcome::kTemporary: return "temporary";
  }
  return "";
}

std::string_view Label(Requirement requirement) {
  switch (requirement) {
    case Requirement::kOpportunistic: return "opportunistic";
    case Requirement::kEncrypt: return "encrypt";
    case Requirement::kMtaSts: return "mta_sts";
    case Requirement::kDane: return "dane";
    case Requirement::kUnusable: return "unusable";
  }
  return "";
}

pb::Outcome ToProto(Route::Outcome outcome) {
  switch (outcome) {
    case Route::Outcome::kOk: return pb::OUTCOME_OK;
    case Route::Outcome::kNullMx: return pb::OUTCOME_NULL_MX;
    case Route::Outcome::kNoDomain: return pb::OUTCOME_NO_DOMAIN;
    case Route::Outcome::kTemporary: return pb::OUTCOME_TEMPORARY;
  }
  return pb::OUTCOME_UNSPECIFIED;
}

pb::TlsaStatus ToProto(TlsaStatus status) {
  switch (status) {
    case TlsaStatus::kNone: return pb::TLSA_STATUS_NONE;
    case TlsaStatus::kSecure: return pb::TLSA_STATUS_SECURE;
    case TlsaStatus::kUnusable: return pb::TLSA_STATUS_UNUSABLE;
    case TlsaStatus::kTempFail: return pb::TLSA_STATUS_TEMPFAIL;
  }
  return pb::TLSA_STATUS_UNSPECIFIED;
}

pb::MtaStsPolicy::Mode ToProto(mtasts::Mode mode) {
  switch (mode) {
    case mtasts::Mode::kNone: return pb::MtaStsPolicy::MODE_NONE;
    case mtasts::Mode::kTesting: return pb::MtaStsPolicy::MODE_TESTING;
    case mtasts::Mode::kEnforce: return pb::MtaStsPolicy::MODE_ENFORCE;
  }
  return pb::MtaStsPolicy::MODE_UNSPECIFIED;
}

void Fill(const ReportPolicy& from, pb::ReportPolicy* to) {
  to->set_type(static_cast<pb::PolicyType>(from.type));
  to->set_domain(from.domain);
  for (const std::string& line : from.policy) to->add_policy(line);
  for (const std::string& pattern : from.mx_patterns) to->add_mx_patterns(pattern);
  to->set_policy_failure(static_cast<pb::ResultType>(from.failure));
}

void Fill(const RouteHost& host, pb::Host* to) {
  to->set_name(host.name);
  to->set_preference(host.preference);
  for (const base::IpAddress& address : host.addresses) {
    to->add_addresses(std::string(address.bytes()));
  }
  to->set_mx_secure(host.mx_secure);
  to->set_address_secure(host.address_secure);
  to->set_tlsa_status(ToProto(host.tlsa_status));
  for (const base::DnsTlsa& record : host.tlsa) {
    pb::Tlsa* tlsa = to->add_tlsa();
    tlsa->set_usage(record.usage);
    tlsa->set_selector(record.selector);
    tlsa->set_matching(record.matching);
    tlsa->set_data(record.data);
  }
  to->set_tlsa_base(host.tlsa_base);
  for (const std::string& name : host.tls_names) to->add_tls_names(name);
}

void Fill(const HostDecision& decision, pb::Host* to) {
  to->set_requirement(static_cast<pb::Requirement>(decision.requirement));
  to->set_reason(decision.reason);
  to->set_unusable_result(static_cast<pb::ResultType>(decision.unusable_result));
  to->set_mta_sts_matched(decision.mta_sts_matched);
  to->set_mta_sts_testing(decision.mta_sts_testing);
  Fill(decision.report, to->mutable_report());
}

void Fill(const mtasts::CachedPolicy& policy, pb::MtaStsPolicy* to) {
  to->set_mode(ToProto(policy.policy.mode));
  for (const std::string& pattern : policy.policy.mx) to->add_mx(pattern);
  to->set_id(policy.id);
  to->set_expires_unix_seconds(absl::ToUnixSeconds(policy.expires()));
}

void Fill(const Resolution& from, const std::string& domain, pb::ResolveResponse* to) {
  to->set_outcome(ToProto(from.route.outcome));
  to->set_reason(from.route.reason);
  to->set_domain(domain);
  to->set_mx_authentic(from.route.mx_authentic);
  to->set_implicit_mx(from.route.implicit_mx);
  for (size_t i = 0; i < from.route.hosts.size(); ++i) {
    pb::Host* host = to->add_hosts();
    Fill(from.route.hosts[i], host);
    Fill(from.hosts[i], host);
  }
  if (from.sts.policy) Fill(*from.sts.policy, to->mutable_mta_sts());
  to->set_valid_seconds(static_cast<uint32_t>(absl::ToInt64Seconds(from.valid)));
}

// Text of a peer's on its way into the database.
std::string Clean(const std::string& text) {
  std::string cut = text.substr(0, kMostText);
  if (!base::IsUtf8(cut) || cut.find('\0') != std::string::npos) return "";
  return cut;
}

bool IsAddress(const std::string& bytes) {
  return bytes.empty() || bytes.size() == 4 || bytes.size() == 16;
}

store::TlsOutcome FromProto(const pb::TlsOutcome& from, absl::Time now) {
  store::TlsOutcome outcome;
  outcome.at = now;
  outcome.domain = Clean(from.policy().domain());
  outcome.policy_type = from.policy().type();
  for (const auto& line : from.policy().policy()) outcome.policy.push_back(Clean(line));
  for (const auto& each : from.policy().mx_patterns()) outcome.mx_patterns.push_back(Clean(each));
  outcome.result = from.result();
  outcome.mx_host = Clean(from.mx_host());
  outcome.mx_helo = Clean(from.mx_helo());
  outcome.sending_ip = from.sending_ip();
  outcome.receiving_ip = from.receiving_ip();
  outcome.reason = Clean(from.reason());
  outcome.sessions = 1;
  return outcome;
}

bool IsValid(const pb::TlsOutcome& outcome) {
  const auto& policy = outcome.policy();
  return outcome.result() != pb::RESULT_TYPE_UNSPECIFIED &&
         pb::ResultType_IsValid(outcome.result()) && pb::PolicyType_IsValid(policy.type()) &&
         policy.type() != pb::POLICY_TYPE_UNSPECIFIED && !policy.domain().empty() &&
         policy.policy_size() <= 500 && policy.mx_patterns_size() <= 500 &&
         IsAddress(outcome.sending_ip()) && IsAddress(outcome.receiving_ip());
}

class RpcService : public pb::TlsPolicy::CallbackService {
 public:
  explicit RpcService(RpcParts parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* context,
                                    const pb::ResolveRequest* request,
                                    pb::ResolveResponse* response) override {
    return rpc::ServeUnary(context, parts_.executors->Next(),
                           Admit(request, response, rpc::TraceOf(*context)));
  }

  grpc::ServerUnaryReactor* Record(grpc::CallbackServerContext* context,
                                   const pb::RecordRequest* request, pb::RecordResponse*) override {
    return rpc::ServeUnary(context, parts_.executors->Next(), Count(request));
  }

  grpc::ServerUnaryReactor* StoreReport(grpc::CallbackServerContext* context,
                                        const pb::StoreReportRequest* request,
                                        pb::StoreReportResponse* response) override {
    return rpc::ServeUnary(context, parts_.executors->Next(),
                           Keep(request, response, rpc::TraceOf(*context)));
  }

 private:
  // Bounds the calls in work.
  base::Task<absl::Status> Admit(const pb::ResolveRequest* request, pb::ResolveResponse* response,
                                 std::string trace) {
    if (in_progress_.fetch_add(1) >= parts_.concurrent_resolves) {
      in_progress_.fetch_sub(1);
      parts_.metrics->resolves.At({"overload"}).Add();
      co_return base::ResourceExhausted("too many domains at once");
    }
    parts_.metrics->in_progress.Add(1);
    const absl::Duration began = parts_.resolution.clock->Monotonic();
    absl::Status status = co_await DoResolve(request, response, std::move(trace));
    const absl::Duration took = parts_.resolution.clock->Monotonic() - began;
    parts_.metrics->seconds.Observe(absl::ToDoubleSeconds(took));
    parts_.metrics->in_progress.Add(-1);
    in_progress_.fetch_sub(1);
    co_return status;
  }

  base::Task<absl::Status> DoResolve(const pb::ResolveRequest* request,
                                     pb::ResolveResponse* response, std::string trace) {
    const auto domain = idna::ToAscii(request->domain());
    if (!domain || !idna::IsHostName(*domain)) co_return base::InvalidArgument("no domain name");
    if (request->port() > 65535) co_return base::InvalidArgument("no port");
    RouteQuery query;
    query.domain = *domain;
    query.port = static_cast<uint16_t>(request->port() == 0 ? 25 : request->port());
    query.host_only = request->host_only();
    auto resolution =
        co_await tls_policy::Resolve(parts_.resolution, std::move(query), request->fresh());
    if (!resolution.ok()) {
      parts_.metrics->resolves.At({"unavailable"}).Add();
      obs::Log(obs::Level::kWarning, "not resolved",
               {{"trace", trace}, {"domain", *domain}, {"status", resolution.status()}});
      co_return resolution.status();
    }
    parts_.metrics->resolves.At({Label(resolution->route.outcome)}).Add();
    for (const HostDecision& host : resolution->hosts) {
      parts_.metrics->hosts.At({Label(host.requirement)}).Add();
    }
    Fill(*resolution, *domain, response);
    co_return absl::OkStatus();
  }

  base::Task<absl::Status> Count(const pb::RecordRequest* request) {
    if (request->outcomes_size() > kMostOutcomes) co_return base::InvalidArgument("too many");
    const absl::Time now = parts_.resolution.clock->Now();
    std::vector<store::TlsOutcome> outcomes;
    for (const pb::TlsOutcome& each : request->outcomes()) {
      if (!IsValid(each)) co_return base::InvalidArgument("an outcome that is none");
      outcomes.push_back(FromProto(each, now));
      // RFC 8460 §4.3: that the policy could not be had is a failure of its own.
      const auto failure = each.policy().policy_failure();
      if (failure == pb::RESULT_TYPE_UNSPECIFIED || failure == each.result()) continue;
      outcomes.push_back(outcomes.back());
      outcomes.back().result = failure;
    }
    co_return parts_.outcomes->Add(std::move(outcomes));
  }

  base::Task<absl::Status> Keep(const pb::StoreReportRequest* request,
                                pb::StoreReportResponse* response, std::string trace) {
    GivenReport given;
    given.file = request->file();
    given.submitter = request->submitter();
    given.signers.assign(request->signers().begin(), request->signers().end());
    absl::StatusOr<std::string> problem = co_await parts_.intake->Store(std::move(given));
    if (!problem.ok()) {
      obs::Log(obs::Level::kWarning, "report not stored",
               {{"trace", trace}, {"status", problem.status()}});
      co_return problem.status();
    }
    response->set_stored(problem->empty());
    response->set_problem(*std::move(problem));
    co_return absl::OkStatus();
  }

  const RpcParts parts_;
  std::atomic<size_t> in_progress_{0};
};

}  // namespace

rpc::Callers Callers() {
  return {{"/godwit.tls_policy.v1.TlsPolicy/Resolve", {"delivery-queue"}},
          {"/godwit.tls_policy.v1.TlsPolicy/Record", {"delivery-queue"}},
          {"/godwit.tls_policy.v1.TlsPolicy/StoreReport", {"auth-verifier"}}};
}

std::unique_ptr<grpc::Service> NewRpcService(RpcParts parts) {
  return std::make_unique<RpcService>(std::move(parts));
}

}  // namespace godwit::tls_policy
