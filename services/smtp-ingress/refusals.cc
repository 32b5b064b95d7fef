#include "services/smtp-ingress/refusals.h"

#include <utility>

#include "libs/base/ascii.h"

namespace godwit::smtp_ingress {

std::string ReplyText(const smtp::Reply& reply) {
  std::string text = std::to_string(reply.code);
  if (!reply.enhanced.empty()) text += " " + reply.enhanced;
  for (const std::string& line : reply.lines) text += " " + line;
  return text;
}

store::RefusedSession MakeRefused(const smtpd::ClientFacts& client, const smtp::Reply& reply,
                                  std::string_view reason) {
  store::RefusedSession row;
  row.session = client.session;
  row.client = client.address;
  row.greeting_name = client.greeting_name;
  row.tls = client.tls;
  row.reply = ReplyText(reply);
  row.reason = reason;
  return row;
}

void Refusals::NoteRecipient(const smtp::Address& address, const smtp::Reply& reply) {
  ++recipient_count_;
  if (!reply.positive()) {
    last_ = reply;
    reason_ = "recipient";
  }
  if (refused_ == store::kMaxKeptRecipients) return;
  if (!reply.positive()) {
    recipients_.insert(recipients_.begin() + static_cast<std::ptrdiff_t>(refused_++),
                       {address.ToString(), ReplyText(reply)});
  } else {
    recipients_.push_back({address.ToString(), ""});
  }
  if (recipients_.size() > store::kMaxKeptRecipients) recipients_.pop_back();
}

void Refusals::NoteMessage(const smtp::Reply& reply, std::string_view reason, std::string verdict) {
  last_ = reply;
  reason_ = reason;
  verdict_ = std::move(verdict);
}

store::RefusedSession Refusals::Row(const smtpd::ClientFacts& client,
                                    const smtp::Address& reverse_path, std::string_view id) {
  store::RefusedSession row = MakeRefused(client, last_, reason_);
  const auto number = base::ParseDecimal(id.substr(id.rfind('.') + 1));
  row.transaction = static_cast<int64_t>(number.value_or(0));
  row.mail_from = reverse_path.ToString();
  row.recipients = std::move(recipients_);
  row.recipient_count = recipient_count_;
  // Without the line ends of its folding.
  for (const char c : verdict_) {
    if (c != '\r' && c != '\n') row.verdict += c;
  }
  return row;
}

}  // namespace godwit::smtp_ingress
