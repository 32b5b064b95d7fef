#pragma once

// MessageWriter: a message that a client makes or brings, on its way into the store. Like APPEND:
// octets come piece by piece, a large body is staged, and the last step is one delivery.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/ingest/incoming_message.h"
#include "libs/store/delivery.h"
#include "services/webmail-api/settings.h"

namespace godwit::webmail_api {

// Where it goes, and as what.
struct Placement {
  std::vector<store::MailboxId> mailboxes;  // one at least
  store::FlagMask flags = 0;
  std::vector<std::string> keywords;
  std::optional<absl::Time> received;  // absent: now
};

class MessageWriter {
 public:
  MessageWriter(Environment* environment, store::AccountId account)
      : env_(environment), account_(account) {}

  // LF becomes CRLF. InvalidArgument for NUL and a header that is too large, ResourceExhausted for
  // a message that is; those of the store.
  base::Task<absl::Status> Feed(std::string_view bytes);
  // Octets fed, line ends mended.
  uint64_t size() const { return message_.size(); }
  // Stores it, in all mailboxes or in none. NotFound when a mailbox is gone, ResourceExhausted over
  // quota.
  base::Task<absl::StatusOr<store::Delivered>> Commit(Placement placement);
  // Gives up what was staged; once, at the end, whatever happened.
  base::Task<void> End();

 private:
  std::string FixLineEnds(std::string_view bytes);
  base::Task<absl::Status> Stage(std::string chunk);
  base::Task<absl::Status> AddMailboxes(const store::Delivered* delivered,
                                        std::vector<store::MailboxId> mailboxes);
  base::Task<absl::Status> Remove(store::EmailId email);

  Environment* const env_;
  const store::AccountId account_;
  ingest::IncomingMessage message_;
  std::optional<store::StagedBlob> staged_;
  char last_ = 0;
};

}  // namespace godwit::webmail_api
