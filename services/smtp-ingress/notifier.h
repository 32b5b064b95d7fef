#pragma once

// Notifier: tells senders who asked for it (NOTIFY=SUCCESS, RFC 3461 §4.1) that their message was
// delivered: writes the notification (libs/dsn) and hands it to delivery-queue, which signs it. RPC
// messages end here.
//
//   absl::Status told = co_await notifier->Tell(std::move(notice));
//
// Failures and delays are not told here: what smtp-ingress can not deliver it has refused, and the
// client tells of that.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/dsn/dsn.h"
#include "libs/rpc/client.h"

namespace godwit::smtp_ingress {

// A message that was delivered, and to whom that is to be told.
struct DeliveryNotice {
  std::string id;  // of the transaction
  std::string reverse_path;
  std::string envelope_id;  // ENVID, decoded
  bool smtputf8 = false;
  bool require_tls = false;
  std::string client_name;  // of EHLO
  std::string header;       // of the message, as it came
  std::string domain;       // of ours, whose postmaster writes
  std::vector<dsn::Recipient> recipients;
};

class Notifier {
 public:
  virtual ~Notifier() = default;
  // OK: the queue has it. Once a message: the id keeps it from being there twice. Errors are those
  // of Enqueue; the message is delivered all the same.
  virtual base::Task<absl::Status> Tell(DeliveryNotice notice) = 0;

  struct Options {
    rpc::ChannelOptions queue;
    absl::Duration deadline = absl::Seconds(10);
    std::string hostname;
    const base::Clock* clock = nullptr;
    base::RandomSource* random = nullptr;
  };
  // InvalidArgument when the certificate files can't be read.
  static absl::StatusOr<std::unique_ptr<Notifier>> Create(Options options);
};

}  // namespace godwit::smtp_ingress
