#include "libs/imap/search_keys.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/imap/date_time.h"
#include "libs/imap/flags.h"

namespace godwit::imap {
namespace {

using Kind = SearchKey::Kind;

// What follows the name of a key.
enum class Operand { kNone, kFlag, kNotFlag, kNothing, kDay, kNumber, kText, kField };

struct Rule {
  std::string_view name;
  Operand operand;
  Kind kind;
  uint32_t flag = 0;
};

constexpr Rule kRules[] = {
    {"ALL", Operand::kNone, Kind::kAll},
    {"ANSWERED", Operand::kFlag, Kind::kFlag, kAnswered},
    {"DELETED", Operand::kFlag, Kind::kFlag, kDeleted},
    {"DRAFT", Operand::kFlag, Kind::kFlag, kDraft},
    {"FLAGGED", Operand::kFlag, Kind::kFlag, kFlagged},
    {"SEEN", Operand::kFlag, Kind::kFlag, kSeen},
    {"UNANSWERED", Operand::kNotFlag, Kind::kFlag, kAnswered},
    {"UNDELETED", Operand::kNotFlag, Kind::kFlag, kDeleted},
    {"UNDRAFT", Operand::kNotFlag, Kind::kFlag, kDraft},
    {"UNFLAGGED", Operand::kNotFlag, Kind::kFlag, kFlagged},
    {"UNSEEN", Operand::kNotFlag, Kind::kFlag, kSeen},
    // RFC 3501 §6.4.4: no message is ever \Recent here, so NEW and RECENT find none, OLD all.
    {"NEW", Operand::kNothing, Kind::kNot},
    {"RECENT", Operand::kNothing, Kind::kNot},
    {"OLD", Operand::kNone, Kind::kAll},
    {"BEFORE", Operand::kDay, Kind::kBefore},
    {"ON", Operand::kDay, Kind::kOn},
    {"SINCE", Operand::kDay, Kind::kSince},
    {"SENTBEFORE", Operand::kDay, Kind::kSentBefore},
    {"SENTON", Operand::kDay, Kind::kSentOn},
    {"SENTSINCE", Operand::kDay, Kind::kSentSince},
    {"LARGER", Operand::kNumber, Kind::kLarger},
    {"SMALLER", Operand::kNumber, Kind::kSmaller},
    {"OLDER", Operand::kNumber, Kind::kOlder},
    {"YOUNGER", Operand::kNumber, Kind::kYounger},
    {"BODY", Operand::kText, Kind::kBody},
    {"TEXT", Operand::kText, Kind::kText},
    {"EMAILID", Operand::kText, Kind::kEmailId},
    {"THREADID", Operand::kText, Kind::kThreadId},
    {"BCC", Operand::kField, Kind::kHeader},
    {"CC", Operand::kField, Kind::kHeader},
    {"FROM", Operand::kField, Kind::kHeader},
    {"SUBJECT", Operand::kField, Kind::kHeader},
    {"TO", Operand::kField, Kind::kHeader},
};

SearchKey Negate(SearchKey child) {
  SearchKey key;
  key.kind = Kind::kNot;
  key.children.push_back(std::move(child));
  return key;
}

class Parser {
 public:
  explicit Parser(Cursor* cursor) : cursor_(cursor) {}

  // key *(SP key), up to the end of the text or the closing parenthesis.
  std::optional<SearchKey> Keys(char end) {
    SearchKey group;
    group.kind = Kind::kAnd;
    do {
      auto key = Key();
      if (!key) return std::nullopt;
      group.children.push_back(*std::move(key));
    } while (cursor_->Take(' '));
    if (end != '\0' && !cursor_->Expect(end)) return std::nullopt;
    if (group.children.size() == 1) return std::move(group.children.front());
    return group;
  }

 private:
  std::optional<SearchKey> Key() {
    if (++count_ > cursor_->limits().list_items) {
      cursor_->Fail("too many search keys");
      return std::nullopt;
    }
    if (!cursor_->Enter()) return std::nullopt;
    auto key = KeyInside();
    cursor_->Leave();
    return key;
  }

