#include "services/delivery-queue/notice.h"

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dsn/write.h"
#include "libs/obs/log.h"
#include "libs/smtp/path.h"

namespace godwit::delivery_queue {
namespace {

// Of a message that comes back whole because its sender asked for it.
constexpr uint64_t kMaxReturned = 1 << 20;

std::optional<smtp::DsnReturn> RetFrom(const std::string& ret) {
  if (ret == "FULL") return smtp::DsnReturn::kFull;
  if (ret == "HDRS") return smtp::DsnReturn::kHeaders;
  return std::nullopt;
}

// Where the header ends, the empty line included.
size_t HeaderSize(std::string_view message) {
  const size_t end = message.find("\r\n\r\n");
  return end == std::string_view::npos ? message.size() : end + 4;
}

dsn::Report MakeReport(const Settings& settings, const Attempt& attempt,
                       std::vector<dsn::Recipient> told) {
  dsn::Report report;
  report.reporting_mta = settings.hostname;
  report.envelope_id = attempt.message.envelope.envid;
  report.arrival = absl::FromUnixSeconds(absl::ToUnixSeconds(attempt.message.envelope.enqueued_at));
  report.recipients = std::move(told);
  return report;
}

}  // namespace

base::Task<absl::StatusOr<std::string>> NoticeWriter::Read(AttemptPtr attempt, int32_t seq) {
  absl::StatusOr<std::string> octets = co_await parts_.pool->Run(
      [id = attempt->id(), seq](db::Connection& c) { return store::ReadQueueChunk(c, id, seq); });
  co_return octets;
}

base::Task<absl::StatusOr<std::string>> NoticeWriter::ReadBody(AttemptPtr attempt) {
  if (attempt->body) co_return *attempt->body;
  const auto size = static_cast<size_t>(attempt->message.size - attempt->message.header_size);
  std::string body;
  for (int32_t seq = 1; body.size() < size; ++seq) {
    absl::StatusOr<std::string> chunk = co_await Read(attempt, seq);
    if (!chunk.ok()) co_return chunk.status();
    body += *chunk;
  }
  co_return body;
}

// RFC 3461 §6.1: a notice asks for none itself.
absl::StatusOr<store::NewQueueMessage> NoticeWriter::Pack(const Attempt& attempt, std::string text,
                                                          bool smtputf8, std::string key,
                                                          absl::Time now) const {
  const auto to = smtp::ParseMailbox(attempt.message.envelope.reverse_path, smtp::kWidePath);
  if (!to) return base::InvalidArgument("the reverse-path can not be read");
  store::NewQueueMessage notice;
  notice.id = store::NewQueueId(parts_.random);
  notice.idempotency_key = std::move(key);
  notice.envelope.origin = store::QueueOrigin::kDsn;
  notice.envelope.smtputf8 = smtputf8;
  // RFC 8689 §5: what is said of a message is protected as the message was.
  notice.envelope.requiretls = attempt.message.envelope.requiretls;
  notice.envelope.body_8bit = !base::IsAscii(text);
  notice.envelope.trace_id = attempt.trace();
  notice.envelope.enqueued_at = now;
  notice.envelope.expires_at = now + parts_.settings->give_up;
  notice.recipients.push_back({.local_part = to->local_part,
                               .domain = to->domain,
                               .orcpt = "",
                               .notify = store::kNotifyNever});
  const size_t split = HeaderSize(text);
  notice.body = text.substr(split);
  text.resize(split);
  notice.header = std::move(text);
  return notice;
}

base::Task<std::string> NoticeWriter::Sign(std::string text, std::string from, std::string trace) {
  if (parts_.signer == nullptr) co_return text;
  absl::StatusOr<std::string> fields = co_await parts_.signer->Sign(text, std::move(from), trace);
  if (!fields.ok()) {
    obs::Log(obs::Level::kWarning, "notice not signed",
             {{"trace", trace}, {"status", fields.status()}});
    co_return text;
  }
  co_return *fields + text;
}

base::Task<absl::StatusOr<store::NewQueueMessage>> NoticeWriter::Write(
    AttemptPtr attempt, std::vector<dsn::Recipient> told, std::string key, absl::Time now) {
  const Settings& settings = *parts_.settings;
  dsn::Notification notification;
  notification.date = now;
  notification.message_id = parts_.random->Token(24) + "@" + settings.hostname;
  notification.boundary = parts_.random->Token(30);
  notification.from = "postmaster@" + settings.notice_domain;
  notification.to = attempt->message.envelope.reverse_path;
  notification.smtputf8 = attempt->message.envelope.smtputf8;
  notification.report = MakeReport(settings, *attempt, std::move(told));
  absl::StatusOr<std::string> header = attempt->header.value_or("");
  if (!attempt->header) header = co_await Read(attempt, 0);
  if (!header.ok()) co_return header.status();
  notification.original_header = *header;
  notification.returned =
      dsn::WhatToReturn(notification.report, RetFrom(attempt->message.envelope.ret),
                        static_cast<uint64_t>(attempt->message.size),
                        {.small = settings.notice_return_size, .limit = kMaxReturned});
  std::string original;
  if (notification.returned == dsn::Returned::kMessage) {
    absl::StatusOr<std::string> body = co_await ReadBody(attempt);
    if (!body.ok()) co_return body.status();
    notification.original_body_8bit = !base::IsAscii(*body);
    original = *header + *body;
  }
  absl::StatusOr<dsn::Written> written = dsn::Write(notification);
  if (!written.ok()) co_return written.status();
  std::string text =
      co_await Sign(written->head + original + written->tail, notification.from, attempt->trace());
  co_return Pack(*attempt, std::move(text), written->needs_smtputf8, std::move(key), now);
}

}  // namespace godwit::delivery_queue
