#include "services/smtp-ingress/onward.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"

namespace godwit::smtp_ingress {

void Onward::Add(outgoing::Origin origin, const std::string& reverse_path,
                 outgoing::Recipient recipient) {
  auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) {
    return g.origin == origin && g.reverse_path == reverse_path;
  });
  if (group == groups_.end()) group = groups_.insert(group, Group{origin, reverse_path, {}});
  auto& recipients = group->recipients;
  const bool known = std::any_of(recipients.begin(), recipients.end(), [&](const auto& other) {
    return other.address == recipient.address;
  });
  if (known) return;
  recipients.push_back(std::move(recipient));
  ++size_;
}

base::Task<absl::Status> Onward::Send(outgoing::Sender* sender, outgoing::Message message,
                                      std::string_view body, std::string id) const {
  const bool smtputf8 = message.smtputf8;
  for (size_t i = 0; i < groups_.size(); ++i) {
    message.origin = groups_[i].origin;
    message.reverse_path = groups_[i].reverse_path;
    message.recipients = groups_[i].recipients;
    // RFC 6531 §3.4: a member of an alias may need what the client did not.
    message.smtputf8 = smtputf8 || std::any_of(message.recipients.begin(), message.recipients.end(),
                                               [](const outgoing::Recipient& recipient) {
                                                 return !base::IsAscii(recipient.address);
                                               });
    // A second try of ours after an answer that was lost makes no second message.
    message.idempotency_key = id + "/" + std::to_string(i);
    absl::StatusOr<int64_t> queued =
        co_await sender->Enqueue(&message, outgoing::BodyInMemory(body), id);
    if (!queued.ok()) co_return queued.status();
  }
  co_return absl::OkStatus();
}

}  // namespace godwit::smtp_ingress
