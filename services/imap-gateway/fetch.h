#pragma once

// A FETCH in progress.

#include <string>

#include "absl/status/status.h"
#include "libs/imap/command.h"
#include "libs/store/entries.h"

namespace godwit::imap_gateway {

struct FetchPlan {
  imap::FetchArguments fetch;
  bool summary = false;  // ENVELOPE, structure or octets are asked for
  bool headers = false;  // the message's header is
  bool bodies = false;   // other octets are
  bool sets_seen = false;
  bool names_flags = false;
  size_t found = 0;     // messages that were there
  absl::Status status;  // the first thing that went wrong with a message
};

struct FetchedMessage {
  store::Entry entry;
  // The first octets of the message, as far as they were read in advance: nothing, the header, or
  // (of a small message) all.
  std::string front;
  // FLAGS have to be told though not asked for: \Seen was set.
  bool tell_flags = false;
};

}  // namespace godwit::imap_gateway
