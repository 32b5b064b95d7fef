#pragma once

// What FETCH may ask for (RFC 9051 §6.4.5, RFC 3501 §6.4.5), and how each item is named in the
// answer.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libs/imap/cursor.h"

namespace godwit::imap {

// BODY[...]: which octets of a message.
struct Section {
  enum class Text {
    kAll,              // BODY[] or BODY[1.2]
    kHeader,           // HEADER
    kHeaderFields,     // HEADER.FIELDS (...)
    kHeaderFieldsNot,  // HEADER.FIELDS.NOT (...)
    kText,             // TEXT
    kMime,             // MIME, only with a part
  };
  std::vector<uint32_t> part;  // {1, 2} of "1.2"; empty is the whole message
  Text text = Text::kAll;
  std::vector<std::string> fields;  // as written

  friend bool operator==(const Section&, const Section&) = default;
};

// "<0.2048>": `size` octets from `offset`.
struct Partial {
  uint32_t offset = 0;
  uint32_t size = 0;
  friend bool operator==(const Partial&, const Partial&) = default;
};

struct FetchItem {
  enum class Kind {
    kUid,
    kFlags,
    kInternalDate,
    kRfc822Size,
    kModSeq,    // RFC 7162 §3.1.4.2
    kEmailId,   // RFC 8474 §4.2
    kThreadId,  // RFC 8474 §4.3
    kEnvelope,
    kBody,  // BODY without section
    kBodyStructure,
    kRfc822,        // BODY[] under its old name, and so on
    kRfc822Header,  // does not set \Seen
    kRfc822Text,
    kBodySection,  // BODY[...] and BODY.PEEK[...]
    kBinary,       // BINARY[...] and BINARY.PEEK[...] (RFC 9051 §6.4.5)
    kBinarySize,   // BINARY.SIZE[...]
  };
  Kind kind = Kind::kFlags;
  bool peek = false;
  Section section;
  std::optional<Partial> partial;

  // Fetching it sets \Seen.
  bool SetsSeen() const;
  // The name in the answer: "BODY[1.MIME]<100>", "RFC822.SIZE". The names of header fields are
  // quoted where they are not atoms.
  std::string ResponseName() const;

  friend bool operator==(const FetchItem&, const FetchItem&) = default;
};

// The item list of FETCH: a macro, one item, or a parenthesised list. Macros come back as the
// items they stand for. An item asked twice comes back once.
std::optional<std::vector<FetchItem>> ParseFetchItems(Cursor* cursor);

}  // namespace godwit::imap
