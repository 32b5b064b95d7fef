#include "libs/imap/search_eval.h"

#include <algorithm>

#include "libs/imap/response_writer.h"
#include "libs/imap/text_match.h"

namespace godwit::imap {
namespace {

using Kind = SearchKey::Kind;

Verdict Of(bool yes) { return yes ? Verdict::kYes : Verdict::kNo; }
Verdict Of(std::optional<bool> known) { return known ? Of(*known) : Verdict::kUnknown; }

Verdict Not(Verdict verdict) {
  if (verdict == Verdict::kUnknown) return verdict;
  return verdict == Verdict::kYes ? Verdict::kNo : Verdict::kYes;
}

// kAnd is decided by the first kNo, kOr by the first kYes.
Verdict Combine(const SearchKey& key, const MessageView& message, absl::Time now) {
  const Verdict decisive = key.kind == Kind::kAnd ? Verdict::kNo : Verdict::kYes;
  Verdict result = Not(decisive);
  for (const SearchKey& child : key.children) {
    const Verdict verdict = Evaluate(child, message, now);
    if (verdict == decisive) return decisive;
    if (verdict == Verdict::kUnknown) result = Verdict::kUnknown;
  }
  return result;
}

// RFC 9051 §6.4.4: "disregarding time and timezone". A stored time has no zone; ours is UTC, the
// zone in which INTERNALDATE is told.
Verdict CompareInternal(const SearchKey& key, const MessageView& message) {
  const absl::CivilDay day = absl::ToCivilDay(message.internal_date(), absl::UTCTimeZone());
  if (key.kind == Kind::kBefore) return Of(day < key.day);
  if (key.kind == Kind::kOn) return Of(day == key.day);
  return Of(day >= key.day);
}

Verdict CompareSent(const SearchKey& key, const MessageView& message) {
  const auto sent = message.sent_day();
  if (!sent) return Verdict::kUnknown;
  if (!*sent) return Verdict::kNo;
  if (key.kind == Kind::kSentBefore) return Of(**sent < key.day);
  if (key.kind == Kind::kSentOn) return Of(**sent == key.day);
  return Of(**sent >= key.day);
}

// RFC 5032 §3.
Verdict CompareAge(const SearchKey& key, const MessageView& message, absl::Time now) {
  const absl::Duration age = now - message.internal_date();
  const auto seconds = static_cast<int64_t>(std::min<uint64_t>(key.number, INT64_MAX));
  const absl::Duration limit = absl::Seconds(seconds);
  return Of(key.kind == Kind::kOlder ? age >= limit : age <= limit);
}

bool IsTextKey(const SearchKey& key) {
  return key.kind == Kind::kHeader || key.kind == Kind::kBody || key.kind == Kind::kText;
}

void AppendNumber(std::string* out, std::string_view name, uint64_t number) {
  *out += ' ';
  *out += name;
  *out += ' ';
  *out += std::to_string(number);
}

}  // namespace

void FoldSearch(SearchKey* key) {
  if (IsTextKey(*key)) key->text = Fold(key->text);
  for (SearchKey& child : key->children) FoldSearch(&child);
}

Verdict Evaluate(const SearchKey& key, const MessageView& message, absl::Time now) {
  switch (key.kind) {
    case Kind::kAll: return Verdict::kYes;
    case Kind::kAnd:
    case Kind::kOr: return Combine(key, message, now);
    case Kind::kNot: return Not(Evaluate(key.children.front(), message, now));
    case Kind::kFlag: return Of((message.system_flags() & key.number) != 0);
    case Kind::kKeyword: return Of(message.HasKeyword(key.text));
    case Kind::kBefore:
    case Kind::kOn:
    case Kind::kSince: return CompareInternal(key, message);
    case Kind::kSentBefore:
    case Kind::kSentOn:
    case Kind::kSentSince: return CompareSent(key, message);
    case Kind::kLarger: return Of(message.size() > key.number);
    case Kind::kSmaller: return Of(message.size() < key.number);
    case Kind::kOlder:
    case Kind::kYounger: return CompareAge(key, message, now);
    case Kind::kHeader: return Of(message.HeaderContains(key.name, key.text));
    case Kind::kBody: return Of(message.BodyContains(key.text));
    case Kind::kText: return Of(message.TextContains(key.text));
    case Kind::kSequence:
    case Kind::kUid: return Of(key.uids.Contains(message.uid()));
    case Kind::kModSeq: return Of(message.modseq() >= key.number);
    case Kind::kEmailId: return Of(message.email_id() == key.text);
    case Kind::kThreadId: return Of(message.thread_id() == key.text);
  }
  return Verdict::kNo;
}

std::vector<std::string> BodyNeedles(const SearchKey& key) {
  std::vector<std::string> needles;
  if (key.kind == Kind::kBody || key.kind == Kind::kText) needles.push_back(key.text);
  for (const SearchKey& child : key.children) {
    for (std::string& needle : BodyNeedles(child)) needles.push_back(std::move(needle));
  }
  std::sort(needles.begin(), needles.end());
  needles.erase(std::unique(needles.begin(), needles.end()), needles.end());
  return needles;
}

size_t CountTextKeys(const SearchKey& key) {
  size_t count = IsTextKey(key) ? 1 : 0;
  for (const SearchKey& child : key.children) count += CountTextKeys(child);
  return count;
}

UidSet SavedResult(const SearchReturn& wanted, const UidSet& found) {
  if (wanted.all || wanted.count || found.empty() || (!wanted.min && !wanted.max)) return found;
  UidSet ends;
  if (wanted.min) ends.Add(found.min());
  if (wanted.max) ends.Add(found.max());
  return ends;
}

void AppendSearchResult(std::string* out, const SearchProgram& program, std::string_view tag,
                        bool uid, const UidSet& found, uint64_t modseq) {
  if (!program.returns) {
    *out += "* SEARCH";
    found.ForEach([out](uint32_t number) {
      *out += ' ';
      *out += std::to_string(number);
    });
    if (modseq != 0) *out += " (MODSEQ " + std::to_string(modseq) + ")";
    *out += "\r\n";
    return;
  }
  const SearchReturn& wanted = *program.returns;
  // RFC 5182 §2.1: a client that only saves is told nothing.
  if (!wanted.min && !wanted.max && !wanted.count && !wanted.all) return;
  *out += "* ESEARCH (TAG ";
  AppendString(out, tag);
  *out += uid ? ") UID" : ")";
  // RFC 9051 §7.3.4: MIN, MAX and ALL are left out when nothing was found; COUNT never.
  if (wanted.min && !found.empty()) AppendNumber(out, "MIN", found.min());
  if (wanted.max && !found.empty()) AppendNumber(out, "MAX", found.max());
  if (wanted.count) AppendNumber(out, "COUNT", found.size());
  if (wanted.all && !found.empty()) *out += " ALL " + found.ToString();
  if (modseq != 0) AppendNumber(out, "MODSEQ", modseq);
  *out += "\r\n";
}

}  // namespace godwit::imap
