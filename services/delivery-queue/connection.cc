#include "services/delivery-queue/connection.h"

#include <algorithm>
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
// A server that is restarted leaves all kept connections dead, and each says so only when it is
// used. They are closed one by one, so this bound is for servers that cut on purpose.
constexpr int kMostDead = 100;

// One connection to a site that is spoken to by SMTP. A message that its host can not take now goes
// to the hosts behind it, over a second connection for as long as that takes.
class SmtpConnection {
 public:
  SmtpConnection(const ConnectionParts* parts, int64_t id, RoutePtr route)
      : parts_(parts), id_(id), route_(std::move(route)) {}

  base::Task<void> Run() {
    Found found = co_await Reach(0);
    if (found.session == nullptr) {
      parts_->owner->OnUnreachable(id_, why_.reply, why_.at);
      parts_->owner->OnClosed(id_, false);
      co_return;
    }
    session_ = std::move(found.session);
    host_ = found.host;
    missed_ = found.missed;
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
  struct Found {
    std::unique_ptr<SmtpSession> session;  // null: nobody takes us
    size_t host = 0;
    bool missed = false;  // one before it could not be reached, and may be another time
  };

  // The first host, from number `first` on, and address that takes us. RFC 5321 §5.1: in their
  // order, and at least two, hence half of the time for one.
  base::Task<Found> Reach(size_t first) {
    why_.reply = {451, "4.4.4", {"The domain has no server that can be used"}};
    why_.at = kAtRoute;
    Found found;
    const absl::Duration most = parts_->settings->opening_timeout;
    const absl::Duration end = Now() + most;
    int tries = 0;
    for (found.host = first; found.host < route_->hosts.size(); ++found.host) {
      const RouteHost& host = route_->hosts[found.host];
      if (host.need == TlsNeed::kUnusable) {
        ReportUnusable(host);
        continue;
      }
      for (const base::IpAddress& address : host.addresses) {
        if (++tries > 2 && Now() >= end) break;
        const absl::Duration share = Now() + most / 2;
        found.session =
            co_await TryAddress(&host, address, tries > 2 ? std::min(end, share) : share);
        if (found.session != nullptr) co_return found;
        found.missed = true;
      }
    }
    co_return found;
  }

  static absl::Duration Now() { return net::Reactor::Current()->Now(); }

  base::Task<std::unique_ptr<SmtpSession>> TryAddress(const RouteHost* host,
                                                      base::IpAddress address,
                                                      absl::Duration deadline) {
    std::unique_ptr<SmtpSession> before;
    for (;;) {
      const bool in_clear = before != nullptr;
      auto session = std::make_unique<SmtpSession>(parts_, host, route_->kind);
      std::optional<SmtpSession::Problem> problem =
          co_await session->Open({address, route_->port}, in_clear, deadline);
      if (in_clear) session->TakeReport(before.get());
      if (!problem) co_return session;
      co_await session->Quit();
      why_ = *problem;
      // RFC 7435 §3: opportunistic TLS that does not work is not better than none.
      if (!problem->handshake || in_clear) co_return nullptr;
      before = std::move(session);
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
    const bool kept = session_->carried();
    JobResult result = co_await Deliver(session_.get(), job.get());
    if (session_->found_dead() && job->dead < kMostDead) {
      job->dead += kept ? 1 : kMostDead;
      parts_->owner->OnRequeue(std::move(job));
      co_return;
    }
    if (result.elsewhere) result = co_await TryOthers(job.get(), std::move(result));
    parts_->owner->OnResult(std::move(job), std::move(result));
  }

  static base::Task<JobResult> Deliver(SmtpSession* session, Job* job) {
    JobResult result = co_await session->Deliver(job);
    session->ReportFor(*job->route);
    for (const RoutePtr& route : job->also) session->ReportFor(*route);
    co_return result;
  }

  static bool IsDeferred(const JobResult& result) {
    return std::all_of(result.recipients.begin(), result.recipients.end(), [](const auto& one) {
      return one.state == RecipientResult::State::kDeferred;
    });
  }

  // RFC 5321 §5.1: each host in its order until one takes the message; RFC 8689 §4.2.1: also when
  // it is we who want what a host has not. That is the end only when no host was missed.
  base::Task<JobResult> TryOthers(Job* job, JobResult result) {
    const bool broken = IsDeferred(result) && result.recipients.front().at == kAtMail;
    std::optional<JobResult> deferred;
    if (IsDeferred(result)) deferred = result;
    bool missed = missed_;
    if (!session_->usable()) co_await session_->Quit();
    std::unique_ptr<SmtpSession> other;
    size_t at = host_;
    while (result.elsewhere) {
      Found found = co_await Reach(at + 1);
      missed |= found.missed;
      if (found.session == nullptr) break;
      if (other != nullptr) co_await other->Quit();
      other = std::move(found.session);
      at = found.host;
      result = co_await Deliver(other.get(), job);
      if (IsDeferred(result)) deferred = result;
    }
    if (result.elsewhere && !deferred && missed) {
      const smtp::Reply later{451, "4.4.1", {"Not every server of the domain can be reached"}};
      deferred = AllOf(*job, RecipientResult::State::kDeferred, later, kAtConnect);
    }
    if (result.elsewhere && deferred) result = *std::move(deferred);
    if (other == nullptr) co_return result;
    // One of the two is kept: the first, unless it takes nothing.
    const bool better = broken && !IsDeferred(result);
    if (other->usable() && (better || !session_->usable())) {
      std::swap(other, session_);
      host_ = at;
      missed_ = true;
    }
    co_await other->Quit();
    co_return result;
  }

  const ConnectionParts* const parts_;
  const int64_t id_;
  const RoutePtr route_;
  std::unique_ptr<SmtpSession> session_;
  size_t host_ = 0;      // its number
  bool missed_ = false;  // one before it could not be reached, or took nothing
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
