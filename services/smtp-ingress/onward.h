#pragma once

// Onward: the recipients of one message whose mail goes on to other servers, in groups of one
// sender each, and the way of the message into delivery-queue. Where it goes from there is the
// queue's to know.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "libs/base/task.h"
#include "libs/outgoing/sender.h"

namespace godwit::smtp_ingress {

class Onward {
 public:
  // Recipients of one message must have the same origin and sender. Twice the same recipient of a
  // group is one.
  void Add(outgoing::Origin origin, const std::string& reverse_path, outgoing::Recipient recipient);

  bool empty() const { return groups_.empty(); }
  size_t size() const { return size_; }  // recipients

  // Hands one message a group to the queue: `message` says everything but origin, sender,
  // recipients and key. OK: all are durable there. With an error some of them may be: the client
  // will send the message again, and these recipients get it twice. `id` names the transaction;
  // `sender` and `body` live until the end.
  base::Task<absl::Status> Send(outgoing::Sender* sender, outgoing::Message message,
                                std::string_view body, std::string id) const;

 private:
  struct Group {
    outgoing::Origin origin;
    std::string reverse_path;
    std::vector<outgoing::Recipient> recipients;
  };
  std::vector<Group> groups_;
  size_t size_ = 0;
};

}  // namespace godwit::smtp_ingress
