#include "services/delivery-queue/rpc_service.h"

#include <google/protobuf/util/time_util.h>

#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/rpc/serve.h"
#include "libs/store/queue_admin.h"
#include "proto/godwit/delivery_queue/v1/delivery_queue.grpc.pb.h"
#include "services/delivery-queue/intake.h"

namespace godwit::delivery_queue {
namespace {

namespace pb = ::godwit::delivery_queue::v1;

using google::protobuf::Timestamp;

constexpr int kDefaultPage = 100;
constexpr int kMaxPage = 1000;
constexpr int kMaxIds = 1000;

Timestamp ToProto(absl::Time time) {
  return google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(time));
}
absl::Time FromProto(const Timestamp& time) {
  return absl::FromUnixMicros(google::protobuf::util::TimeUtil::TimestampToMicroseconds(time));
}

std::optional<store::QueueOrigin> FromProto(pb::Origin origin) {
  switch (origin) {
    case pb::ORIGIN_SUBMISSION: return store::QueueOrigin::kSubmission;
    case pb::ORIGIN_FORWARD: return store::QueueOrigin::kForward;
    case pb::ORIGIN_DSN: return store::QueueOrigin::kDsn;
    case pb::ORIGIN_REPORT: return store::QueueOrigin::kReport;
    case pb::ORIGIN_LOCAL: return store::QueueOrigin::kLocal;
    case pb::ORIGIN_RELAY: return store::QueueOrigin::kRelay;
    default: return std::nullopt;
  }
}
pb::Origin ToProto(store::QueueOrigin origin) {
  switch (origin) {
    case store::QueueOrigin::kSubmission: return pb::ORIGIN_SUBMISSION;
    case store::QueueOrigin::kForward: return pb::ORIGIN_FORWARD;
    case store::QueueOrigin::kDsn: return pb::ORIGIN_DSN;
    case store::QueueOrigin::kReport: return pb::ORIGIN_REPORT;
    case store::QueueOrigin::kLocal: return pb::ORIGIN_LOCAL;
    case store::QueueOrigin::kRelay: return pb::ORIGIN_RELAY;
  }
  return pb::ORIGIN_UNSPECIFIED;
}

std::string FromProto(pb::Ret ret) {
  if (ret == pb::RET_FULL) return "FULL";
  if (ret == pb::RET_HDRS) return "HDRS";
  return "";
}

absl::StatusOr<Submission> FromProto(const pb::Submission& in, std::string caller,
                                     std::string trace) {
  const auto origin = FromProto(in.origin());
  if (!origin && in.origin() == pb::ORIGIN_UNSPECIFIED) return base::InvalidArgument("no origin");
  // A newer caller's. It comes again, and meets a newer replica of ours.
  if (!origin) return base::Unavailable("an origin that is not known yet");
  Submission out;
  out.caller = std::move(caller);
  out.key = in.idempotency_key();
  out.size = in.size();
  out.envelope.origin = *origin;
  out.envelope.account = store::AccountId{in.account_id()};
  out.envelope.client_address = in.client_address();
  out.envelope.user = in.user();
  out.envelope.reverse_path = in.reverse_path();
  out.envelope.ret = FromProto(in.ret());
  out.envelope.envid = in.envid();
  out.envelope.requiretls = in.requiretls();
  out.envelope.smtputf8 = in.smtputf8();
  out.envelope.body_8bit = in.body_8bit();
  out.envelope.trace_id = std::move(trace);
  if (in.has_hold_until()) out.envelope.hold_until = FromProto(in.hold_until());
  for (const pb::Recipient& recipient : in.recipients()) {
    out.recipients.push_back(
        {recipient.address(), static_cast<int>(recipient.notify()), recipient.orcpt()});
  }
  return out;
}

absl::StatusOr<store::QueueSelection> FromProto(const pb::Selection& in) {
  if (in.queue_ids_size() > kMaxIds) return base::InvalidArgument("at most 1000 ids");
  store::QueueSelection out;
  for (int64_t id : in.queue_ids()) out.ids.push_back(store::QueueId{id});
  out.account = store::AccountId{in.account_id()};
  out.sender = in.sender();
  out.recipient = in.recipient();
  out.recipient_domain = base::Lower(in.recipient_domain());
  out.only_held = in.only_held();
  return out;
}

pb::QueuedRecipient::State StateFrom(std::string_view state) {
  if (state == "delivered") return pb::QueuedRecipient::STATE_DELIVERED;
  if (state == "failed") return pb::QueuedRecipient::STATE_FAILED;
  if (state == "dropped") return pb::QueuedRecipient::STATE_DROPPED;
  return pb::QueuedRecipient::STATE_PENDING;
}

void Fill(const store::QueueRecipientStatus& in, pb::QueuedRecipient* out) {
  out->set_number(static_cast<uint32_t>(in.number));
  out->set_address(in.address);
  out->set_state(StateFrom(in.state));
  out->set_hold(in.hold);
  out->set_attempts(static_cast<uint32_t>(in.attempts));
  *out->mutable_next_attempt_at() = ToProto(in.next_attempt);
  if (in.last_attempt) *out->mutable_last_attempt_at() = ToProto(*in.last_attempt);
  out->set_last_reply(in.last_reply);
  out->set_last_site(in.last_site);
}

void Fill(const store::QueueMessageStatus& in, pb::QueuedMessage* out) {
  out->set_queue_id(store::ToInt(in.id));
  out->set_origin(ToProto(in.envelope.origin));
  out->set_account_id(store::ToInt(in.envelope.account));
  out->set_reverse_path(in.envelope.reverse_path);
  out->set_envid(in.envelope.envid);
  out->set_size(in.size);
  *out->mutable_enqueued_at() = ToProto(in.envelope.enqueued_at);
  *out->mutable_expires_at() = ToProto(in.envelope.expires_at);
  out->set_hold(in.hold);
  out->set_hold_reason(in.hold_reason);
  if (in.envelope.hold_until) *out->mutable_hold_until() = ToProto(*in.envelope.hold_until);
  out->set_trace_id(in.envelope.trace_id);
  out->set_recipients_total(static_cast<uint32_t>(in.recipients_total));
  out->set_recipients_pending(static_cast<uint32_t>(in.recipients_pending));
  if (in.next_due != absl::InfiniteFuture()) {
    *out->mutable_next_attempt_at() = ToProto(in.next_due);
  }
  for (const auto& recipient : in.recipients) Fill(recipient, out->add_recipients());
}

// Microseconds and id of the last message of a page.
std::string WritePage(const store::QueueMessageStatus& last) {
  return std::to_string(absl::ToUnixMicros(last.envelope.enqueued_at)) + ' ' +
         std::to_string(store::ToInt(last.id));
}
absl::StatusOr<store::QueuePosition> ReadPage(const std::string& page) {
  if (page.empty()) return store::QueuePosition();
  const auto parts = base::Split(page, ' ');
  if (parts.size() == 2) {
    const auto micros = base::ParseDecimal(parts[0]);
    const auto id = base::ParseDecimal(parts[1]);
    if (micros && id) {
      return store::QueuePosition{absl::FromUnixMicros(static_cast<int64_t>(*micros)),
                                  store::QueueId{static_cast<int64_t>(*id)}};
    }
  }
  return base::InvalidArgument("page");
}

const char* LabelOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kPermissionDenied: return "refused";
    case absl::StatusCode::kResourceExhausted: return "overload";
    default: return "failed";
  }
}

