#include "services/smtp-ingress/onward.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"

namespace godwit::smtp_ingress {

void Onward::Add(const Way& way, outgoing::Recipient recipient) {
  auto group = std::find_if(groups_.begin(), groups_.end(),
                            [&](const Group& other) { return other.way == way; });
  if (group == groups_.end()) group = groups_.insert(group, Group{way, {}});
  auto& recipients = group->recipients;
  const bool known = std::any_of(recipients.begin(), recipients.end(), [&](const auto& other) {
    return other.address == recipient.address;
  });
  if (known) return;
  recipients.push_back(std::move(recipient));
  ++size_;
}

std::set<std::string> Onward::domains() const {
  std::set<std::string> domains;
  for (const Group& group : groups_) {
    if (!group.way.domain.empty()) domains.insert(group.way.domain);
  }
  return domains;
}

base::Task<absl::Status> Onward::Send(outgoing::Sender* sender, outgoing::Message message,
                                      Seals seals, std::string_view body, std::string id) const {
  const bool smtputf8 = message.smtputf8;
  const std::string header = std::move(message.header);
  for (size_t i = 0; i < groups_.size(); ++i) {
    const Way& way = groups_[i].way;
    message.origin = way.origin;
    message.reverse_path = way.reverse_path;
    message.header = seals[way.domain] + header;
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
