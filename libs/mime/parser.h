#pragma once

// The streaming MIME parser (RFC 5322, RFC 2045, RFC 2046, RFC 6532): a message goes in piece by
// piece while it arrives, its Summary comes out.
//
// Never fails: every byte string is some message. Gives the same Summary for every split of the
// same bytes. Linear in time, whatever the nesting and the number of boundaries. Memory is bounded
// by Limits, not by the message. One thread at a time.
//
// Line ends: LF, with or without CR before it. A bare CR is an ordinary octet. (smtp-ingress
// refuses bare CR and LF before they come here; IMAP's APPEND may bring them.)
//
//   Parser parser;
//   while (more) parser.Feed(chunk);
//   const Summary summary = parser.Finish();

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "libs/mime/structure.h"

namespace godwit::mime {

struct Limits {
  // Parts within parts. A part at this depth is a leaf, whatever it holds. At most 1000.
  size_t max_depth = 100;
  // Parts in all, the root included. Beyond it, delimiter lines are text of the last part.
  size_t max_parts = 1000;
  // Of one header block; fields that do not end within it are ignored.
  size_t max_header_bytes = 256 * 1024;
  // Of all header blocks below the top together; what is beyond it is ignored as well.
  size_t max_part_header_bytes = 1024 * 1024;
  // Addresses in one list of an envelope.
  size_t max_addresses = 5000;
  // Octets of a text part that the preview is made from.
  size_t max_preview_source = 16 * 1024;
};

class Parser {
 public:
  explicit Parser(const Limits& limits = {});
  ~Parser();
  Parser(Parser&&) noexcept;
  Parser& operator=(Parser&&) noexcept;

  void Feed(std::string_view chunk);

  // True once the empty line after the top header was fed.
  bool header_complete() const;
  // The top header as far as it was fed and kept (max_header_bytes), with its empty line. Valid
  // until the next Feed.
  std::string_view header() const;

  // Octets held now, an estimate: headers, parts and what the preview is made from. O(1).
  size_t memory() const;

  // Call once; afterwards only destruction or assignment is allowed.
  Summary Finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The same for bytes that are all there.
Summary ParseMessage(std::string_view message, const Limits& limits = {});

}  // namespace godwit::mime
