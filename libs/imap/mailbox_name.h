#pragma once

// Mailbox names (RFC 9051 §5.1, RFC 3501 §5.1.3): from and to the wire, and which new ones we take.
//
// Inside Godwit a name is UTF-8 in NFC, levels separated by "/", and the first level "INBOX" in
// capitals however it was typed. On the wire it is modified UTF-7, or UTF-8 once the client has
// enabled IMAP4rev2 or UTF8=ACCEPT.
//
// Pure; any thread.

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace godwit::imap {

inline constexpr char kHierarchySeparator = '/';
inline constexpr std::string_view kInbox = "INBOX";
// A name as it comes over the wire, in octets. How long and deep the names of mailboxes may be is
// the store's to say (libs/store/mailbox.h).
inline constexpr size_t kMaxWireMailboxName = 4000;

enum class NameEncoding { kModifiedUtf7, kUtf8 };

// A name from a client in the form inside. InvalidArgument for bad modified UTF-7 or UTF-8, bytes
// above 127 in modified UTF-7, control characters, and more than kMaxWireMailboxName.
absl::StatusOr<std::string> DecodeMailboxName(std::string_view wire, NameEncoding encoding);

// The other way; `name` is UTF-8.
std::string EncodeMailboxName(std::string_view name, NameEncoding encoding);

// Whether a name in the form inside may be given to a new mailbox, as far as IMAP is concerned.
// InvalidArgument with a reason that may be shown to the client: empty levels, "%", "*", "#" in
// front.
absl::Status CheckNewMailboxName(std::string_view name);

// "a/b" of "a/b/c"; "" of a name on the first level.
std::string_view ParentMailboxName(std::string_view name);
// True for `child` below `parent` on any level.
bool IsBelow(std::string_view child, std::string_view parent);

}  // namespace godwit::imap
