#include "services/smtp-ingress/verify_client.h"

#include <grpcpp/channel.h>

#include <utility>

#include "libs/base/status.h"
#include "libs/rpc/call.h"
#include "libs/rpc/step_deadline.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"

namespace godwit::smtp_ingress {
namespace {

namespace pb = ::godwit::auth_verifier::v1;

using Stream = rpc::ClientStream<pb::VerifyRequest, pb::VerifyResponse>;

DmarcOutcome FromProto(pb::Result result) {
  switch (result) {
    case pb::RESULT_PASS: return DmarcOutcome::kPass;
    case pb::RESULT_FAIL: return DmarcOutcome::kFail;
    case pb::RESULT_TEMPERROR: return DmarcOutcome::kTempError;
    case pb::RESULT_PERMERROR: return DmarcOutcome::kPermError;
    default: return DmarcOutcome::kNone;
  }
}

DmarcPolicy FromProto(pb::DmarcResult::Disposition disposition) {
  switch (disposition) {
    case pb::DmarcResult::DISPOSITION_QUARANTINE: return DmarcPolicy::kQuarantine;
    case pb::DmarcResult::DISPOSITION_REJECT: return DmarcPolicy::kReject;
    default: return DmarcPolicy::kNone;
  }
}

SpfOutcome SpfFromProto(pb::Result result) {
  switch (result) {
    case pb::RESULT_FAIL: return SpfOutcome::kFail;
    case pb::RESULT_TEMPERROR: return SpfOutcome::kTempError;
    case pb::RESULT_PERMERROR: return SpfOutcome::kPermError;
    default: return SpfOutcome::kNone;
  }
}

// RFC 8601 §2.7.3: permerror is an address without a name.
bool Failed(const pb::IprevResult& iprev) {
  return iprev.result() == pb::RESULT_FAIL || iprev.result() == pb::RESULT_PERMERROR;
}

Verdict FromProto(const pb::VerifyResponse& response) {
  Verdict verdict;
  verdict.evidence.dmarc = FromProto(response.dmarc().result());
  verdict.evidence.policy = FromProto(response.dmarc().disposition());
  verdict.evidence.from_domain = response.dmarc().from_domain();
  verdict.evidence.author_unusable = response.dmarc().author_unusable();
  verdict.evidence.worst = FromProto(response.dmarc().worst_disposition());
  verdict.evidence.dmarc_overridden = !response.dmarc().override_type().empty();
  verdict.evidence.spf = SpfFromProto(response.spf_mail_from().result());
  verdict.evidence.spf_domain = response.spf_mail_from().domain();
  verdict.evidence.spf_explanation = response.spf_mail_from().explanation();
  verdict.evidence.reverse_dns_failed = Failed(response.iprev());
  for (const pb::DnsblResult& list : response.dnsbl()) {
    if (list.outcome() != pb::DnsblResult::OUTCOME_LISTED) continue;
    verdict.evidence.listings.push_back({list.list(), list.allow(), list.weight(), list.text()});
  }
  verdict.authentication_results = response.authentication_results();
  verdict.received_spf = response.received_spf();
  verdict.sender_confirmed = response.spf_mail_from().result() == pb::RESULT_PASS;
  if (verdict.sender_confirmed) {
    verdict.authenticated.push_back(response.spf_mail_from().domain());
  }
  for (const pb::DkimResult& dkim : response.dkim()) {
    if (dkim.result() == pb::RESULT_PASS) verdict.authenticated.push_back(dkim.domain());
  }
  if (response.iprev().result() == pb::RESULT_PASS) verdict.reverse_name = response.iprev().name();
  if (response.has_report()) {
    const pb::ReportOutcome& report = response.report();
    verdict.report = report.stored() ? "stored" : "not stored: " + report.problem();
  }
  verdict.arc = response.arc().SerializeAsString();
  if (response.has_evaluation()) verdict.evaluation = response.evaluation().SerializeAsString();
  return verdict;
}

pb::VerifyRequest FirstRequest(const VerifyEnvelope& envelope, const std::string& authserv_id) {
  pb::VerifyRequest request;
  pb::Envelope* out = request.mutable_envelope();
  out->set_client_ip(std::string(envelope.client.bytes()));
  out->set_helo(envelope.helo);
  out->set_mail_from(envelope.mail_from);
  out->set_authserv_id(authserv_id);
  out->set_internal_hop(envelope.internal_hop);
  out->set_report_address(envelope.report_address);
  return request;
}

class Call : public VerifyCall {
 public:
  Call(std::unique_ptr<Stream> stream, absl::Duration deadline)
      : stream_(std::move(stream)), deadline_(deadline) {}

