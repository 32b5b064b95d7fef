#pragma once

// Sender: what leaves, through auth-verifier's Sign and delivery-queue's Enqueue. RPC messages end
// here.
//
//   OutgoingMessage message{envelope, header};           // body comes from a source
//   absl::StatusOr<int64_t> queue_id = co_await sender->Send(message, body, trace);
//
// Signed or not at all: without a signature nothing is enqueued. The body is read twice, once for
// each daemon, so that nobody holds it.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/rpc/client.h"

namespace godwit::webmail_api {

struct OutgoingMessage {
  int64_t account = 0;
  std::string user;            // who is logged in
  std::string client_address;  // "" unknown
  std::string from_address;    // in From: whose domain signs
  std::string reverse_path;
  std::vector<std::string> recipients;
  std::string idempotency_key;  // 8 to 64 octets
  std::string header;           // with the empty line; complete but for the signature
  bool smtputf8 = false;
  bool body_8bit = false;
};

// Reads the body of the message: each call of the factory begins again.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  // At most 256 KiB; "" at the end.
  virtual base::Task<absl::StatusOr<std::string>> Next() = 0;
};
using BodyFactory = std::function<std::unique_ptr<BodyStream>()>;

class Sender {
 public:
  virtual ~Sender() = default;
  // The queue's id. Errors as Sign's and Enqueue's: InvalidArgument, PermissionDenied and
  // FailedPrecondition concern the message, Unavailable and the like are for later.
  virtual base::Task<absl::StatusOr<int64_t>> Send(OutgoingMessage message, BodyFactory body,
                                                   std::string trace) = 0;

  struct Options {
    rpc::ChannelOptions signer;
    absl::Duration sign_deadline = absl::Seconds(30);
    rpc::ChannelOptions queue;
    absl::Duration queue_deadline = absl::Seconds(30);
  };
  // InvalidArgument when the certificate files can't be read.
  static absl::StatusOr<std::unique_ptr<Sender>> Create(Options options);
};

}  // namespace godwit::webmail_api
