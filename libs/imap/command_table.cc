#include "libs/base/ascii.h"
#include "libs/imap/command.h"
#include "libs/imap/command_families.h"
#include "libs/imap/date_time.h"

namespace godwit::imap {
namespace {

namespace family = command_families;

using Parse = bool (*)(Cursor*, bool uid, Command*);

struct Rule {
  std::string_view name;
  Verb verb;
  Parse parse;
  bool has_uid_form = false;
};

constexpr Rule kRules[] = {
    {"CAPABILITY", Verb::kCapability, family::ParseNothing},
    {"NOOP", Verb::kNoop, family::ParseNothing},
    {"LOGOUT", Verb::kLogout, family::ParseNothing},
    {"ID", Verb::kId, family::ParseId},
    {"STARTTLS", Verb::kStartTls, family::ParseNothing},
    {"AUTHENTICATE", Verb::kAuthenticate, family::ParseAuthenticate},
    {"LOGIN", Verb::kLogin, family::ParseLogin},
    {"ENABLE", Verb::kEnable, family::ParseEnable},
    {"SELECT", Verb::kSelect, family::ParseSelect},
    {"EXAMINE", Verb::kExamine, family::ParseSelect},
    {"CREATE", Verb::kCreate, family::ParseCreate},
    {"DELETE", Verb::kDelete, family::ParseMailbox},
    {"RENAME", Verb::kRename, family::ParseRename},
    {"SUBSCRIBE", Verb::kSubscribe, family::ParseMailbox},
    {"UNSUBSCRIBE", Verb::kUnsubscribe, family::ParseMailbox},
    {"LIST", Verb::kList, family::ParseList},
    {"LSUB", Verb::kLsub, family::ParseLsub},
    {"NAMESPACE", Verb::kNamespace, family::ParseNothing},
    {"STATUS", Verb::kStatus, family::ParseStatus},
    {"APPEND", Verb::kAppend, nullptr},
    {"IDLE", Verb::kIdle, family::ParseNothing},
    {"CHECK", Verb::kCheck, family::ParseNothing},
    {"CLOSE", Verb::kClose, family::ParseNothing},
    {"UNSELECT", Verb::kUnselect, family::ParseNothing},
    {"EXPUNGE", Verb::kExpunge, family::ParseExpunge, true},
    {"SEARCH", Verb::kSearch, family::ParseSearchCommand, true},
    {"FETCH", Verb::kFetch, family::ParseFetch, true},
    {"STORE", Verb::kStore, family::ParseStore, true},
    {"COPY", Verb::kCopy, family::ParseCopy, true},
    {"MOVE", Verb::kMove, family::ParseCopy, true},
};

const Rule* FindRule(std::string_view name) {
  for (const Rule& rule : kRules) {
    if (base::EqualsIgnoreCase(rule.name, name)) return &rule;
  }
  return nullptr;
}

// tag SP [UID SP] name, and the arguments.
bool ParseAll(Cursor* cursor, Command* command) {
  const auto tag = cursor->Tag();
  if (!tag) return false;
  command->tag = *tag;
  if (!cursor->ExpectSpace()) return false;
  const bool uid = cursor->TakeWord("UID");
  if (uid && !cursor->ExpectSpace()) return false;
  const auto name = cursor->Atom();
  if (!name) return cursor->Fail("missing command");
  const Rule* rule = FindRule(*name);
  if (rule == nullptr || (uid && !rule->has_uid_form)) return cursor->Fail("unknown command");
  command->verb = rule->verb;
  // What reaches this place is an APPEND without a message.
  if (rule->parse == nullptr) return cursor->Fail("bad arguments");
  return rule->parse(cursor, uid, command) && cursor->ExpectEnd();
}

}  // namespace

bool command_families::ParseNothing(Cursor* cursor, bool /*uid*/, Command* /*command*/) {
  return cursor->ExpectEnd();
}

std::string_view VerbName(Verb verb) {
  for (const Rule& rule : kRules) {
    if (rule.verb == verb) return rule.name;
  }
  return "";
}

std::variant<Command, Malformed> ParseCommand(std::string_view text, const Limits& limits) {
  Cursor cursor(text, limits);
  Command command;
  if (ParseAll(&cursor, &command)) return command;
  return Malformed{std::move(command.tag), std::string(cursor.error()), false};
}

std::optional<AppendHeader> ParseAppend(std::string_view text, const Limits& limits) {
  Cursor cursor(text, limits);
  AppendHeader header;
  const auto tag = cursor.Tag();
  if (!tag || !cursor.ExpectSpace() || !cursor.TakeWord("APPEND") || !cursor.ExpectSpace()) {
    return std::nullopt;
  }
  header.tag = *tag;
  auto mailbox = cursor.Astring();
  if (!mailbox || !cursor.ExpectSpace()) return std::nullopt;
  header.mailbox = *std::move(mailbox);
  if (cursor.Peek() == '(') {
    auto flags = ParseFlagList(&cursor);
    if (!flags || !cursor.ExpectSpace()) return std::nullopt;
    header.flags = *std::move(flags);
  }
  if (cursor.Peek() == '"') {
    header.internal_date = ParseDateTime(&cursor);
    if (!header.internal_date || !cursor.ExpectSpace()) return std::nullopt;
  }
  header.utf8 = cursor.TakeWord("UTF8");
  if (header.utf8 && (!cursor.ExpectSpace() || !cursor.Expect('('))) return std::nullopt;
  if (!cursor.AtEnd()) return std::nullopt;
  return header;
}

}  // namespace godwit::imap
