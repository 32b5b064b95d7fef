#pragma once

// Onward: the recipients of one message whose mail goes on to other servers, in groups that have
// the way in common, and the way of the message into delivery-queue. Where it goes from there is
// the queue's to know.
//
// What an address of ours forwards says so in front (Delivered-To, RFC 9228): when it comes back to
// the same address, it is a loop, and one that would grow with each round where an alias has
// several members.

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "libs/base/task.h"
#include "libs/outgoing/sender.h"
#include "libs/smtp/path.h"

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
    // The address of ours that forwards. One each: members of one need not know of another, which
    // may have been a blind recipient (RFC 5321 §7.2), nor follow its wishes. Null: none does.
    smtp::Address by = {};
    friend bool operator==(const Way&, const Way&) = default;
  };

  // Twice the same recipient of a way is one.
  void Add(const Way& way, outgoing::Recipient recipient);

  bool empty() const { return groups_.empty(); }
  size_t size() const { return size_; }  // recipients
  size_t groups() const { return groups_.size(); }
  bool forwards() const;                  // some of it, as an address of ours says
  std::set<std::string> domains() const;  // of the groups, but ""
  // Whether the message, with this header, was forwarded before by an address that would again.
  bool CameBack(std::string_view header) const;

  // Nobody tells the sender but of failures, and without the body: anybody may have named him.
  void TellFailuresOnly();

  // Hands one message a group to the queue: `message` says everything but origin, sender,
  // recipients and key. OK: all are durable there. With an error some of them may be. `content`
  // stands for what came and from whom: with the same one, the queue takes what it has taken
  // already for the same message. `id` names the transaction; `sender` and `body` live until the
  // end.
  base::Task<absl::Status> Send(outgoing::Sender* sender, outgoing::Message message, Seals seals,
                                std::string_view body, std::string content, std::string id) const;

 private:
  struct Group {
    Way way;
    std::vector<outgoing::Recipient> recipients;  // at most kMaxRecipients
  };
  Group& GroupWithRoom(const Way& way);
  std::vector<Group> groups_;
  size_t size_ = 0;
};

}  // namespace godwit::smtp_ingress
