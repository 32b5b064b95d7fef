#pragma once

// The commands of a client as values (RFC 9051 §6). The table of names is in command_table.cc; each
// family is parsed in a file of its own (command_auth.cc, command_mailbox.cc, command_message.cc).
//
// Mailbox names and patterns are as they came over the wire: DecodeMailboxName() makes names of
// them, because that depends on what the client has enabled.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/secret.h"
#include "libs/imap/fetch_items.h"
#include "libs/imap/flags.h"
#include "libs/imap/limits.h"
#include "libs/imap/search_keys.h"
#include "libs/imap/sequence_set.h"

namespace godwit::imap {

enum class Verb {
  // Any state.
  kCapability,
  kNoop,
  kLogout,
  kId,
  // Not authenticated.
  kStartTls,
  kAuthenticate,
  kLogin,
  // Authenticated.
  kEnable,
  kSelect,
  kExamine,
  kCreate,
  kDelete,
  kRename,
  kSubscribe,
  kUnsubscribe,
  kList,
  kLsub,
  kNamespace,
  kStatus,
  kAppend,
  kIdle,
  // Selected.
  kCheck,
  kClose,
  kUnselect,
  kExpunge,
  kSearch,
  kFetch,
  kStore,
  kCopy,
  kMove,
};
// "UID FETCH" is told as verb kFetch and `uid` of its arguments.
std::string_view VerbName(Verb verb);

struct IdArguments {
  std::vector<std::pair<std::string, std::optional<std::string>>> fields;
};
struct AuthenticateArguments {
  std::string mechanism;                         // upper case
  std::optional<base::Secret> initial_response;  // decoded (RFC 4959)
};
struct LoginArguments {
  std::string user;
  base::Secret password;
};
struct EnableArguments {
  std::vector<std::string> capabilities;  // upper case
};
// RFC 7162 §3.2.5.
struct QresyncArguments {
  uint32_t uid_validity = 0;
  uint64_t modseq = 0;
  std::optional<SequenceSet> known_uids;
};
struct SelectArguments {
  std::string mailbox;
  bool condstore = false;
  std::optional<QresyncArguments> qresync;
};
// DELETE, SUBSCRIBE, UNSUBSCRIBE.
struct MailboxArguments {
  std::string mailbox;
};
// RFC 6154 §3.
struct CreateArguments {
  std::string mailbox;
  std::vector<std::string> special_use;  // "\Sent", as written
};
struct RenameArguments {
  std::string from;
  std::string to;
};
// RFC 9051 §6.3.11; kMailboxId RFC 8474 §4.1.
enum class StatusItem {
  kMessages,
  kRecent,
  kUidNext,
  kUidValidity,
  kUnseen,
  kDeleted,
  kSize,
  kHighestModSeq,
  kMailboxId,
};
struct StatusArguments {
  std::string mailbox;
  std::vector<StatusItem> items;
};
// LIST with its extensions (RFC 5258, RFC 5819, RFC 6154) and LSUB.
struct ListArguments {
  bool extended = false;  // some part of the extended syntax was used
  bool select_subscribed = false;
  bool select_remote = false;
  bool recursive_match = false;
  bool select_special_use = false;
  std::string reference;
  std::vector<std::string> patterns;
  bool return_subscribed = false;
  bool return_children = false;
  bool return_special_use = false;
  std::vector<StatusItem> return_status;
};
struct ExpungeArguments {
  std::optional<SequenceSet> uids;  // UID EXPUNGE
};
struct SearchArguments {
  bool uid = false;
  SearchProgram program;
};
struct FetchArguments {
  bool uid = false;
  SequenceSet set;
  std::vector<FetchItem> items;  // has kUid when `uid`
  std::optional<uint64_t> changed_since;
  bool vanished = false;
};
struct StoreArguments {
  enum class Mode { kReplace, kAdd, kRemove };
  bool uid = false;
  SequenceSet set;
  Mode mode = Mode::kReplace;
  bool silent = false;
  FlagList flags;
  std::optional<uint64_t> unchanged_since;
};
// COPY and MOVE.
struct CopyArguments {
  bool uid = false;
  SequenceSet set;
  std::string mailbox;
};

using Arguments = std::variant<std::monostate, IdArguments, AuthenticateArguments, LoginArguments,
                               EnableArguments, SelectArguments, MailboxArguments, CreateArguments,
                               RenameArguments, StatusArguments, ListArguments, ExpungeArguments,
                               SearchArguments, FetchArguments, StoreArguments, CopyArguments>;

struct Command {
  std::string tag;
  Verb verb = Verb::kNoop;
  Arguments arguments;

  template <typename T>
  const T& As() const {
    return std::get<T>(arguments);
  }
};

// A command that can not be carried out; the answer is BAD, with `tag` or "*" when it has none.
struct Malformed {
  std::string tag;
  std::string reason;
  // The stream can not be trusted any more: answer BYE and close.
  bool fatal = false;
};

// One whole command without its last CRLF, literals included as they came. APPEND gives
// Malformed: it goes through ParseAppend(), piece by piece.
std::variant<Command, Malformed> ParseCommand(std::string_view text, const Limits& limits);

// What stands in front of APPEND's message (RFC 9051 §6.3.12).
struct AppendHeader {
  std::string tag;
  std::string mailbox;
  FlagList flags;
  std::optional<absl::Time> internal_date;
  bool utf8 = false;  // "UTF8 (~{...}" (RFC 6855 §4): a ")" follows the message
};
// `text` is the command up to a literal header. nullopt: it is no APPEND, or this literal is not
// its message.
std::optional<AppendHeader> ParseAppend(std::string_view text, const Limits& limits);

}  // namespace godwit::imap
