#include "libs/outgoing/sender.h"

#include <grpcpp/channel.h>

#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/rpc/call.h"
#include "libs/rpc/step_deadline.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"
#include "proto/godwit/delivery_queue/v1/delivery_queue.grpc.pb.h"

namespace godwit::outgoing {
namespace {

namespace auth = ::godwit::auth_verifier::v1;
namespace queue = ::godwit::delivery_queue::v1;

using SignStream = rpc::ClientStream<auth::SignRequest, auth::SignResponse>;
using SealStream = rpc::ClientStream<auth::SealRequest, auth::SealResponse>;
using QueueStream = rpc::ClientStream<queue::EnqueueRequest, queue::EnqueueResponse>;

// Of a call as a whole; the deadlines of the options are for each wait.
constexpr absl::Duration kLongest = absl::Minutes(10);

class MemoryBody : public BodyStream {
 public:
  explicit MemoryBody(std::string_view rest) : rest_(rest) {}

  base::Task<absl::StatusOr<std::string>> Next() override {
    std::string piece(rest_.substr(0, kPiece));
    rest_.remove_prefix(piece.size());
    co_return piece;
  }

 private:
  std::string_view rest_;
};

// Sends `first`, then all of the body, then waits for the answer. DeadlineExceeded when the other
// side took longer than `deadline` for a step, or altogether.
template <typename Request, typename Reply>
base::Task<absl::StatusOr<Reply>> Converse(rpc::ClientStream<Request, Reply>* stream, Request first,
                                           std::unique_ptr<BodyStream> body,
                                           void (*set_body)(Request*, std::string),
                                           absl::Duration deadline) {
  Request request = std::move(first);
  bool late = false;
  for (;;) {
    absl::StatusOr<std::string> piece = co_await body->Next();
    if (!piece.ok()) co_return piece.status();
    if (piece->empty()) break;
    rpc::StepDeadline timer(stream, deadline);
    absl::Status sent = co_await stream->Write(std::exchange(request, Request()));
    late = timer.fired();
    if (!sent.ok()) break;  // Finish() has the reason
    set_body(&request, *std::move(piece));
  }
  rpc::StepDeadline timer(stream, deadline);
  absl::StatusOr<Reply> reply = co_await stream->Finish(std::move(request));
  // What our own timer cancelled was not given up by anybody.
  const bool ours = (late || timer.fired()) && absl::IsCancelled(reply.status());
  if (ours) co_return base::DeadlineExceeded("no answer in time");
  co_return reply;
}

uint32_t NotifyMask(const Recipient& recipient) {
  uint32_t mask = 0;
  if (recipient.never) mask |= queue::NOTIFY_NEVER;
  if (recipient.success) mask |= queue::NOTIFY_SUCCESS;
  if (recipient.failure) mask |= queue::NOTIFY_FAILURE;
  if (recipient.delay) mask |= queue::NOTIFY_DELAY;
  return mask;
}

queue::Ret ToProto(Return ret) {
  switch (ret) {
    case Return::kFull: return queue::RET_FULL;
    case Return::kHeaders: return queue::RET_HDRS;
    case Return::kUnspecified: break;
  }
  return queue::RET_UNSPECIFIED;
}

// No trying again brings a seal; RFC 8617 §5.1 leaves it to us whether there is one.
bool IsNoSeal(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status);
}

queue::Origin ToProto(Origin origin) {
  switch (origin) {
    case Origin::kSubmission: return queue::ORIGIN_SUBMISSION;
    case Origin::kReport: return queue::ORIGIN_REPORT;
    case Origin::kNotice: return queue::ORIGIN_DSN;
    case Origin::kForward: return queue::ORIGIN_FORWARD;
    case Origin::kRelay: return queue::ORIGIN_RELAY;
  }
  return queue::ORIGIN_UNSPECIFIED;
}

queue::Submission ToProto(const Message& message) {
  queue::Submission submission;
  submission.set_idempotency_key(message.idempotency_key);
  submission.set_origin(ToProto(message.origin));
  submission.set_account_id(message.account);
  submission.set_client_address(message.client_address);
  submission.set_user(message.user);
  submission.set_reverse_path(message.reverse_path);
  submission.set_ret(ToProto(message.ret));
  submission.set_envid(message.envid);
  submission.set_smtputf8(message.smtputf8);
  submission.set_body_8bit(message.body_8bit);
  submission.set_requiretls(message.requiretls);
  // A stream that was cut is told from one that has ended.
  submission.set_size(message.header.size() + message.body_size);
  if (message.hold_until) {
    submission.mutable_hold_until()->set_seconds(absl::ToUnixSeconds(*message.hold_until));
  }
  for (const Recipient& recipient : message.recipients) {
    queue::Recipient* out = submission.add_recipients();
    out->set_address(recipient.address);
    out->set_notify(NotifyMask(recipient));
    out->set_orcpt(recipient.orcpt);
  }
  return submission;
}

class RpcSender : public Sender {
 public:
  RpcSender(std::shared_ptr<grpc::Channel> signer, std::shared_ptr<grpc::Channel> queue,
            Options options)
      : options_(std::move(options)), queue_(queue::DeliveryQueue::NewStub(queue)) {
    if (signer != nullptr) signer_ = auth::AuthVerifier::NewStub(signer);
  }

