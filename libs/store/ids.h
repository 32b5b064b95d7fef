#pragma once

// The ids of the store. Each is a type of its own, so that a mailbox can not be passed for an
// email. Only account ids are unique beyond an account: random, 63 bits, never used again. Every
// other id means something together with its account only, and every cache key must carry the
// account.

#include <cstdint>
#include <string>
#include <vector>

namespace godwit::store {

enum class AccountId : int64_t { kNone = 0 };
enum class MailboxId : int64_t { kNone = 0 };  // kNone as a parent: the root
enum class EmailId : int64_t { kNone = 0 };    // immutable content in one or more mailboxes
enum class ThreadId : int64_t { kNone = 0 };
enum class BlobId : int64_t { kNone = 0 };  // the octets of an email, random

template <typename Id>
constexpr int64_t ToInt(Id id) {
  return static_cast<int64_t>(id);
}

// Modification sequence (RFC 7162): one counter an account, raised by each change; what commits
// later has a higher one. 1 is the lowest.
using Modseq = int64_t;

// What a change returns for the hint: the account's new modseq, and the addresses (host:port) of
// the gateways that watch the account. `modseq` is 0 when nothing changed.
struct Change {
  Modseq modseq = 0;
  std::vector<std::string> watchers;
};

}  // namespace godwit::store
