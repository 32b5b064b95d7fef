#include "services/delivery-queue/connection.h"

#include <optional>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/json.h"
#include "libs/smtp/path.h"
#include "libs/store/queue.h"
#include "services/delivery-queue/smtp_session.h"

namespace godwit::delivery_queue {
namespace {

// A message that waited in memory for longer is asked for again before its dialogue.
constexpr absl::Duration kFresh = absl::Seconds(1);

// One connection to a site that is spoken to by SMTP.
class SmtpConnection {
 public:
  SmtpConnection(const ConnectionParts* parts, int64_t id, RoutePtr route)
      : parts_(parts), id_(id), route_(std::move(route)) {}

  base::Task<void> Run() {
    co_await Reach();
    if (session_ == nullptr) {
      parts_->owner->OnUnreachable(id_, why_.reply, why_.at);
      parts_->owner->OnClosed(id_, false);
      co_return;
    }
    while (session_->usable()) {
      std::unique_ptr<Job> job = co_await parts_->owner->NextJob(id_);
      if (job == nullptr) break;
      co_await Work(std::move(job));
    }
    co_await session_->Quit();
    session_.reset();
    parts_->owner->OnClosed(id_, true);
  }

 private:
  // The first host and address that takes us. RFC 5321 §5.1: in their order.
  base::Task<void> Reach() {
    why_.reply = {451, "4.4.4", {"The domain has no server that can be used"}};
    why_.at = kAtRoute;
    for (const RouteHost& host : route_->hosts) {
      if (host.need == TlsNeed::kUnusable) {
        ReportUnusable(host);
        continue;
      }
      for (const base::IpAddress& address : host.addresses) {
        co_await TryAddress(&host, address);
        if (session_ != nullptr) co_return;
      }
    }
  }

  base::Task<void> TryAddress(const RouteHost* host, base::IpAddress address) {
    bool in_clear = false;
    for (;;) {
      auto session = std::make_unique<SmtpSession>(parts_, host, route_->kind);
      std::optional<SmtpSession::Problem> problem =
          co_await session->Open(address, route_->port, in_clear);
      if (!problem) {
        session_ = std::move(session);
        co_return;
      }
      co_await session->Quit();
      why_ = *problem;
      // RFC 7435 §3: opportunistic TLS that does not work is not better than none.
      if (!problem->handshake || in_clear) co_return;
      in_clear = true;
    }
  }

  void ReportUnusable(const RouteHost& host) {
    why_.reply = {451, "4.7.5", {host.name + " can not be used: " + host.problem}};
    why_.at = kAtTls;
    if (parts_->policy == nullptr || host.report.empty() || host.unusable_result == 0) return;
    TlsOutcome outcome;
    outcome.report = host.report;
    outcome.result = host.unusable_result;
    outcome.host = host.name;
    outcome.reason = host.problem;
    parts_->policy->Record(std::move(outcome));
  }

  base::Task<void> Work(std::unique_ptr<Job> job) {
    if (parts_->clock->Monotonic() - job->attempt->loaded_at > kFresh) {
      const bool wanted = co_await parts_->owner->StillWanted(job.get());
      if (!wanted) {
        parts_->owner->OnResult(std::move(job), {});
        co_return;
      }
    }
    JobResult result = co_await session_->Deliver(job.get());
    if (session_->found_dead() && !job->tried) {
      job->tried = true;
      parts_->owner->OnRequeue(std::move(job));
      co_return;
    }
    parts_->owner->OnResult(std::move(job), std::move(result));
  }