  base::Task<absl::StatusOr<std::string>> Sign(const Message* message, BodyFactory body,
                                               std::string trace) override {
    if (signer_ == nullptr) co_return base::FailedPrecondition("nobody to sign");
    auto stream =
        SignStream::Open(signer_.get(), &auth::AuthVerifier::StubInterface::async_interface::Sign,
                         {.deadline = kLongest, .trace = std::move(trace)});
    auth::SignRequest first;
    first.mutable_context()->set_account_id(message->account);
    first.mutable_context()->set_from_address(message->from_address);
    if (message->hold_until) {
      first.mutable_context()->mutable_hold_until()->set_seconds(
          absl::ToUnixSeconds(*message->hold_until));
    }
    auto response = co_await Converse<auth::SignRequest, auth::SignResponse>(
        stream.get(), std::move(first), std::make_unique<WholeMessage>(message->header, body()),
        [](auth::SignRequest* request, std::string bytes) { request->set_data(std::move(bytes)); },
        options_.sign_deadline);
    if (!response.ok()) co_return response.status();
    if (response->header_fields().empty()) co_return base::FailedPrecondition("no signature");
    co_return response->header_fields();
  }

  base::Task<absl::StatusOr<std::string>> Seal(const Message* message, SealFacts facts,
                                               BodyFactory body, std::string trace) override {
    if (signer_ == nullptr) co_return base::FailedPrecondition("nobody to seal");
    auto stream =
        SealStream::Open(signer_.get(), &auth::AuthVerifier::StubInterface::async_interface::Seal,
                         {.deadline = kLongest, .trace = trace});
    auth::SealRequest first;
    auth::SealContext* context = first.mutable_context();
    context->set_domain(facts.domain);
    context->set_authserv_id(facts.authserv_id);
    context->set_authentication_results(facts.authentication_results);
    (void)context->mutable_arc()->ParseFromString(facts.arc);  // auth-verifier's own octets
    auto response = co_await Converse<auth::SealRequest, auth::SealResponse>(
        stream.get(), std::move(first), std::make_unique<WholeMessage>(message->header, body()),
        [](auth::SealRequest* request, std::string bytes) { request->set_data(std::move(bytes)); },
        options_.sign_deadline);
    if (response.ok() && !response->header_fields().empty()) co_return response->header_fields();
    if (!response.ok() && !IsNoSeal(response.status())) co_return response.status();
    obs::Log(
        obs::Level::kInfo, "not sealed",
        {{"trace", trace},
         {"domain", facts.domain},
         {"reason", response.ok() ? response->not_sealed() : base::ToString(response.status())}});
    co_return std::string();
  }

  base::Task<absl::StatusOr<int64_t>> Enqueue(const Message* message, BodyFactory body,
                                              std::string trace) override {
    absl::StatusOr<int64_t> id = co_await EnqueueOnce(message, body(), trace);
    // Unknown and DeadlineExceeded: the commit may have happened, or happen yet; the same key never
    // makes a second one.
    const bool again = !id.ok() && (id.status().code() == absl::StatusCode::kUnknown ||
                                    base::IsRetryable(id.status()));
    if (again) id = co_await EnqueueOnce(message, body(), trace);
    co_return id;
  }

 private:
  // The header, then the body.
  class WholeMessage : public BodyStream {
   public:
    WholeMessage(std::string_view header, std::unique_ptr<BodyStream> body)
        : header_(header), body_(std::move(body)) {}

    base::Task<absl::StatusOr<std::string>> Next() override {
      absl::StatusOr<std::string> piece = co_await header_.Next();
      if (piece.ok() && piece->empty()) piece = co_await body_->Next();
      co_return piece;
    }

   private:
    MemoryBody header_;
    const std::unique_ptr<BodyStream> body_;
  };

  base::Task<absl::StatusOr<int64_t>> EnqueueOnce(const Message* message,
                                                  std::unique_ptr<BodyStream> body,
                                                  std::string trace) {
    auto stream = QueueStream::Open(queue_.get(),
                                    &queue::DeliveryQueue::StubInterface::async_interface::Enqueue,
                                    {.deadline = kLongest, .trace = std::move(trace)});
    queue::EnqueueRequest first;
    *first.mutable_submission() = ToProto(*message);
    first.set_header(message->header);
    auto response = co_await Converse<queue::EnqueueRequest, queue::EnqueueResponse>(
        stream.get(), std::move(first), std::move(body),
        [](queue::EnqueueRequest* request, std::string bytes) {
          request->set_body(std::move(bytes));
        },
        options_.queue_deadline);
    if (!response.ok()) co_return response.status();
    co_return response->queue_id();
  }

  const Options options_;
  std::unique_ptr<auth::AuthVerifier::Stub> signer_;
  std::unique_ptr<queue::DeliveryQueue::Stub> queue_;
};

}  // namespace

BodyFactory BodyInMemory(std::string_view body) {
  return [body] { return std::make_unique<MemoryBody>(body); };
}

absl::StatusOr<std::unique_ptr<Sender>> Sender::Create(Options options) {
  std::shared_ptr<grpc::Channel> signer;
  if (!options.signer.target.empty()) {
    GODWIT_ASSIGN_OR_RETURN(signer, rpc::Connect(options.signer));
  }
  GODWIT_ASSIGN_OR_RETURN(auto queue_channel, rpc::Connect(options.queue));
  return std::make_unique<RpcSender>(std::move(signer), std::move(queue_channel),
                                     std::move(options));
}

}  // namespace godwit::outgoing