  base::Task<absl::Status> Send(std::string bytes) override {
    pb::VerifyRequest request;
    request.set_data(std::move(bytes));
    rpc::StepDeadline timer(stream_.get(), deadline_);
    absl::Status sent = co_await stream_->Write(std::move(request));
    co_return sent;
  }

  base::Task<absl::StatusOr<Verdict>> Finish(std::string bytes) override {
    std::optional<pb::VerifyRequest> last;
    if (!bytes.empty()) last.emplace().set_data(std::move(bytes));
    rpc::StepDeadline timer(stream_.get(), deadline_);
    absl::StatusOr<pb::VerifyResponse> response = co_await stream_->Finish(std::move(last));
    if (!response.ok()) co_return response.status();
    co_return FromProto(*response);
  }

 private:
  std::unique_ptr<Stream> stream_;
  const absl::Duration deadline_;
};

class Client : public VerifyClient {
 public:
  Client(std::shared_ptr<grpc::Channel> channel, VerifyOptions options)
      : options_(std::move(options)), stub_(pb::AuthVerifier::NewStub(channel)) {}

  base::Task<absl::StatusOr<Verdict>> Verify(VerifyEnvelope envelope, std::string message,
                                             std::string trace) override {
    pb::VerifyRequest request = FirstRequest(envelope, options_.authserv_id);
    request.set_data(std::move(message));
    rpc::CallOptions call;
    call.deadline = options_.deadline;
    call.trace = std::move(trace);
    auto response = co_await rpc::Call(
        stub_.get(), &pb::AuthVerifier::StubInterface::async_interface::VerifyWhole,
        std::move(request), std::move(call));
    if (!response.ok()) co_return response.status();
    co_return FromProto(*response);
  }

  base::Task<std::unique_ptr<VerifyCall>> Begin(VerifyEnvelope envelope,
                                                std::string trace) override {
    rpc::CallOptions call;
    call.deadline = options_.receiving + options_.deadline;
    call.trace = std::move(trace);
    auto stream = Stream::Open(
        stub_.get(), &pb::AuthVerifier::StubInterface::async_interface::Verify, std::move(call));
    pb::VerifyRequest first = FirstRequest(envelope, options_.authserv_id);
    (void)co_await stream->Write(std::move(first));  // the first of a stream waits for nothing
    co_return std::make_unique<Call>(std::move(stream), options_.deadline);
  }

 private:
  const VerifyOptions options_;
  std::unique_ptr<pb::AuthVerifier::Stub> stub_;
};

class NoCall : public VerifyCall {
 public:
  explicit NoCall(Verdict verdict) : verdict_(std::move(verdict)) {}
  base::Task<absl::Status> Send(std::string) override { co_return absl::OkStatus(); }
  base::Task<absl::StatusOr<Verdict>> Finish(std::string /*bytes*/) override {
    co_return std::move(verdict_);
  }

 private:
  Verdict verdict_;
};

class NoClient : public VerifyClient {
 public:
  explicit NoClient(const std::string& authserv_id) {
    // RFC 8601 §2.2: "none" is for a server that does no message authentication.
    verdict_.authentication_results = authserv_id + "; none";
  }
  base::Task<absl::StatusOr<Verdict>> Verify(VerifyEnvelope, std::string, std::string) override {
    co_return verdict_;
  }
  base::Task<std::unique_ptr<VerifyCall>> Begin(VerifyEnvelope, std::string) override {
    co_return std::make_unique<NoCall>(verdict_);
  }

 private:
  Verdict verdict_;
};

}  // namespace

std::unique_ptr<VerifyClient> VerifyClient::Off(const std::string& authserv_id) {
  return std::make_unique<NoClient>(authserv_id);
}

absl::StatusOr<std::unique_ptr<VerifyClient>> VerifyClient::Create(VerifyOptions options) {
  GODWIT_ASSIGN_OR_RETURN(auto channel, rpc::Connect(options.channel));
  return std::make_unique<Client>(std::move(channel), std::move(options));
}

}  // namespace godwit::smtp_ingress