class RpcService : public pb::DeliveryQueue::CallbackService {
 public:
  explicit RpcService(const RpcParts& parts)
      : parts_(parts),
        shared_({.settings = parts.settings,
                 .clock = parts.clock,
                 .random = parts.random,
                 .pool = parts.pool,
                 .worker = parts.worker,
                 .signer = parts.signer,
                 .metrics = parts.metrics}) {}

  grpc::ServerReadReactor<pb::EnqueueRequest>* Enqueue(grpc::CallbackServerContext* context,
                                                       pb::EnqueueResponse* response) override {
    return rpc::ServeStream<pb::EnqueueRequest>(
        context, parts_.executors->Next(),
        [this, response, caller = rpc::CallerOf(*context), trace = rpc::TraceOf(*context)](
            Reader* reader) { return Admit(reader, response, caller, trace); });
  }

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const pb::ListRequest* in,
                                 pb::ListResponse* out) override {
    return rpc::ServeUnary(context, parts_.executors->Next(), DoList(in, out));
  }
  grpc::ServerUnaryReactor* Show(grpc::CallbackServerContext* context, const pb::ShowRequest* in,
                                 pb::ShowResponse* out) override {
    return rpc::ServeUnary(context, parts_.executors->Next(), DoShow(in, out));
  }
  grpc::ServerUnaryReactor* Retry(grpc::CallbackServerContext* context, const pb::SelectRequest* in,
                                  pb::SelectResponse* out) override {
    return Act(context, in->selection(), out,
               [now = parts_.clock->Now()](db::Connection& c, const store::QueueSelection& s) {
                 return store::RetryQueued(c, s, now);
               });
  }
  grpc::ServerUnaryReactor* Hold(grpc::CallbackServerContext* context, const pb::HoldRequest* in,
                                 pb::SelectResponse* out) override {
    return Act(context, in->selection(), out,
               [reason = in->reason()](db::Connection& c, const store::QueueSelection& s) {
                 return store::HoldQueued(c, s, reason);
               });
  }
  grpc::ServerUnaryReactor* Release(grpc::CallbackServerContext* context,
                                    const pb::SelectRequest* in, pb::SelectResponse* out) override {
    return Act(context, in->selection(), out,
               [now = parts_.clock->Now()](db::Connection& c, const store::QueueSelection& s) {
                 return store::ReleaseQueued(c, s, now);
               });
  }
  grpc::ServerUnaryReactor* Fail(grpc::CallbackServerContext* context, const pb::FailRequest* in,
                                 pb::SelectResponse* out) override {
    return Act(context, in->selection(), out,
               [text = in->text(), now = parts_.clock->Now()](db::Connection& c,
                                                              const store::QueueSelection& s) {
                 return store::FailQueued(c, s, text, now);
               });
  }
  grpc::ServerUnaryReactor* Drop(grpc::CallbackServerContext* context, const pb::SelectRequest* in,
                                 pb::SelectResponse* out) override {
    return Act(
        context, in->selection(), out,
        [](db::Connection& c, const store::QueueSelection& s) { return store::DropQueued(c, s); });
  }

 private:
  using Reader = rpc::RequestReader<pb::EnqueueRequest>;

  // Bounds the messages that are being taken.
  base::Task<absl::Status> Admit(Reader* reader, pb::EnqueueResponse* response, std::string caller,
                                 std::string trace) {
    if (in_progress_.fetch_add(1) >= parts_.settings->concurrent_enqueues) {
      in_progress_.fetch_sub(1);
      parts_.metrics->enqueued.At({"overload"}).Add();
      co_return base::ResourceExhausted("too many messages at once");
    }
    Intake intake(&shared_);
    absl::Status status = co_await Take(&intake, reader, response, std::move(caller), trace);
    if (!status.ok()) {
      co_await intake.Abandon();
      parts_.metrics->enqueued.At({LabelOf(status)}).Add();
      obs::Log(obs::Level::kWarning, "not enqueued", {{"trace", trace}, {"status", status}});
    }
    in_progress_.fetch_sub(1);
    co_return status;
  }

  base::Task<absl::Status> Take(Intake* intake, Reader* reader, pb::EnqueueResponse* response,
                                std::string caller, std::string trace) {
    std::optional<pb::EnqueueRequest> request = co_await reader->Next();
    if (!request || !request->has_submission()) co_return base::InvalidArgument("no submission");
    absl::StatusOr<Submission> submission =
        FromProto(request->submission(), std::move(caller), trace);
    if (!submission.ok()) co_return submission.status();
    absl::Status status = co_await intake->Begin(*std::move(submission));
    for (bool first = true; status.ok() && request; first = false) {
      if (!first && request->has_submission()) co_return base::InvalidArgument("two submissions");
      if (!request->header().empty()) status = intake->TakeHeader(request->header());
      if (status.ok() && !request->body().empty()) {
        status = co_await intake->TakeBody(std::move(*request->mutable_body()));
      }
      if (status.ok()) request = co_await reader->Next();
    }
    if (!status.ok()) co_return status;
    // The end of the stream may also be the end of the caller.
    if (reader->cancelled()) co_return base::Cancelled("the caller is gone");
    absl::StatusOr<store::EnqueueResult> result = co_await intake->Commit();
    if (!result.ok()) co_return result.status();
    const bool duplicate = result->code == store::EnqueueCode::kDuplicate;
    parts_.metrics->enqueued.At({duplicate ? "duplicate" : "taken"}).Add();
    response->set_queue_id(store::ToInt(result->id));
    response->set_duplicate(duplicate);
    obs::Log(obs::Level::kInfo, "enqueued",
             {{"trace", trace}, {"queue_id", response->queue_id()}, {"duplicate", duplicate}});
    co_return absl::OkStatus();
  }

  base::Task<absl::Status> DoList(const pb::ListRequest* in, pb::ListResponse* out) {
    auto selection = FromProto(in->selection());
    if (!selection.ok()) co_return selection.status();
    auto page = ReadPage(in->page());
    if (!page.ok()) co_return page.status();
    const int limit = in->limit() == 0
                          ? kDefaultPage
                          : static_cast<int>(std::min<uint32_t>(in->limit(), kMaxPage));
    auto messages =
        co_await parts_.pool->Run([selection = *selection, page = *page, limit](db::Connection& c) {
          return store::ListQueued(c, selection, page, limit);
        });
    if (!messages.ok()) co_return messages.status();
    for (const auto& message : *messages) Fill(message, out->add_messages());
    if (std::ssize(*messages) == limit) out->set_next_page(WritePage(messages->back()));
    co_return absl::OkStatus();
  }

  base::Task<absl::Status> DoShow(const pb::ShowRequest* in, pb::ShowResponse* out) {
    auto message =
        co_await parts_.pool->Run([id = store::QueueId{in->queue_id()}](db::Connection& c) {
          return store::ShowQueued(c, id);
        });
    if (!message.ok()) co_return message.status();
    if (in->account_id() != 0 && store::ToInt(message->envelope.account) != in->account_id()) {
      co_return base::NotFound("no such message");
    }
    Fill(*message, out->mutable_message());
    co_return absl::OkStatus();
  }

  template <typename Change>
  grpc::ServerUnaryReactor* Act(grpc::CallbackServerContext* context, const pb::Selection& in,
                                pb::SelectResponse* out, Change change) {
    return rpc::ServeUnary(context, parts_.executors->Next(),
                           DoAct<Change>(FromProto(in), out, std::move(change)));
  }
  template <typename Change>
  base::Task<absl::Status> DoAct(absl::StatusOr<store::QueueSelection> selection,
                                 pb::SelectResponse* out, Change change) {
    if (!selection.ok()) co_return selection.status();
    absl::StatusOr<int64_t> changed =
        co_await parts_.pool->Run([selection = *selection, change = std::move(change)](
                                      db::Connection& c) { return change(c, selection); });
    if (!changed.ok()) co_return changed.status();
    out->set_messages(*changed);
    co_return absl::OkStatus();
  }

  const RpcParts parts_;
  IntakeShared shared_;
  std::atomic<size_t> in_progress_{0};
};

}  // namespace

rpc::Callers Callers() {
  const std::string service = "/godwit.delivery_queue.v1.DeliveryQueue/";
  rpc::Callers callers = {
      {service + "Enqueue",
       {"submission", "webmail-api", "smtp-ingress", "auth-verifier", "tls-policy"}}};
  for (const char* method : {"List", "Show", "Retry", "Hold", "Release", "Fail", "Drop"}) {
    callers[service + method] = {"webmail-api"};
  }
  return callers;
}

std::unique_ptr<grpc::Service> NewRpcService(const RpcParts& parts) {
  return std::make_unique<RpcService>(parts);
}

}  // namespace godwit::delivery_queue
