#include "services/smtp-ingress/evaluation_sender.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/rpc/call.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"

namespace godwit::smtp_ingress {
namespace {

namespace pb = ::godwit::auth_verifier::v1;

constexpr size_t kBatch = 500;  // the receiver takes 1000

pb::DmarcResult::Disposition ToProto(DmarcPolicy disposition) {
  switch (disposition) {
    case DmarcPolicy::kNone: return pb::DmarcResult::DISPOSITION_NONE;
    case DmarcPolicy::kQuarantine: return pb::DmarcResult::DISPOSITION_QUARANTINE;
    case DmarcPolicy::kReject: return pb::DmarcResult::DISPOSITION_REJECT;
  }
  return pb::DmarcResult::DISPOSITION_UNSPECIFIED;
}

pb::RecordRequest MakeRequest(const std::vector<JudgedMessage>& messages) {
  pb::RecordRequest request;
  for (const JudgedMessage& message : messages) {
    pb::RecordedMessage* out = request.add_messages();
    // It was one when it came from auth-verifier.
    (void)out->mutable_evaluation()->ParseFromString(message.evaluation);
    out->set_disposition(ToProto(message.disposition));
    if (message.overridden) {
      out->set_override(message.trusted_forwarder ? pb::RecordedMessage::OVERRIDE_TRUSTED_FORWARDER
                                                  : pb::RecordedMessage::OVERRIDE_LOCAL_POLICY);
    }
    out->set_comment(message.comment);
    out->set_envelope_to(message.envelope_to);
    out->set_to_report_address(message.to_report_address);
  }
  return request;
}

class Sender : public EvaluationSender {
 public:
  Sender(std::shared_ptr<grpc::Channel> channel, Options options, Metrics* metrics)
      : options_(std::move(options)),
        metrics_(metrics),
        stub_(pb::AuthVerifier::NewStub(channel)) {}

  void Add(JudgedMessage message) override {
    std::lock_guard lock(mutex_);
    if (waiting_.size() < options_.max_waiting) {
      waiting_.push_back(std::move(message));
    } else {
      metrics_->evaluations.At({"dropped"}).Add();
    }
  }

  base::Task<void> Run(net::Reactor* reactor) override {
    bool told = false;
    for (;;) {
      const bool running = co_await reactor->Sleep(options_.interval);
      if (!running) co_return;
      const absl::Status flushed = co_await Flush();
      // Once for each time that it is away.
      if (!flushed.ok() && !told) {
        obs::Log(obs::Level::kWarning, "evaluations not sent", {{"status", flushed}});
      }
      told = !flushed.ok();
    }
  }

  base::Task<absl::Status> Flush() override {
    for (;;) {
      std::vector<JudgedMessage> batch = Take();
      if (batch.empty()) co_return absl::OkStatus();
      rpc::CallOptions call;
      call.deadline = options_.deadline;
      absl::StatusOr<pb::RecordResponse> response =
          co_await rpc::Call(stub_.get(), &pb::AuthVerifier::StubInterface::async_interface::Record,
                             MakeRequest(batch), std::move(call));
      const auto count = static_cast<double>(batch.size());
      if (response.ok()) {
        metrics_->evaluations.At({"sent"}).Add(count);
        continue;
      }
      // They may have been counted, or never will be.
      if (!base::IsRetryable(response.status())) {
        metrics_->evaluations.At({"dropped"}).Add(count);
        co_return response.status();
      }
      PutBack(std::move(batch));
      co_return response.status();
    }
  }

 private:
  std::vector<JudgedMessage> Take() {
    std::lock_guard lock(mutex_);
    const auto end = waiting_.begin() + static_cast<int64_t>(std::min(kBatch, waiting_.size()));
    std::vector<JudgedMessage> batch(std::make_move_iterator(waiting_.begin()),
                                     std::make_move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
    return batch;
  }
  void PutBack(std::vector<JudgedMessage> batch) {
    std::lock_guard lock(mutex_);
    waiting_.insert(waiting_.begin(), std::make_move_iterator(batch.begin()),
                    std::make_move_iterator(batch.end()));
  }

  const Options options_;
  Metrics* const metrics_;
  std::unique_ptr<pb::AuthVerifier::Stub> stub_;
  std::mutex mutex_;
  std::deque<JudgedMessage> waiting_;
};

}  // namespace

JudgedMessage MakeJudged(const Evidence& evidence, const Decision& decision) {
  JudgedMessage judged;
  if (evidence.dmarc != DmarcOutcome::kFail) return judged;
  // What other rules do to a message is not DMARC's doing.
  const bool by_dmarc = decision.reason.starts_with("dmarc-");
  if (by_dmarc && decision.outcome == Outcome::kReject) judged.disposition = DmarcPolicy::kReject;
  if (by_dmarc && decision.outcome == Outcome::kJunk) judged.disposition = DmarcPolicy::kQuarantine;
  judged.overridden = judged.disposition != evidence.policy;
  judged.trusted_forwarder = evidence.dmarc_overridden;
  if (judged.overridden) judged.comment = std::string(decision.reason);
  return judged;
}

absl::StatusOr<std::unique_ptr<EvaluationSender>> EvaluationSender::Create(Options options,
                                                                           Metrics* metrics) {
  GODWIT_ASSIGN_OR_RETURN(auto channel, rpc::Connect(options.channel));
  return std::make_unique<Sender>(std::move(channel), std::move(options), metrics);
}

}  // namespace godwit::smtp_ingress