  std::optional<SearchKey> KeyInside() {
    if (cursor_->Take('(')) return Keys(')');
    const char c = cursor_->Peek();
    if (base::IsDigit(c) || c == '*' || c == '$') return Set(Kind::kSequence);
    const auto name = cursor_->Keyword();
    if (!name) return std::nullopt;
    for (const Rule& rule : kRules) {
      if (rule.name == *name) return ByRule(rule);
    }
    return Special(*name);
  }

  std::optional<SearchKey> Set(Kind kind) {
    SearchKey key;
    key.kind = kind;
    auto set = ParseSequenceSet(cursor_);
    if (!set) return std::nullopt;
    key.set = *std::move(set);
    return key;
  }

  std::optional<SearchKey> ByRule(const Rule& rule) {
    SearchKey key;
    key.kind = rule.kind;
    key.number = rule.flag;
    key.name = rule.operand == Operand::kField ? rule.name : std::string_view();
    switch (rule.operand) {
      case Operand::kNone:
      case Operand::kFlag: return key;
      case Operand::kNotFlag: return Negate(std::move(key));
      case Operand::kNothing: return Negate(SearchKey());
      case Operand::kDay: return WithDay(std::move(key));
      case Operand::kNumber: return WithNumber(std::move(key));
      case Operand::kText:
      case Operand::kField: return WithText(std::move(key));
    }
    return std::nullopt;
  }

  std::optional<SearchKey> WithDay(SearchKey key) {
    if (!cursor_->ExpectSpace()) return std::nullopt;
    const auto day = ParseDay(cursor_);
    if (!day) return std::nullopt;
    key.day = *day;
    return key;
  }

  std::optional<SearchKey> WithNumber(SearchKey key) {
    if (!cursor_->ExpectSpace()) return std::nullopt;
    const auto number = cursor_->Number64();
    if (!number) return std::nullopt;
    key.number = *number;
    return key;
  }

  std::optional<SearchKey> WithText(SearchKey key) {
    if (!cursor_->ExpectSpace()) return std::nullopt;
    auto text = cursor_->Astring();
    if (!text) return std::nullopt;
    if (!base::IsUtf8(*text)) {
      cursor_->Fail("search text is not UTF-8");
      return std::nullopt;
    }
    key.text = *std::move(text);
    return key;
  }

  std::optional<SearchKey> Special(std::string_view name) {
    if (name == "NOT") return Not();
    if (name == "OR") return Or();
    if (name == "HEADER") return Header();
    if (name == "KEYWORD") return WithKeyword();
    if (name == "MODSEQ") return ModSeq();
    if (name == "UID") {
      if (!cursor_->ExpectSpace()) return std::nullopt;
      return Set(Kind::kUid);
    }
    if (name == "UNKEYWORD") {
      auto key = WithKeyword();
      if (!key) return std::nullopt;
      return Negate(*std::move(key));
    }
    cursor_->Fail("unknown search key");
    return std::nullopt;
  }

  std::optional<SearchKey> Not() {
    if (!cursor_->ExpectSpace()) return std::nullopt;
    auto child = Key();
    if (!child) return std::nullopt;
    return Negate(*std::move(child));
  }

  std::optional<SearchKey> Or() {
    SearchKey key;
    key.kind = Kind::kOr;
    for (int i = 0; i < 2; ++i) {
      if (!cursor_->ExpectSpace()) return std::nullopt;
      auto child = Key();
      if (!child) return std::nullopt;
      key.children.push_back(*std::move(child));
    }
    return key;
  }

  std::optional<SearchKey> Header() {
    SearchKey key;
    key.kind = Kind::kHeader;
    if (!cursor_->ExpectSpace()) return std::nullopt;
    auto name = cursor_->Astring();
    if (!name) return std::nullopt;
    key.name = *std::move(name);
    return WithText(std::move(key));
  }

