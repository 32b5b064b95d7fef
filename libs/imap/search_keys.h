#pragma once

// The SEARCH program (RFC 9051 §6.4.4, RFC 3501 §6.4.4, ESEARCH RFC 4731, SEARCHRES RFC 5182,
// WITHIN RFC 5032, CONDSTORE RFC 7162 §3.1.5, OBJECTID RFC 8474 §6) as a tree. search_eval.h
// evaluates it.
//
// Bounds: Limits::depth for NOT, OR and parentheses, Limits::list_items keys in all.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/civil_time.h"
#include "libs/imap/cursor.h"
#include "libs/imap/sequence_set.h"
#include "libs/imap/uid_set.h"

namespace godwit::imap {

struct SearchKey {
  enum class Kind {
    kAll,
    kAnd,      // of `children`, which may be none: true
    kOr,       // of two children
    kNot,      // of one child
    kFlag,     // system flag `number`
    kKeyword,  // `text`
    kBefore,   // INTERNALDATE, `day`
    kOn,
    kSince,
    kSentBefore,  // the Date field, `day`
    kSentOn,
    kSentSince,
    kLarger,  // than `number` octets
    kSmaller,
    kOlder,  // than `number` seconds
    kYounger,
    kHeader,  // field `name` holds `text`; with text "": the field exists
    kBody,    // `text`
    kText,
    kSequence,  // `set`, sequence numbers; gone after BindSearch
    kUid,       // `set`; after BindSearch: `uids`
    kModSeq,    // at least `number`
    kEmailId,   // `text`
    kThreadId,
  };
  Kind kind = Kind::kAll;
  std::vector<SearchKey> children;
  uint64_t number = 0;
  std::string name;
  std::string text;  // UTF-8
  absl::CivilDay day;
  SequenceSet set;
  UidSet uids;
};

struct SearchReturn {
  bool min = false;
  bool max = false;
  bool all = false;
  bool count = false;
  bool save = false;
};

struct SearchProgram {
  // Engaged: answer with ESEARCH (RFC 4731 §3.1). "RETURN ()" means ALL.
  std::optional<SearchReturn> returns;
  std::string charset;  // upper case; "" when none was named
  SearchKey key;
};

// True for the charsets that SEARCH takes; else the answer is NO [BADCHARSET ...].
bool IsSearchCharset(std::string_view upper_case_name);

// Everything after "SEARCH ", up to the end.
std::optional<SearchProgram> ParseSearch(Cursor* cursor);

// What the numbers in a program mean: `uids` is the session's map, `saved` its saved result.
// Afterwards the tree has kUid with `uids` only. False when a sequence number does not exist.
bool BindSearch(SearchKey* key, const UidSet& uids, const UidSet& saved);

// True when the tree has a key of this kind.
bool UsesKey(const SearchKey& key, SearchKey::Kind kind);

}  // namespace godwit::imap
