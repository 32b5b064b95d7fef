#pragma once

// Where the octets of BODY[...] are in a message (RFC 9051 §6.4.5.1).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/imap/fetch_items.h"
#include "libs/mime/structure.h"

namespace godwit::imap {

// A range of the whole message, header first.
struct Octets {
  uint64_t offset = 0;
  uint64_t size = 0;
  friend bool operator==(const Octets&, const Octets&) = default;
};

// Sizes of the message as it is stored: the header may have grown since `root` was made.
struct MessageSizes {
  uint64_t header = 0;
  uint64_t total = 0;
};

// The part with these numbers; nullptr when there is none. Part 1 of a message without parts is
// its body.
const mime::Part* FindPart(const mime::Part& root, const std::vector<uint32_t>& numbers);

// nullopt when the section does not exist (the answer is NIL). For HEADER.FIELDS and .NOT it is
// the header that SelectFields() picks from.
std::optional<Octets> LocateSection(const mime::Part& root, const Section& section,
                                    const MessageSizes& sizes);

// The fields of `header` that a HEADER.FIELDS or HEADER.FIELDS.NOT section names, as they stand,
// and the empty line (RFC 9051 §6.4.5.1).
std::string SelectFields(std::string_view header, const Section& section);

// `octets` cut to a partial: "<0.100>".
Octets CutPartial(Octets octets, const std::optional<Partial>& partial);

}  // namespace godwit::imap
