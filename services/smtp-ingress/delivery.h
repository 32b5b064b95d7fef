#pragma once

// MessageDelivery: one message on its way into the store: collects it, writes a large body out as
// it comes (staged chunks), and delivers all copies in one durable commit. A message that came with
// BODY=BINARYMIME is stored as lines (libs/ingest/line_form.h), which every IMAP client can read.
//
// What it takes stays in memory up to about 600 KiB and the header's size, whatever the size of the
// message, and is counted in Services::memory; of one that also goes on to other servers all of it,
// counted in Services::whole_memory. One reactor's thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/task.h"
#include "libs/ingest/incoming_message.h"
#include "libs/ingest/line_form.h"
#include "libs/smtp/parameter.h"
#include "libs/smtp/path.h"
#include "libs/smtp/reply.h"
#include "libs/smtpd/memory.h"
#include "libs/store/delivery.h"
#include "services/smtp-ingress/services.h"

namespace godwit::smtp_ingress {

// One copy: whose, and the recipient it was addressed to.
struct Copy {
  store::AccountId account = store::AccountId::kNone;
  smtp::Address recipient;
};

class MessageDelivery {
 public:
  // `owner` is the account that a staged body is written under: one of the recipients. kNone: there
  // is none, and Commit() is not called. `whole_for`: nothing is staged before Commit(), all of
  // message().body() is there, counted for this client (WholeMemory::by_client).
  MessageDelivery(Services* services, store::AccountId owner, smtp::BodyType body,
                  std::optional<int64_t> whole_for);
  MessageDelivery(const MessageDelivery&) = delete;
  MessageDelivery& operator=(const MessageDelivery&) = delete;

  // The next octets; the caller keeps them until the task has ended. An error is the store's: the
  // message can not be delivered any more.
  base::Task<absl::Status> Feed(std::string_view bytes);
  // After the last octet.
  base::Task<absl::Status> End();
  // After End: why the message is bad, when it is.
  std::optional<smtp::Reply> refused() const;
  const ingest::IncomingMessage& message() const { return message_; }

  // All messages together, or those of this client, have no room for a new one, or take too much.
  bool NearlyFull() const { return memory_.NearlyFull(); }
  bool Over() const { return memory_.Over(); }

  // After End. `header` is what is stored. OK: every copy is durable. Errors: those of
  // store::Deliverer; with Unknown it may have been delivered.
  base::Task<absl::StatusOr<store::DeliveryResult>> Commit(std::string header,
                                                           smtp::Address reverse_path,
                                                           std::vector<Copy> copies, bool junk);
  // The message is not wanted: forgets what is in memory. Nothing but Drop() may follow.
  void Clear();
  // The same for what was staged. The sweep would do it too.
  base::Task<void> Drop();

 private:
  base::Task<absl::Status> Take(std::string_view lines);
  base::Task<absl::Status> Stage(std::string chunk);
  base::Task<absl::Status> StageFullChunks();

  Services* const services_;
  const store::AccountId owner_;
  const bool whole_;
  ingest::IncomingMessage message_;
  std::optional<ingest::LineForm> lines_;  // of a message that is binary
  std::optional<store::StagedBlob> staged_;
  smtpd::MemoryShare memory_;
};

}  // namespace godwit::smtp_ingress
