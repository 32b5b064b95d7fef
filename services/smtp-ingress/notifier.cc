#include "services/smtp-ingress/notifier.h"

#include <grpcpp/channel.h>

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dsn/write.h"
#include "libs/rpc/call.h"
#include "proto/godwit/delivery_queue/v1/delivery_queue.grpc.pb.h"

namespace godwit::smtp_ingress {
namespace {

namespace pb = ::godwit::delivery_queue::v1;

using Stream = rpc::ClientStream<pb::EnqueueRequest, pb::EnqueueResponse>;

// Of the message's header, which comes back; more helps nobody.
constexpr size_t kMaxReturned = 64 * 1024;

// The lines at its front.
std::string Front(std::string header) {
  if (header.size() <= kMaxReturned) return header;
  header.resize(header.rfind("\r\n", kMaxReturned) + 2);
  return header;
}

class RpcNotifier : public Notifier {
 public:
  RpcNotifier(std::shared_ptr<grpc::Channel> channel, Options options)
      : options_(std::move(options)), stub_(pb::DeliveryQueue::NewStub(channel)) {}

  base::Task<absl::Status> Tell(DeliveryNotice notice) override {
    absl::StatusOr<pb::EnqueueRequest> request = Write(std::move(notice));
    if (!request.ok()) co_return request.status();
    rpc::CallOptions call;
    call.deadline = options_.deadline;
    call.trace = request->submission().idempotency_key();
    auto stream = Stream::Open(
        stub_.get(), &pb::DeliveryQueue::StubInterface::async_interface::Enqueue, std::move(call));
    (void)co_await stream->Write(*std::move(request));  // Finish() has the reason
    absl::StatusOr<pb::EnqueueResponse> response = co_await stream->Finish();
    co_return response.status();
  }

 private:
  absl::StatusOr<pb::EnqueueRequest> Write(DeliveryNotice notice) const {
    dsn::Notification out;
    out.date = options_.clock->Now();
    out.message_id = options_.random->Token(24) + "@" + options_.hostname;
    out.boundary = options_.random->Token(30);
    out.from = "postmaster@" + notice.domain;
    out.to = notice.reverse_path;
    out.smtputf8 = notice.smtputf8;
    out.original_header = Front(std::move(notice.header));
    out.report.reporting_mta = options_.hostname;
    out.report.envelope_id = std::move(notice.envelope_id);
    out.report.received_from_mta = std::move(notice.client_name);
    out.report.arrival = absl::FromUnixSeconds(absl::ToUnixSeconds(out.date));
    out.report.recipients = std::move(notice.recipients);
    GODWIT_ASSIGN_OR_RETURN(const dsn::Written written, dsn::Write(out));

    const std::string text = written.head + written.tail;
    const size_t split = text.find("\r\n\r\n") + 4;
    pb::EnqueueRequest request;
    pb::Submission* submission = request.mutable_submission();
    submission->set_idempotency_key(notice.id);
    // RFC 3461 §6.1: from <>, and nobody is told of what becomes of it.
    submission->set_origin(pb::ORIGIN_DSN);
    submission->set_smtputf8(written.needs_smtputf8);
    // RFC 8689 §5: what is said of a message is protected as the message was.
    submission->set_requiretls(notice.require_tls);
    submission->set_body_8bit(written.needs_8bit);
    pb::Recipient* recipient = submission->add_recipients();
    recipient->set_address(notice.reverse_path);
    recipient->set_notify(pb::NOTIFY_NEVER);
    request.set_header(text.substr(0, split));
    request.set_body(text.substr(split));
    return request;
  }

  const Options options_;
  std::unique_ptr<pb::DeliveryQueue::Stub> stub_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Notifier>> Notifier::Create(Options options) {
  options.queue.daemon = "delivery-queue";
  GODWIT_ASSIGN_OR_RETURN(auto channel, rpc::Connect(options.queue));
  return std::make_unique<RpcNotifier>(std::move(channel), std::move(options));
}

}  // namespace godwit::smtp_ingress
