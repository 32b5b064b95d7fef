#include "services/auth-verifier/rpc_service.h"

#include <atomic>
#include <string>
#include <utility>

#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/rpc/serve.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"

namespace godwit::auth_verifier {
namespace {

namespace pb = ::godwit::auth_verifier::v1;

pb::Result ToProto(spf::ResultCode code) {
  switch (code) {
    case spf::ResultCode::kNone: return pb::RESULT_NONE;
    case spf::ResultCode::kNeutral: return pb::RESULT_NEUTRAL;
    case spf::ResultCode::kPass: return pb::RESULT_PASS;
    case spf::ResultCode::kFail: return pb::RESULT_FAIL;
    case spf::ResultCode::kSoftFail: return pb::RESULT_SOFTFAIL;
    case spf::ResultCode::kTempError: return pb::RESULT_TEMPERROR;
    case spf::ResultCode::kPermError: return pb::RESULT_PERMERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::Result ToProto(dkim::ResultCode code) {
  switch (code) {
    case dkim::ResultCode::kNone: return pb::RESULT_NONE;
    case dkim::ResultCode::kPass: return pb::RESULT_PASS;
    case dkim::ResultCode::kFail: return pb::RESULT_FAIL;
    case dkim::ResultCode::kPolicy: return pb::RESULT_POLICY;
    case dkim::ResultCode::kNeutral: return pb::RESULT_NEUTRAL;
    case dkim::ResultCode::kTempError: return pb::RESULT_TEMPERROR;
    case dkim::ResultCode::kPermError: return pb::RESULT_PERMERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::Result ToProto(dmarc::ResultCode code) {
  switch (code) {
    case dmarc::ResultCode::kNone: return pb::RESULT_NONE;
    case dmarc::ResultCode::kPass: return pb::RESULT_PASS;
    case dmarc::ResultCode::kFail: return pb::RESULT_FAIL;
    case dmarc::ResultCode::kTempError: return pb::RESULT_TEMPERROR;
    case dmarc::ResultCode::kPermError: return pb::RESULT_PERMERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::Result ToProto(arc::ResultCode code) {
  switch (code) {
    case arc::ResultCode::kNone: return pb::RESULT_NONE;
    case arc::ResultCode::kPass: return pb::RESULT_PASS;
    case arc::ResultCode::kFail: return pb::RESULT_FAIL;
    case arc::ResultCode::kTempError: return pb::RESULT_TEMPERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::Result ToProto(mailauth::IprevCode code) {
  switch (code) {
    case mailauth::IprevCode::kPass: return pb::RESULT_PASS;
    case mailauth::IprevCode::kFail: return pb::RESULT_FAIL;
    case mailauth::IprevCode::kTempError: return pb::RESULT_TEMPERROR;
    case mailauth::IprevCode::kPermError: return pb::RESULT_PERMERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::DmarcResult::Disposition ToProto(dmarc::Policy policy) {
  switch (policy) {
    case dmarc::Policy::kNone: return pb::DmarcResult::DISPOSITION_NONE;
    case dmarc::Policy::kQuarantine: return pb::DmarcResult::DISPOSITION_QUARANTINE;
    case dmarc::Policy::kReject: return pb::DmarcResult::DISPOSITION_REJECT;
  }
  return pb::DmarcResult::DISPOSITION_UNSPECIFIED;
}

void Fill(const spf::Result& from, pb::SpfResult* to) {
  to->set_result(ToProto(from.code));
  to->set_domain(from.domain);
  to->set_mechanism(from.mechanism);
  to->set_explanation(from.explanation);
  to->set_lookups(from.lookups);
  to->set_problem(from.problem);
}

void Fill(const dkim::SignatureResult& from, pb::DkimResult* to) {
  to->set_result(ToProto(from.code));
  to->set_domain(from.domain);
  to->set_selector(from.selector);
  to->set_identity(from.identity);
  to->set_algorithm(from.algorithm);
  to->set_key_bits(from.key_bits);
  to->set_reason(from.reason);
  to->set_testing(from.testing);
}

void Fill(const mailauth::Verdict& verdict, pb::DmarcResult* to) {
  const dmarc::Result& from = verdict.dmarc;
  to->set_result(ToProto(from.code));
  to->set_from_domain(verdict.author_domain);
  to->set_author_unusable(verdict.author_unusable);
  to->set_policy_domain(from.policy_domain);
  to->set_disposition(ToProto(from.disposition));
  to->set_spf_aligned(from.spf_aligned);
  to->set_dkim_aligned(from.dkim_aligned);
  to->set_reason(from.reason);
}

void Fill(const mailauth::Verdict& from, pb::VerifyResponse* to) {
  Fill(from.mail_from_spf, to->mutable_spf_mail_from());
  Fill(from.helo_spf, to->mutable_spf_helo());
  for (const dkim::SignatureResult& signature : from.dkim) Fill(signature, to->add_dkim());
  Fill(from, to->mutable_dmarc());
  to->mutable_arc()->set_result(ToProto(from.arc.code));
  to->mutable_arc()->set_instances(from.arc.instances);
  if (!from.arc.sealers.empty()) to->mutable_arc()->set_sealer(from.arc.sealers.back());
  to->mutable_arc()->set_reason(from.arc.reason);
  to->mutable_iprev()->set_result(ToProto(from.iprev.code));
  to->mutable_iprev()->set_name(from.iprev.name);
  to->set_authentication_results(from.authentication_results);
  to->set_received_spf(from.received_spf);
}

class RpcService : public pb::AuthVerifier::CallbackService {
 public:
  RpcService(RpcOptions options, dns::Resolver* resolver, const base::Clock* clock,
             net::ReactorPool* executors, Metrics* metrics)
      : options_(std::move(options)),
        resolver_(resolver),
        clock_(clock),
        executors_(executors),
        metrics_(metrics) {}

  grpc::ServerReadReactor<pb::VerifyRequest>* Verify(grpc::CallbackServerContext* context,
                                                     pb::VerifyResponse* response) override {
    return rpc::ServeStream<pb::VerifyRequest>(
        context, executors_->Next(),
        [this, response, trace = rpc::TraceOf(*context)](Reader* reader) {
          return Admit(reader, response, trace);
        });
  }

 private:
  using Reader = rpc::RequestReader<pb::VerifyRequest>;

  // Bounds the messages in work.
  base::Task<absl::Status> Admit(Reader* reader, pb::VerifyResponse* response, std::string trace) {
    if (in_progress_.fetch_add(1) >= options_.concurrent_messages) {
      in_progress_.fetch_sub(1);
      metrics_->messages.At({"overload"}).Add();
      co_return base::ResourceExhausted("too many messages at once");
    }
    metrics_->messages_in_progress.Add(1);
    absl::Status status = co_await VerifyMessage(reader, response, std::move(trace));
    metrics_->messages_in_progress.Add(-1);
    in_progress_.fetch_sub(1);
    co_return status;
  }

  base::Task<absl::Status> VerifyMessage(Reader* reader, pb::VerifyResponse* response,
                                         std::string trace) {
    std::optional<pb::VerifyRequest> first = co_await reader->Next();
    if (!first || !first->has_envelope()) co_return base::InvalidArgument("no envelope");
    const pb::Envelope& envelope = first->envelope();
    const auto ip = base::IpAddress::FromBytes(envelope.client_ip());
    if (!ip) co_return base::InvalidArgument("client_ip is no address");

    MessageCheck check(resolver_, clock_, options_.check, OptionsFor(envelope),
                       {.ip = *ip, .helo = envelope.helo(), .mail_from = envelope.mail_from()});
    while (true) {
      std::optional<pb::VerifyRequest> request = co_await reader->Next();
      if (!request) break;
      check.Feed(request->data());
    }
    if (reader->cancelled()) {
      co_await check.Abandon();
      metrics_->messages.At({"cancelled"}).Add();
      co_return base::Cancelled("the caller is gone");
    }
    const absl::Duration began = clock_->Monotonic();
    absl::StatusOr<mailauth::Verdict> verdict = co_await check.Finish();
    metrics_->seconds.Observe(absl::ToDoubleSeconds(clock_->Monotonic() - began));
    if (!verdict.ok()) {
      metrics_->messages.At({"unavailable"}).Add();
      obs::Log(obs::Level::kError, "no verdict", {{"trace", trace}, {"error", verdict.status()}});
      co_return verdict.status();
    }
    Count(*verdict);
    Fill(*verdict, response);
    obs::Log(obs::Level::kDebug, "verdict",
             {{"trace", trace}, {"results", verdict->authentication_results}});
    co_return absl::OkStatus();
  }

  mailauth::Options OptionsFor(const pb::Envelope& envelope) const {
    mailauth::Options options = options_.verify;
    options.authserv_id = envelope.authserv_id();
    options.now = clock_->Now();
    options.check_connection = !envelope.internal_hop();
    // RFC 7489 §6.6.4: pct= picks messages at random.
    options.dmarc.sample = static_cast<int>(base::RandomSource::System()->Id63() % 100);
    return options;
  }

  void Count(const mailauth::Verdict& verdict) {
    metrics_->messages.At({"verdict"}).Add();
    metrics_->spf.At({spf::ResultName(verdict.mail_from_spf.code)}).Add();
    for (const auto& signature : verdict.dkim) {
      metrics_->dkim.At({dkim::ResultName(signature.code)}).Add();
    }
    metrics_->dmarc.At({dmarc::ResultName(verdict.dmarc.code)}).Add();
    metrics_->arc.At({arc::ResultName(verdict.arc.code)}).Add();
  }

  const RpcOptions options_;
  dns::Resolver* const resolver_;
  const base::Clock* const clock_;
  net::ReactorPool* const executors_;
  Metrics* const metrics_;
  std::atomic<size_t> in_progress_{0};
};

}  // namespace

rpc::Callers Callers() {
  return {{"/godwit.auth_verifier.v1.AuthVerifier/Verify", {"smtp-ingress", "webmail-api"}}};
}

std::unique_ptr<grpc::Service> NewRpcService(RpcOptions options, dns::Resolver* resolver,
                                             const base::Clock* clock, net::ReactorPool* executors,
                                             Metrics* metrics) {
  return std::make_unique<RpcService>(std::move(options), resolver, clock, executors, metrics);
}

}  // namespace godwit::auth_verifier
