#pragma once

// An APPEND in progress: the message so far.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/imap/command.h"
#include "libs/ingest/incoming_message.h"
#include "libs/store/blob.h"
#include "libs/store/ids.h"

namespace godwit::imap_gateway {

// Bare LF to CRLF, for every split: stored messages have one kind of line end.
class LineEndFixer {
 public:
  std::string Fix(std::string_view bytes);

 private:
  char last_ = '\0';
};

struct AppendState {
  imap::AppendHeader header;
  store::MailboxId mailbox = store::MailboxId::kNone;
  LineEndFixer fixer;
  ingest::IncomingMessage message;
  std::optional<store::StagedBlob> staged;
  // The first thing that went wrong; what still comes is dropped. InvalidArgument: `refusal` says
  // what is wrong with the message.
  absl::Status status;
  std::string_view refusal;
};

}  // namespace godwit::imap_gateway