  std::optional<SearchKey> WithKeyword() {
    SearchKey key;
    key.kind = Kind::kKeyword;
    if (!cursor_->ExpectSpace()) return std::nullopt;
    auto keyword = ParseKeywordFlag(cursor_);
    if (!keyword) return std::nullopt;
    key.text = *std::move(keyword);
    return key;
  }

  // RFC 7162 §3.1.5: MODSEQ ["/flags/\\Seen" ("priv" / "shared" / "all")] n. We keep one modseq a
  // message, which the RFC allows, so the entry name changes nothing.
  std::optional<SearchKey> ModSeq() {
    SearchKey key;
    key.kind = Kind::kModSeq;
    if (!cursor_->ExpectSpace()) return std::nullopt;
    if (cursor_->Peek() == '"') {
      const bool taken = cursor_->String() && cursor_->ExpectSpace() && cursor_->Atom();
      if (!taken || !cursor_->ExpectSpace()) return std::nullopt;
    }
    const auto number = cursor_->Number64();
    if (!number) return std::nullopt;
    key.number = *number;
    return key;
  }

  Cursor* cursor_;
  size_t count_ = 0;
};

bool ParseReturnOption(Cursor* cursor, SearchReturn* options) {
  const auto word = cursor->Keyword();
  if (!word) return false;
  if (*word == "MIN") {
    options->min = true;
  } else if (*word == "MAX") {
    options->max = true;
  } else if (*word == "ALL") {
    options->all = true;
  } else if (*word == "COUNT") {
    options->count = true;
  } else if (*word == "SAVE") {
    options->save = true;
  } else {
    return cursor->Fail("unknown search return option");
  }
  return true;
}

bool ParseReturn(Cursor* cursor, SearchProgram* program) {
  SearchReturn options;
  if (!cursor->ExpectSpace()) return false;
  if (!cursor->List(true, [&] { return ParseReturnOption(cursor, &options); })) return false;
  // RFC 4731 §3.1: no option is ALL.
  const bool none = !options.min && !options.max && !options.count && !options.save;
  if (none) options.all = true;
  program->returns = options;
  return cursor->ExpectSpace();
}

bool ParseCharset(Cursor* cursor, SearchProgram* program) {
  if (!cursor->ExpectSpace()) return false;
  const auto charset = cursor->Astring();
  if (!charset) return false;
  program->charset = base::Upper(*charset);
  return cursor->ExpectSpace();
}

}  // namespace

bool IsSearchCharset(std::string_view upper_case_name) {
  return upper_case_name.empty() || upper_case_name == "UTF-8" || upper_case_name == "US-ASCII";
}

std::optional<SearchProgram> ParseSearch(Cursor* cursor) {
  SearchProgram program;
  if (cursor->TakeWord("RETURN") && !ParseReturn(cursor, &program)) return std::nullopt;
  if (cursor->TakeWord("CHARSET") && !ParseCharset(cursor, &program)) return std::nullopt;
  auto key = Parser(cursor).Keys('\0');
  if (!key || !cursor->ExpectEnd()) return std::nullopt;
  program.key = *std::move(key);
  return program;
}

bool BindSearch(SearchKey* key, const UidSet& uids, const UidSet& saved) {
  if (key->kind == Kind::kSequence || key->kind == Kind::kUid) {
    const bool by_sequence = key->kind == Kind::kSequence;
    const uint32_t max = by_sequence ? uids.size() : uids.max();
    if (by_sequence && key->set.Exceeds(max)) return false;
    const UidSet numbers = key->set.Resolve(max);
    key->uids = key->set.saved ? saved
                : by_sequence  ? uids.SelectAll(numbers)
                               : uids.Intersect(numbers);
    key->kind = Kind::kUid;
    key->set = {};
  }
  return std::all_of(key->children.begin(), key->children.end(),
                     [&](SearchKey& child) { return BindSearch(&child, uids, saved); });
}

bool UsesKey(const SearchKey& key, SearchKey::Kind kind) {
  return key.kind == kind ||
         std::any_of(key.children.begin(), key.children.end(),
                     [kind](const SearchKey& child) { return UsesKey(child, kind); });
}

}  // namespace godwit::imap
