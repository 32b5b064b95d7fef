#pragma once

// Flags: the system flags of a mailbox entry as a mask, and keywords as ids of the account. Both
// are columns of the entry that no index names, so that a flag change is a HOT update.

#include <cstdint>
#include <string>
#include <vector>

namespace godwit::store {

// RFC 9051 §2.3.2. The numbers are stored: never renumber.
enum Flag : uint32_t {
  kSeen = 1,
  kAnswered = 2,
  kFlagged = 4,
  kDeleted = 8,
  kDraft = 16,
};
using FlagMask = uint32_t;

// The number of a keyword within its account, stable for ever. Names compare without ASCII case;
// the spelling that came first is kept.
using KeywordId = int32_t;

struct Keyword {
  KeywordId id = 0;
  std::string name;
};

struct Flags {
  FlagMask mask = 0;
  std::vector<KeywordId> keywords;  // ascending
};

// Bounds, against clients that invent a keyword a message. More is OutOfRange.
inline constexpr int kMaxKeywordsPerAccount = 1000;
inline constexpr int kMaxKeywordsPerChange = 100;
inline constexpr int kMaxKeywordLength = 255;

}  // namespace godwit::store
