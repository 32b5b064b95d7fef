// EXPUNGE, SEARCH, FETCH, STORE, COPY, MOVE and their UID forms (RFC 9051 §6.4).

#include <algorithm>

#include "libs/imap/command.h"
#include "libs/imap/command_families.h"

namespace godwit::imap::command_families {
namespace {

bool ParseSet(Cursor* cursor, SequenceSet* set) {
  if (!cursor->ExpectSpace()) return false;
  auto parsed = ParseSequenceSet(cursor);
  if (!parsed) return false;
  *set = *std::move(parsed);
  return true;
}

// RFC 7162 §3.1.4.1 and §3.2.6: (CHANGEDSINCE n [VANISHED]).
bool ParseFetchModifier(Cursor* cursor, FetchArguments* fetch) {
  if (cursor->TakeWord("CHANGEDSINCE")) {
    if (!cursor->ExpectSpace()) return false;
    fetch->changed_since = cursor->Number64();
    return fetch->changed_since.has_value();
  }
  if (!cursor->TakeWord("VANISHED")) return cursor->Fail("unknown fetch modifier");
  fetch->vanished = true;
  return true;
}

void AddItem(FetchItem::Kind kind, FetchArguments* fetch) {
  const bool there = std::any_of(fetch->items.begin(), fetch->items.end(),
                                 [kind](const FetchItem& item) { return item.kind == kind; });
  FetchItem item;
  item.kind = kind;
  if (!there) fetch->items.insert(fetch->items.begin(), std::move(item));
}

// RFC 7162 §3.1.3: STORE set (UNCHANGEDSINCE n) FLAGS ...
bool ParseStoreModifiers(Cursor* cursor, StoreArguments* store) {
  return cursor->List(false, [&] {
    if (!cursor->TakeWord("UNCHANGEDSINCE")) return cursor->Fail("unknown store modifier");
    if (!cursor->ExpectSpace()) return false;
    store->unchanged_since = cursor->Number64();
    return store->unchanged_since.has_value();
  });
}

bool ParseStoreMode(Cursor* cursor, StoreArguments* store) {
  if (cursor->Take('+')) {
    store->mode = StoreArguments::Mode::kAdd;
  } else if (cursor->Take('-')) {
    store->mode = StoreArguments::Mode::kRemove;
  }
  const auto name = cursor->Keyword();
  if (!name || (*name != "FLAGS" && *name != "FLAGS.SILENT")) {
    return cursor->Fail("unknown store item");
  }
  store->silent = *name == "FLAGS.SILENT";
  return true;
}

}  // namespace

bool ParseExpunge(Cursor* cursor, bool uid, Command* command) {
  ExpungeArguments expunge;
  if (uid) {
    expunge.uids.emplace();
    if (!ParseSet(cursor, &*expunge.uids)) return false;
  }
  command->arguments = std::move(expunge);
  return true;
}

bool ParseSearchCommand(Cursor* cursor, bool uid, Command* command) {
  SearchArguments search;
  search.uid = uid;
  if (!cursor->ExpectSpace()) return false;
  auto program = ParseSearch(cursor);
  if (!program) return false;
  search.program = *std::move(program);
  command->arguments = std::move(search);
  return true;
}

bool ParseFetch(Cursor* cursor, bool uid, Command* command) {
  FetchArguments fetch;
  fetch.uid = uid;
  if (!ParseSet(cursor, &fetch.set) || !cursor->ExpectSpace()) return false;
  auto items = ParseFetchItems(cursor);
  if (!items) return false;
  fetch.items = *std::move(items);
  if (cursor->Take(' ') &&
      !cursor->List(false, [&] { return ParseFetchModifier(cursor, &fetch); })) {
    return false;
  }
  // RFC 7162 §3.2.6: VANISHED goes with UID FETCH and CHANGEDSINCE only.
  if (fetch.vanished && (!uid || !fetch.changed_since)) return cursor->Fail("VANISHED alone");
  // RFC 7162 §3.1.4.1: CHANGEDSINCE asks for MODSEQ; RFC 9051 §6.4.9: UID FETCH for UID.
  if (fetch.changed_since) AddItem(FetchItem::Kind::kModSeq, &fetch);
  if (uid) AddItem(FetchItem::Kind::kUid, &fetch);
  command->arguments = std::move(fetch);
  return true;
}

bool ParseStore(Cursor* cursor, bool uid, Command* command) {
  StoreArguments store;
  store.uid = uid;
  if (!ParseSet(cursor, &store.set) || !cursor->ExpectSpace()) return false;
  if (cursor->Peek() == '(' && (!ParseStoreModifiers(cursor, &store) || !cursor->ExpectSpace())) {
    return false;
  }
  if (!ParseStoreMode(cursor, &store) || !cursor->ExpectSpace()) return false;
  auto flags = ParseFlagsToEnd(cursor);
  if (!flags) return false;
  store.flags = *std::move(flags);
  command->arguments = std::move(store);
  return true;
}

bool ParseCopy(Cursor* cursor, bool uid, Command* command) {
  CopyArguments copy;
  copy.uid = uid;
  if (!ParseSet(cursor, &copy.set) || !cursor->ExpectSpace()) return false;
  auto mailbox = cursor->Astring();
  if (!mailbox) return false;
  copy.mailbox = *std::move(mailbox);
  command->arguments = std::move(copy);
  return true;
}

}  // namespace godwit::imap::command_families
