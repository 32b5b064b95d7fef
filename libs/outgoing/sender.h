#pragma once

// Sender: how mail leaves: that of our users, and our reports, signed by auth-verifier, what is
// only sent on sealed by it, then into delivery-queue. RPC messages end here.
//
//   absl::StatusOr<std::string> signature = co_await sender->Sign(&message, body, trace);
//   message.header.insert(0, *signature);
//   absl::StatusOr<int64_t> queue_id = co_await sender->Enqueue(&message, body, trace);
//
// Signed or not at all: that is the caller's to keep. The body is read twice, once for each daemon,
// so that who has it elsewhere need not hold it. Calls on a reactor's thread; `message` lives until
// the task has ended.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/rpc/client.h"

namespace godwit::outgoing {

// What delivery-queue is told: who the message is from.
enum class Origin {
  kSubmission,  // a user of ours sent it
  kReport,      // of ours, about mail that came
  kNotice,      // tells a sender that his message was delivered
  kForward,     // it came to an address of ours that stands for one elsewhere
  kRelay,       // it came for another server of a domain of ours
};

enum class Return { kUnspecified, kFull, kHeaders };  // RFC 3461 §4.3

struct Recipient {
  std::string address;  // without angle brackets
  // RFC 3461 §4.1. None: failures and delays are told.
  bool never = false;
  bool success = false;
  bool failure = false;
  bool delay = false;
  std::string orcpt = {};  // RFC 3461 §4.2, as it came; "" none
};

struct Message {
  Origin origin = Origin::kSubmission;
  int64_t account = 0;         // whose it is; 0 of a report and of what is sent on
  std::string user;            // who authenticated
  std::string client_address;  // where from; "" unknown
  std::string from_address;    // of the From field: whose domain signs
  std::string reverse_path;    // without angle brackets; "" for <>
  std::vector<Recipient> recipients;
  Return ret = Return::kUnspecified;
  std::string envid;  // RFC 3461 §4.4, decoded
  bool smtputf8 = false;
  bool body_8bit = false;
  bool requiretls = false;               // RFC 8689
  std::optional<absl::Time> hold_until;  // RFC 4865
  std::string idempotency_key;           // 8 to 64 octets
  std::string header;                    // with the empty line
  uint64_t body_size = 0;                // of what the factory's streams give
};

// Reads the body of the message: each call of the factory begins again.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  // At most kPiece octets; "" at the end.
  virtual base::Task<absl::StatusOr<std::string>> Next() = 0;
};
using BodyFactory = std::function<std::unique_ptr<BodyStream>()>;
inline constexpr size_t kPiece = 256 * 1024;

// What an ARC set is to say of a message as it came (RFC 8617 §5.1).
struct SealFacts {
  std::string domain;       // that seals: of ours, the one the message came to; A-labels
  std::string authserv_id;  // whose results they are
  std::string authentication_results;
  std::string arc;  // ArcResult of the verdict, in auth-verifier's own octets
};

// A body in memory, which outlives the call.
BodyFactory BodyInMemory(std::string_view body);

class Sender {
 public:
  virtual ~Sender() = default;

  // Header fields to put in front. Errors: PermissionDenied, the account may not sign for the
  // author's domain; InvalidArgument, the header can't be signed; OutOfRange, it is too large;
  // everything else: no signature now.
  virtual base::Task<absl::StatusOr<std::string>> Sign(const Message* message, BodyFactory body,
                                                       std::string trace) = 0;

  // Header fields to put in front: an ARC set; "" when there can be none: the chain has ended, the
  // domain has no key, the header is no base for one. Errors are for later.
  virtual base::Task<absl::StatusOr<std::string>> Seal(const Message* message, SealFacts facts,
                                                       BodyFactory body, std::string trace) = 0;

  // The queue's id: the message is durable. Tried a second time where that may help, also after its
  // deadline: the key keeps it from being there twice. Errors: InvalidArgument and PermissionDenied
  // concern the message, OutOfRange its size or the number of its recipients; the others are for
  // later.
  virtual base::Task<absl::StatusOr<int64_t>> Enqueue(const Message* message, BodyFactory body,
                                                      std::string trace) = 0;

  struct Options {
    rpc::ChannelOptions signer;  // without a target: Sign() and Seal() are FailedPrecondition
    // For each piece, and from the last one to the answer.
    absl::Duration sign_deadline = absl::Seconds(30);
    rpc::ChannelOptions queue;
    absl::Duration queue_deadline = absl::Seconds(30);
  };
  // InvalidArgument when the certificate files can't be read.
  static absl::StatusOr<std::unique_ptr<Sender>> Create(Options options);
};

}  // namespace godwit::outgoing
