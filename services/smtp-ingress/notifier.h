#pragma once

// Notifier: tells senders who asked for it (NOTIFY=SUCCESS, RFC 3461 §4.1) that their message was
// delivered: writes the notification (libs/dsn) and hands it to delivery-queue, which signs it.
//
//   absl::Status told = co_await notifier->Tell(std::move(notice));
//
// Failures and delays are not told here: what smtp-ingress can not deliver it has refused, and the
// client tells of that.

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/dsn/dsn.h"
#include "libs/outgoing/sender.h"

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
  // All outlive it.
  struct Options {
    outgoing::Sender* sender = nullptr;
    std::string hostname;
    const base::Clock* clock = nullptr;
    base::RandomSource* random = nullptr;
  };
  explicit Notifier(Options options) : options_(std::move(options)) {}

  // OK: the queue has it. Once a message: the id keeps it from being there twice. Errors are those
  // of Sender::Enqueue; the message is delivered all the same.
  base::Task<absl::Status> Tell(DeliveryNotice notice) const;

 private:
  const Options options_;
};

}  // namespace godwit::smtp_ingress
