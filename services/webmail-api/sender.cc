#include "services/webmail-api/sender.h"

#include <grpcpp/channel.h>

#include <utility>

#include "libs/base/status.h"
#include "libs/rpc/call.h"
#include "libs/rpc/step_deadline.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"
#include "proto/godwit/delivery_queue/v1/delivery_queue.grpc.pb.h"

namespace godwit::webmail_api {
namespace {

namespace auth = ::godwit::auth_verifier::v1;
namespace queue = ::godwit::delivery_queue::v1;

using SignStream = rpc::ClientStream<auth::SignRequest, auth::SignResponse>;
using QueueStream = rpc::ClientStream<queue::EnqueueRequest, queue::EnqueueResponse>;

// What auth-verifier takes in one request.
constexpr size_t kPiece = 256 * 1024;
// Of a call as a whole; the deadlines of the configuration are for each wait.
constexpr absl::Duration kLongest = absl::Minutes(10);

template <typename Stream, typename Request>
base::Task<absl::Status> WriteWithin(Stream* stream, Request request, absl::Duration deadline) {
  rpc::StepDeadline<Stream> timer(stream, deadline);
  absl::Status written = co_await stream->Write(std::move(request));
  co_return written;
}

queue::Submission SubmissionOf(const OutgoingMessage& message) {
  queue::Submission submission;
  submission.set_idempotency_key(message.idempotency_key);
  submission.set_origin(queue::ORIGIN_SUBMISSION);
  submission.set_account_id(message.account);
  submission.set_client_address(message.client_address);
  submission.set_user(message.user);
  submission.set_reverse_path(message.reverse_path);
  submission.set_smtputf8(message.smtputf8);
  submission.set_body_8bit(message.body_8bit);
  for (const std::string& recipient : message.recipients) {
    submission.add_recipients()->set_address(recipient);
  }
  return submission;
}

class RpcSender : public Sender {
 public:
  RpcSender(std::shared_ptr<grpc::Channel> signer, std::shared_ptr<grpc::Channel> queue,
            Options options)
      : options_(std::move(options)),
        signer_(auth::AuthVerifier::NewStub(signer)),
        queue_(queue::DeliveryQueue::NewStub(queue)) {}

  base::Task<absl::StatusOr<int64_t>> Send(OutgoingMessage message, BodyFactory body,
                                           std::string trace) override {
    auto signature = co_await Sign(&message, &body, trace);
    if (!signature.ok()) co_return base::Annotate(signature.status(), "signing");
    message.header.insert(0, *signature);
    auto id = co_await Enqueue(&message, &body, trace);
    // UNKNOWN: the commit may have happened; the same key never makes a second one.
    if (!id.ok() &&
        (id.status().code() == absl::StatusCode::kUnknown || base::IsRetryable(id.status()))) {
      id = co_await Enqueue(&message, &body, trace);
    }
    if (!id.ok()) co_return base::Annotate(id.status(), "enqueueing");
    co_return id;
  }

 private:
  base::Task<absl::StatusOr<std::string>> Sign(const OutgoingMessage* message,
                                               const BodyFactory* body, std::string trace) {
    auto stream =
        SignStream::Open(signer_.get(), &auth::AuthVerifier::StubInterface::async_interface::Sign,
                         {.deadline = kLongest, .trace = trace});
    auth::SignRequest first;
    first.mutable_context()->set_account_id(message->account);
    first.mutable_context()->set_from_address(message->from_address);
    absl::Status sent =
        co_await WriteWithin(stream.get(), std::move(first), options_.sign_deadline);
    for (size_t at = 0; sent.ok() && at < message->header.size(); at += kPiece) {
      auth::SignRequest request;
      request.set_data(message->header.substr(at, kPiece));
      sent = co_await WriteWithin(stream.get(), std::move(request), options_.sign_deadline);
    }
    const std::unique_ptr<BodyStream> source = (*body)();
    while (sent.ok()) {
      auto piece = co_await source->Next();
      if (!piece.ok()) co_return piece.status();
      if (piece->empty()) break;
      auth::SignRequest request;
      request.set_data(*std::move(piece));
      sent = co_await WriteWithin(stream.get(), std::move(request), options_.sign_deadline);
    }
    rpc::StepDeadline<SignStream> timer(stream.get(), options_.sign_deadline);
    auto response = co_await stream->Finish();
    if (!response.ok()) co_return response.status();
    if (response->header_fields().empty()) co_return base::FailedPrecondition("no signature");
    co_return response->header_fields();
  }

  base::Task<absl::StatusOr<int64_t>> Enqueue(const OutgoingMessage* message,
                                              const BodyFactory* body, std::string trace) {
    auto stream = QueueStream::Open(queue_.get(),
                                    &queue::DeliveryQueue::StubInterface::async_interface::Enqueue,
                                    {.deadline = kLongest, .trace = trace});
    queue::EnqueueRequest first;
    *first.mutable_submission() = SubmissionOf(*message);
    first.set_header(message->header);
    absl::Status sent =
        co_await WriteWithin(stream.get(), std::move(first), options_.queue_deadline);
    const std::unique_ptr<BodyStream> source = (*body)();
    while (sent.ok()) {
      auto piece = co_await source->Next();
      if (!piece.ok()) co_return piece.status();
      if (piece->empty()) break;
      queue::EnqueueRequest request;
      request.set_body(*std::move(piece));
      sent = co_await WriteWithin(stream.get(), std::move(request), options_.queue_deadline);
    }
    rpc::StepDeadline<QueueStream> timer(stream.get(), options_.queue_deadline);
    auto response = co_await stream->Finish();
    if (!response.ok()) co_return response.status();
    co_return response->queue_id();
  }

  const Options options_;
  std::unique_ptr<auth::AuthVerifier::Stub> signer_;
  std::unique_ptr<queue::DeliveryQueue::Stub> queue_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Sender>> Sender::Create(Options options) {
  GODWIT_ASSIGN_OR_RETURN(auto signer, rpc::Connect(options.signer));
  GODWIT_ASSIGN_OR_RETURN(auto queue_channel, rpc::Connect(options.queue));
  return std::make_unique<RpcSender>(std::move(signer), std::move(queue_channel),
                                     std::move(options));
}

}  // namespace godwit::webmail_api
