#pragma once

// Patterns of LIST and LSUB (RFC 9051 §6.3.9): "*" is anything, "%" is anything but the hierarchy
// separator; the rest is literal, with INBOX as first level in any case. Pattern and names are in
// the form of mailbox_name.h. Time is at most pattern times name, also for "*%*%*".

#include <string>
#include <string_view>

namespace godwit::imap {

// The reference of LIST joined with a pattern, and INBOX in front in capitals.
std::string JoinListPattern(std::string_view reference, std::string_view pattern);

bool ListMatches(std::string_view pattern, std::string_view name);

}  // namespace godwit::imap