  const ConnectionParts* const parts_;
  const int64_t id_;
  const RoutePtr route_;
  std::unique_ptr<SmtpSession> session_;
  SmtpSession::Problem why_;
};

// --- Capture

void AppendField(std::string_view name, std::string_view value, std::string* json) {
  *json += *json == "{" ? "" : ", ";
  obs::AppendJsonString(name, json);
  *json += ": ";
  obs::AppendJsonString(value, json);
}

std::string EnvelopeJson(const Job& job, absl::Time now) {
  const store::DueMessage& message = job.attempt->message;
  std::string json = "{";
  AppendField("mail_from", message.envelope.reverse_path, &json);
  AppendField("captured_at", absl::FormatTime(absl::RFC3339_sec, now, absl::UTCTimeZone()), &json);
  AppendField("queue_id", std::to_string(store::ToInt(message.id)), &json);
  AppendField("origin", store::QueueOriginName(message.envelope.origin), &json);
  AppendField("trace_id", message.envelope.trace_id, &json);
  AppendField("envid", message.envelope.envid, &json);
  AppendField("ret", message.envelope.ret, &json);
  json += message.envelope.requiretls ? ", \"requiretls\": true" : ", \"requiretls\": false";
  json += message.envelope.smtputf8 ? ", \"smtputf8\": true" : ", \"smtputf8\": false";
  std::string addresses, details;
  for (size_t i : job.recipients) {
    const store::DueRecipient& recipient = message.recipients[i];
    const std::string address = smtp::Address{recipient.local_part, recipient.domain}.ToString();
    if (!addresses.empty()) addresses += ", ", details += ", ";
    obs::AppendJsonString(address, &addresses);
    details += "{\"address\": ";
    obs::AppendJsonString(address, &details);
    details += ", \"notify\": " + std::to_string(recipient.notify) + ", \"orcpt\": ";
    obs::AppendJsonString(recipient.orcpt, &details);
    details += "}";
  }
  return json + ", \"rcpt_to\": [" + addresses + "], \"recipients\": [" + details + "]}\n";
}

base::Task<absl::StatusOr<std::string>> ReadMessage(const ConnectionParts* parts,
                                                    AttemptPtr attempt) {
  if (attempt->header && attempt->body) co_return *attempt->header + *attempt->body;
  std::string text;
  for (int32_t seq = 0; std::ssize(text) < attempt->message.size; ++seq) {
    absl::StatusOr<std::string> chunk = co_await parts->pool->Run(
        [id = attempt->id(), seq](db::Connection& c) { return store::ReadQueueChunk(c, id, seq); });
    if (!chunk.ok()) co_return chunk.status();
    text += *chunk;
  }
  co_return text;
}

base::Task<JobResult> CaptureJob(const ConnectionParts* parts, Job* job) {
  absl::StatusOr<std::string> text = co_await ReadMessage(parts, job->attempt);
  absl::StatusOr<int64_t> number = base::Unavailable("lease");
  if (text.ok() && parts->owner->MayFinish(*job->attempt)) {
    number = parts->capture->Write(*text, EnvelopeJson(*job, parts->clock->Now()));
  }
  if (!number.ok()) {
    co_return AllOf(*job, RecipientResult::State::kDeferred,
                    {451, "4.3.0", {"The message can not be captured now"}}, kAtData);
  }
  JobResult result = AllOf(*job, RecipientResult::State::kDelivered,
                           {250, "2.0.0", {"Captured as " + std::to_string(*number)}}, kAtData);
  for (RecipientResult& one : result.recipients) one.host = "capture";
  co_return result;
}

base::Task<void> RunCapture(const ConnectionParts* parts, int64_t id) {
  for (;;) {
    std::unique_ptr<Job> job = co_await parts->owner->NextJob(id);
    if (job == nullptr) break;
    JobResult result = co_await CaptureJob(parts, job.get());
    parts->owner->OnResult(std::move(job), std::move(result));
  }
  parts->owner->OnClosed(id, true);
}

}  // namespace

base::Task<void> RunConnection(const ConnectionParts* parts, int64_t id, RoutePtr route) {
  if (route->kind == RouteKind::kCapture) {
    co_await RunCapture(parts, id);
    co_return;
  }
  SmtpConnection connection(parts, id, std::move(route));
  co_await connection.Run();
}

}  // namespace godwit::delivery_queue
