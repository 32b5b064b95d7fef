#include "services/smtp-ingress/notifier.h"

#include <string_view>

#include "libs/base/status.h"
#include "libs/dsn/write.h"

namespace godwit::smtp_ingress {
namespace {

// Of the message's header, which comes back; more helps nobody.
constexpr size_t kMaxReturned = 64 * 1024;

// The lines at its front.
std::string Front(std::string header) {
  if (header.size() <= kMaxReturned) return header;
  header.resize(header.rfind("\r\n", kMaxReturned) + 2);
  return header;
}

}  // namespace

base::Task<absl::Status> Notifier::Tell(DeliveryNotice notice) const {
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
  absl::StatusOr<dsn::Written> written = dsn::Write(out);
  if (!written.ok()) co_return written.status();

  const std::string text = written->head + written->tail;
  const size_t split = text.find("\r\n\r\n") + 4;
  const std::string_view body = std::string_view(text).substr(split);
  outgoing::Message message;
  message.idempotency_key = notice.id;
  // RFC 3461 §6.1: from <>, and nobody is told of what becomes of it.
  message.origin = outgoing::Origin::kNotice;
  outgoing::Recipient& sender = message.recipients.emplace_back();
  sender.address = notice.reverse_path;
  sender.never = true;
  message.smtputf8 = written->needs_smtputf8;
  message.body_8bit = written->needs_8bit;
  // RFC 8689 §5: what is said of a message is protected as the message was.
  message.requiretls = notice.require_tls;
  message.header = text.substr(0, split);
  message.body_size = body.size();
  absl::StatusOr<int64_t> queued =
      co_await options_.sender->Enqueue(&message, outgoing::BodyInMemory(body), notice.id);
  co_return queued.status();
}

}  // namespace godwit::smtp_ingress
