#include "libs/imap/flags.h"

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::imap {
namespace {

struct NamedFlag {
  std::string_view name;
  SystemFlag bit;
};
// In the order in which they are written.
constexpr NamedFlag kSystemFlags[] = {{"\\Answered", kAnswered},
                                      {"\\Flagged", kFlagged},
                                      {"\\Deleted", kDeleted},
                                      {"\\Seen", kSeen},
                                      {"\\Draft", kDraft}};

// The IANA registry "IMAP and JMAP Keywords", the ones that clients spell differently.
constexpr std::string_view kRegistered[] = {"$MDNSent",       "$Forwarded", "$Junk",
                                            "$NotJunk",       "$Phishing",  "$Important",
                                            "$SubmitPending", "$Submitted"};

bool ParseSystemFlag(Cursor* cursor, FlagList* list) {
  for (const NamedFlag& flag : kSystemFlags) {
    if (cursor->TakeWord(flag.name)) {
      list->system |= flag.bit;
      return true;
    }
  }
  // RFC 9051 §2.3.2: a client can not alter \Recent; old ones send it back in APPEND.
  if (cursor->TakeWord("\\Recent")) return true;
  return cursor->Fail("unknown system flag");
}

bool ParseFlag(Cursor* cursor, FlagList* list) {
  if (cursor->Peek() == '\\') return ParseSystemFlag(cursor, list);
  const auto keyword = ParseKeywordFlag(cursor);
  if (!keyword) return false;
  const bool known =
      std::any_of(list->keywords.begin(), list->keywords.end(),
                  [&](const std::string& k) { return base::EqualsIgnoreCase(k, *keyword); });
  if (!known) list->keywords.push_back(*keyword);
  return true;
}

}  // namespace

std::optional<std::string> ParseKeywordFlag(Cursor* cursor) {
  const auto atom = cursor->Atom();
  if (!atom) return std::nullopt;
  if (atom->size() > kMaxKeywordBytes) {
    cursor->Fail("keyword is too long");
    return std::nullopt;
  }
  for (const std::string_view registered : kRegistered) {
    if (base::EqualsIgnoreCase(registered, *atom)) return std::string(registered);
  }
  return std::string(*atom);
}

std::optional<FlagList> ParseFlagList(Cursor* cursor) {
  FlagList list;
  if (!cursor->List(true, [&] { return ParseFlag(cursor, &list); })) return std::nullopt;
  return list;
}

std::optional<FlagList> ParseFlagsToEnd(Cursor* cursor) {
  if (cursor->Peek() == '(') return ParseFlagList(cursor);
  FlagList list;
  size_t count = 0;
  do {
    if (++count > cursor->limits().list_items || !ParseFlag(cursor, &list)) {
      cursor->Fail("too many flags");
      return std::nullopt;
    }
  } while (cursor->Take(' '));
  return list;
}

std::string FormatFlags(uint32_t system, const std::vector<std::string>& keywords) {
  std::string text;
  for (const NamedFlag& flag : kSystemFlags) {
    if ((system & flag.bit) == 0) continue;
    if (!text.empty()) text += ' ';
    text += flag.name;
  }
  for (const std::string& keyword : keywords) {
    if (!text.empty()) text += ' ';
    text += keyword;
  }
  return text;
}

}  // namespace godwit::imap
