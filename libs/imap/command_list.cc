// LIST with its extensions (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154) and LSUB (RFC 3501
// §6.3.9).

#include "libs/imap/command.h"
#include "libs/imap/command_families.h"

namespace godwit::imap::command_families {
namespace {

bool ParseSelectionOption(Cursor* cursor, ListArguments* list) {
  const auto word = cursor->Keyword();
  if (!word) return false;
  if (*word == "SUBSCRIBED") {
    list->select_subscribed = true;
  } else if (*word == "REMOTE") {
    list->select_remote = true;
  } else if (*word == "RECURSIVEMATCH") {
    list->recursive_match = true;
  } else if (*word == "SPECIAL-USE") {
    list->select_special_use = true;
  } else {
    return cursor->Fail("unknown list selection option");
  }
  return true;
}

bool ParseReturnOption(Cursor* cursor, ListArguments* list) {
  const auto word = cursor->Keyword();
  if (!word) return false;
  if (*word == "SUBSCRIBED") {
    list->return_subscribed = true;
  } else if (*word == "CHILDREN") {
    list->return_children = true;
  } else if (*word == "SPECIAL-USE") {
    list->return_special_use = true;
  } else if (*word == "STATUS") {
    return cursor->ExpectSpace() && ParseStatusItems(cursor, &list->return_status);
  } else {
    return cursor->Fail("unknown list return option");
  }
  return true;
}

bool ParsePattern(Cursor* cursor, ListArguments* list) {
  auto pattern = cursor->ListMailbox();
  if (!pattern) return false;
  list->patterns.push_back(*std::move(pattern));
  return true;
}

bool ParsePatterns(Cursor* cursor, ListArguments* list) {
  if (cursor->Peek() != '(') return ParsePattern(cursor, list);
  list->extended = true;
  return cursor->List(false, [&] { return ParsePattern(cursor, list); });
}

bool ParseReturn(Cursor* cursor, ListArguments* list) {
  list->extended = true;
  if (!cursor->TakeWord("RETURN") || !cursor->ExpectSpace()) {
    return cursor->Fail("unknown list option");
  }
  return cursor->List(true, [&] { return ParseReturnOption(cursor, list); });
}

bool ParseReference(Cursor* cursor, ListArguments* list) {
  auto reference = cursor->Astring();
  if (!reference || !cursor->ExpectSpace()) return false;
  list->reference = *std::move(reference);
  return true;
}

}  // namespace

bool ParseList(Cursor* cursor, bool /*uid*/, Command* command) {
  ListArguments list;
  if (!cursor->ExpectSpace()) return false;
  if (cursor->Peek() == '(') {
    list.extended = true;
    if (!cursor->List(true, [&] { return ParseSelectionOption(cursor, &list); })) return false;
    if (!cursor->ExpectSpace()) return false;
  }
  if (!ParseReference(cursor, &list) || !ParsePatterns(cursor, &list)) return false;
  if (cursor->Take(' ') && !ParseReturn(cursor, &list)) return false;
  // RFC 5258 §3: RECURSIVEMATCH needs a selection that it can extend.
  if (list.recursive_match && !list.select_subscribed && !list.select_special_use) {
    return cursor->Fail("RECURSIVEMATCH alone");
  }
  command->arguments = std::move(list);
  return true;
}

bool ParseLsub(Cursor* cursor, bool /*uid*/, Command* command) {
  ListArguments list;
  list.select_subscribed = true;
  if (!cursor->ExpectSpace() || !ParseReference(cursor, &list)) return false;
  if (!ParsePattern(cursor, &list)) return false;
  command->arguments = std::move(list);
  return true;
}

}  // namespace godwit::imap::command_families
