// SELECT, EXAMINE, CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS (RFC 9051 §6.3).

#include "libs/imap/command.h"
#include "libs/imap/command_families.h"

namespace godwit::imap::command_families {
namespace {

struct NamedStatus {
  std::string_view name;
  StatusItem item;
};
constexpr NamedStatus kStatusItems[] = {
    {"MESSAGES", StatusItem::kMessages},   {"RECENT", StatusItem::kRecent},
    {"UIDNEXT", StatusItem::kUidNext},     {"UIDVALIDITY", StatusItem::kUidValidity},
    {"UNSEEN", StatusItem::kUnseen},       {"DELETED", StatusItem::kDeleted},
    {"SIZE", StatusItem::kSize},           {"HIGHESTMODSEQ", StatusItem::kHighestModSeq},
    {"MAILBOXID", StatusItem::kMailboxId},
};

bool ParseStatusItem(Cursor* cursor, std::vector<StatusItem>* items) {
  const auto name = cursor->Keyword();
  if (!name) return false;
  for (const NamedStatus& named : kStatusItems) {
    if (*name != named.name) continue;
    items->push_back(named.item);
    return true;
  }
  return cursor->Fail("unknown status item");
}

bool ParseOneMailbox(Cursor* cursor, std::string* mailbox) {
  if (!cursor->ExpectSpace()) return false;
  auto name = cursor->Astring();
  if (!name) return false;
  *mailbox = *std::move(name);
  return true;
}

// RFC 7162 §3.2.5: QRESYNC (uidvalidity modseq [known-uids [(seqs uids)]]).
bool ParseQresync(Cursor* cursor, SelectArguments* select) {
  QresyncArguments qresync;
  if (!cursor->ExpectSpace() || !cursor->Expect('(')) return false;
  const auto validity = cursor->NonZero();
  if (!validity || !cursor->ExpectSpace()) return false;
  const auto modseq = cursor->Number64();
  if (!modseq) return false;
  qresync.uid_validity = *validity;
  qresync.modseq = *modseq;
  bool more = cursor->Take(' ');
  if (more && cursor->Peek() != '(') {
    qresync.known_uids = ParseSequenceSet(cursor, false);
    if (!qresync.known_uids) return false;
    more = cursor->Take(' ');
  }
  if (more) {
    // The client's sequence match data; we always tell every vanished UID, so it saves nothing.
    if (!cursor->Expect('(') || !ParseSequenceSet(cursor, false) || !cursor->ExpectSpace() ||
        !ParseSequenceSet(cursor, false) || !cursor->Expect(')')) {
      return false;
    }
  }
  select->qresync = std::move(qresync);
  return cursor->Expect(')');
}

bool ParseSelectParameter(Cursor* cursor, SelectArguments* select) {
  if (cursor->TakeWord("CONDSTORE")) {
    select->condstore = true;
    return true;
  }
  if (cursor->TakeWord("QRESYNC")) return ParseQresync(cursor, select);
  return cursor->Fail("unknown select parameter");
}

}  // namespace

bool ParseStatusItems(Cursor* cursor, std::vector<StatusItem>* items) {
  return cursor->List(false, [&] { return ParseStatusItem(cursor, items); });
}

bool ParseSelect(Cursor* cursor, bool /*uid*/, Command* command) {
  SelectArguments select;
  if (!ParseOneMailbox(cursor, &select.mailbox)) return false;
  if (cursor->Take(' ') &&
      !cursor->List(false, [&] { return ParseSelectParameter(cursor, &select); })) {
    return false;
  }
  command->arguments = std::move(select);
  return true;
}

bool ParseMailbox(Cursor* cursor, bool /*uid*/, Command* command) {
  MailboxArguments arguments;
  if (!ParseOneMailbox(cursor, &arguments.mailbox)) return false;
  command->arguments = std::move(arguments);
  return true;
}

bool ParseCreate(Cursor* cursor, bool /*uid*/, Command* command) {
  CreateArguments create;
  if (!ParseOneMailbox(cursor, &create.mailbox)) return false;
  if (cursor->Take(' ')) {
    // RFC 6154 §3: CREATE name (USE (\Sent)).
    if (!cursor->Expect('(') || !cursor->TakeWord("USE") || !cursor->ExpectSpace()) {
      return cursor->Fail("unknown create parameter");
    }
    const bool good = cursor->List(true, [&] {
      if (!cursor->Expect('\\')) return false;
      const auto use = cursor->Atom();
      if (!use) return false;
      create.special_use.push_back("\\" + std::string(*use));
      return true;
    });
    if (!good || !cursor->Expect(')')) return false;
  }
  command->arguments = std::move(create);
  return true;
}

bool ParseRename(Cursor* cursor, bool /*uid*/, Command* command) {
  RenameArguments rename;
  if (!ParseOneMailbox(cursor, &rename.from) || !ParseOneMailbox(cursor, &rename.to)) return false;
  command->arguments = std::move(rename);
  return true;
}

bool ParseStatus(Cursor* cursor, bool /*uid*/, Command* command) {
  StatusArguments status;
  if (!ParseOneMailbox(cursor, &status.mailbox) || !cursor->ExpectSpace()) return false;
  if (!ParseStatusItems(cursor, &status.items)) return false;
  command->arguments = std::move(status);
  return true;
}

}  // namespace godwit::imap::command_families
