#include "services/delivery-queue/policy_client.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/rpc/call.h"
#include "proto/godwit/tls_policy/v1/tls_policy.grpc.pb.h"

namespace godwit::delivery_queue {
namespace {

namespace pb = ::godwit::tls_policy::v1;

constexpr size_t kMaxKept = 1000;
// What tls-policy does not say for how long it holds.
constexpr absl::Duration kLeastValid = absl::Seconds(1);
constexpr absl::Duration kLongestValid = absl::Minutes(5);

TlsNeed FromProto(pb::Requirement requirement) {
  switch (requirement) {
    case pb::REQUIREMENT_OPPORTUNISTIC: return TlsNeed::kOpportunistic;
    case pb::REQUIREMENT_ENCRYPT: return TlsNeed::kEncrypt;
    case pb::REQUIREMENT_MTA_STS: return TlsNeed::kMtaSts;
    case pb::REQUIREMENT_DANE: return TlsNeed::kDane;
    // One that we do not know yet may ask for more than we could prove.
    default: return TlsNeed::kUnusable;
  }
}

PolicyOutcome FromProto(pb::Outcome outcome) {
  switch (outcome) {
    case pb::OUTCOME_OK: return PolicyOutcome::kOk;
    case pb::OUTCOME_NULL_MX: return PolicyOutcome::kNullMx;
    case pb::OUTCOME_NO_DOMAIN: return PolicyOutcome::kNoDomain;
    default: return PolicyOutcome::kTemporary;
  }
}

RouteHost FromProto(const pb::Host& in) {
  RouteHost host;
  host.name = in.name();
  host.preference = in.preference();
  for (const std::string& bytes : in.addresses()) {
    if (const auto address = base::IpAddress::FromBytes(bytes)) host.addresses.push_back(*address);
  }
  host.need = FromProto(in.requirement());
  host.verify_and_report = in.mta_sts_testing();
  for (const pb::Tlsa& record : in.tlsa()) {
    host.tlsa.push_back({static_cast<uint8_t>(record.usage()),
                         static_cast<uint8_t>(record.selector()),
                         static_cast<uint8_t>(record.matching()), record.data()});
  }
  host.tlsa_base = in.tlsa_base();
  host.tls_names.assign(in.tls_names().begin(), in.tls_names().end());
  host.problem = in.reason();
  host.unusable_result = in.unusable_result();
  if (in.has_report()) host.report = in.report().SerializeAsString();
  return host;
}

pb::TlsOutcome ToProto(const TlsOutcome& in) {
  pb::TlsOutcome out;
  // Our own bytes, from FromProto().
  (void)out.mutable_policy()->ParseFromString(in.report);
  out.set_result(static_cast<pb::ResultType>(in.result));
  out.set_mx_host(in.host);
  out.set_mx_helo(in.helo);
  out.set_reason(in.reason.substr(0, 200));
  if (in.from) out.set_sending_ip(std::string(in.from->bytes()));
  if (in.to) out.set_receiving_ip(std::string(in.to->bytes()));
  return out;
}

class Client : public PolicyClient {
 public:
  Client(std::shared_ptr<grpc::Channel> channel, absl::Duration deadline)
      : stub_(pb::TlsPolicy::NewStub(channel)), deadline_(deadline) {}

  base::Task<absl::StatusOr<PolicyAnswer>> Resolve(std::string domain, uint16_t port,
                                                   bool host_only) override {
    pb::ResolveRequest request;
    request.set_domain(domain);
    request.set_port(port);
    request.set_host_only(host_only);
    rpc::CallOptions options;
    options.deadline = deadline_;
    absl::StatusOr<pb::ResolveResponse> response =
        co_await rpc::Call<pb::TlsPolicy::StubInterface,
                           pb::TlsPolicy::StubInterface::async_interface, pb::ResolveRequest,
                           pb::ResolveResponse>(
            stub_.get(), &pb::TlsPolicy::StubInterface::async_interface::Resolve,
            std::move(request), std::move(options));
    if (!response.ok()) co_return response.status();
    PolicyAnswer answer;
    answer.outcome = FromProto(response->outcome());
    answer.reason = response->reason();
    for (const pb::Host& host : response->hosts()) answer.hosts.push_back(FromProto(host));
    answer.valid = std::clamp(absl::Seconds(response->valid_seconds()), kLeastValid, kLongestValid);
    co_return answer;
  }

  void Record(TlsOutcome outcome) override {
    std::lock_guard lock(mutex_);
    if (kept_.size() < kMaxKept) kept_.push_back(std::move(outcome));
  }

  base::Task<void> Flush() override {
    pb::RecordRequest request;
    {
      std::lock_guard lock(mutex_);
      for (const TlsOutcome& outcome : kept_) *request.add_outcomes() = ToProto(outcome);
      kept_.clear();
    }
    if (request.outcomes().empty()) co_return;
    rpc::CallOptions options;
    options.deadline = deadline_;
    // What is lost is missing in a report.
    auto recorded = co_await rpc::Call<pb::TlsPolicy::StubInterface,
                                       pb::TlsPolicy::StubInterface::async_interface,
                                       pb::RecordRequest, pb::RecordResponse>(
        stub_.get(), &pb::TlsPolicy::StubInterface::async_interface::Record, std::move(request),
        std::move(options));
    (void)recorded;
  }

 private:
  std::unique_ptr<pb::TlsPolicy::StubInterface> stub_;
  const absl::Duration deadline_;
  std::mutex mutex_;
  std::vector<TlsOutcome> kept_;  // guarded by mutex_
};

}  // namespace

absl::StatusOr<std::unique_ptr<PolicyClient>> PolicyClient::Create(rpc::ChannelOptions options,
                                                                   absl::Duration deadline) {
  options.daemon = "tls-policy";
  options.idempotent = {"godwit.tls_policy.v1.TlsPolicy/Resolve"};
  GODWIT_ASSIGN_OR_RETURN(auto channel, rpc::Connect(std::move(options)));
  return std::make_unique<Client>(std::move(channel), deadline);
}

}  // namespace godwit::delivery_queue
