#include "services/smtp-ingress/onward.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/smtp/trace.h"
#include "services/smtp-ingress/content_key.h"
#include "services/smtp-ingress/stored_header.h"

namespace godwit::smtp_ingress {
namespace {

// RFC 5321 §4.5.3.1.8: what everybody takes at once, the queue too.
constexpr size_t kMaxRecipients = 100;

std::string KeyOf(const std::string& content, const Onward::Way& way,
                  const std::vector<outgoing::Recipient>& recipients) {
  std::set<std::string> addresses;
  for (const outgoing::Recipient& recipient : recipients) addresses.insert(recipient.address);
  ContentKey key;
  key.Add(content);
  // Not the sender as it is rewritten: he has another one tomorrow.
  key.Add(std::to_string(static_cast<int>(way.origin)));
  key.Add(way.domain);
  key.Add(way.by.ToString());
  for (const std::string& address : addresses) key.Add(address);
  return key.Finish();
}

}  // namespace

Onward::Group& Onward::GroupWithRoom(const Way& way) {
  auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& other) {
    return other.way == way && other.recipients.size() < kMaxRecipients;
  });
  if (group == groups_.end()) group = groups_.insert(group, Group{way, {}});
  return *group;
}

void Onward::Add(const Way& way, outgoing::Recipient recipient) {
  const bool known = std::any_of(groups_.begin(), groups_.end(), [&](const Group& group) {
    return group.way == way &&
           std::any_of(group.recipients.begin(), group.recipients.end(),
                       [&](const auto& other) { return other.address == recipient.address; });
  });
  if (known) return;
  GroupWithRoom(way).recipients.push_back(std::move(recipient));
  ++size_;
}

bool Onward::forwards() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const Group& group) {
    return group.way.origin == outgoing::Origin::kForward;
  });
}

std::set<std::string> Onward::domains() const {
  std::set<std::string> domains;
  for (const Group& group : groups_) {
    if (!group.way.domain.empty()) domains.insert(group.way.domain);
  }
  return domains;
}

bool Onward::CameBack(std::string_view header) const {
  const std::vector<std::string> before = DeliveredTo(header);
  return std::any_of(groups_.begin(), groups_.end(), [&](const Group& group) {
    return !group.way.by.is_null() &&
           std::any_of(before.begin(), before.end(), [&](const std::string& address) {
             return base::EqualsIgnoreCase(address, group.way.by.ToString());
           });
  });
}

// RFC 3461 §4.1: who asked for nothing else is told nothing; without NOTIFY it would be failures.
void Onward::TellFailuresOnly() {
  for (Group& group : groups_) {
    for (outgoing::Recipient& recipient : group.recipients) {
      const bool asked = recipient.success || recipient.delay;
      recipient.success = recipient.delay = false;
      recipient.never = recipient.never || (asked && !recipient.failure);
    }
  }
}

base::Task<absl::Status> Onward::Send(outgoing::Sender* sender, outgoing::Message message,
                                      Seals seals, std::string_view body, std::string content,
                                      std::string id) const {
  const bool smtputf8 = message.smtputf8;
  const std::string header = std::move(message.header);
  for (const Group& group : groups_) {
    const Way& way = group.way;
    message.origin = way.origin;
    message.reverse_path = way.reverse_path;
    message.header = way.by.is_null() ? "" : smtp::WriteDeliveredTo(way.by);
    message.header += seals[way.domain] + header;
    message.recipients = group.recipients;
    // RFC 6531 §3.4: a member of an alias may need what the client did not.
    message.smtputf8 = smtputf8 || std::any_of(message.recipients.begin(), message.recipients.end(),
                                               [](const outgoing::Recipient& recipient) {
                                                 return !base::IsAscii(recipient.address);
                                               });
    message.idempotency_key = KeyOf(content, way, group.recipients);
    absl::StatusOr<int64_t> queued =
        co_await sender->Enqueue(&message, outgoing::BodyInMemory(body), id);
    if (!queued.ok()) co_return queued.status();
  }
  co_return absl::OkStatus();
}

}  // namespace godwit::smtp_ingress
