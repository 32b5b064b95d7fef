#pragma once

// Onward: the recipients of one message whose mail goes on to other servers, in groups of one
// sender and one domain of ours each, and the way of the message into delivery-queue. Where it goes
// from there is the queue's to know.

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "libs/base/task.h"
#include "libs/outgoing/sender.h"

namespace godwit::smtp_ingress {

// Header fields to put in front, by the domain that seals; "" where there is no seal.
using Seals = std::map<std::string, std::string>;

class Onward {
 public:
  // What the recipients of one message to the queue have in common.
  struct Way {
    outgoing::Origin origin = outgoing::Origin::kForward;
    std::string reverse_path;
    std::string domain;  // that the message came to, in A-labels; "" for <postmaster>
    friend bool operator==(const Way&, const Way&) = default;
  };

  // Twice the same recipient of a group is one.
  void Add(const Way& way, outgoing::Recipient recipient);

  bool empty() const { return groups_.empty(); }
  size_t size() const { return size_; }   // recipients
  std::set<std::string> domains() const;  // of the groups, but ""

  // Hands one message a group to the queue: `message` says everything but origin, sender,
  // recipients and key. OK: all are durable there. With an error some of them may be: the client
  // will send the message again, and these recipients get it twice. `id` names the transaction;
  // `sender` and `body` live until the end.
  base::Task<absl::Status> Send(outgoing::Sender* sender, outgoing::Message message, Seals seals,
                                std::string_view body, std::string id) const;

 private:
  struct Group {
    Way way;
    std::vector<outgoing::Recipient> recipients;
  };
  std::vector<Group> groups_;
  size_t size_ = 0;
};

}  // namespace godwit::smtp_ingress
