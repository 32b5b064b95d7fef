#pragma once

// Message flags on the wire (RFC 9051 §2.3.2): system flags and keywords.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/imap/cursor.h"

namespace godwit::imap {

// Bits of FlagList::system. \Recent is never set and not stored (RFC 9051 §2.3.2 removed it).
enum SystemFlag : uint32_t {
  kSeen = 1,
  kAnswered = 2,
  kFlagged = 4,
  kDeleted = 8,
  kDraft = 16,
};
inline constexpr uint32_t kAllSystemFlags = 31;
inline constexpr size_t kMaxKeywordBytes = 200;

struct FlagList {
  uint32_t system = 0;
  std::vector<std::string> keywords;  // as written, without repetitions in another case

  friend bool operator==(const FlagList&, const FlagList&) = default;
};

// "(\Seen $Forwarded work)". \Recent is taken and ignored; another "\" flag is an error.
std::optional<FlagList> ParseFlagList(Cursor* cursor);
// The same without parentheses, as STORE allows it: flags up to the end.
std::optional<FlagList> ParseFlagsToEnd(Cursor* cursor);
// One keyword: an atom. RFC 9051 §9: flag-keyword. Registered ones get their registered case.
std::optional<std::string> ParseKeywordFlag(Cursor* cursor);

// "\Seen $Forwarded", without parentheses.
std::string FormatFlags(uint32_t system, const std::vector<std::string>& keywords);

}  // namespace godwit::imap
