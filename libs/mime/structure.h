#pragma once

// What is known of a message without reading it again: plain structs that the parser (parser.h)
// fills, record.h makes bytes of for the store, and libs/imap and JMAP write their answers from.
//
// Strings are octets of the message: folding and quoting removed, RFC 2047 words NOT decoded (but
// see `preview` and `base_subject`), 8-bit octets as they were, which need not be good UTF-8.
// CR, LF and NUL never occur in them.
//
// OFFSETS. A message is its header (with the empty line that ends it) followed by its body. The
// header may change after parsing (trace fields are put in front, forged ones removed), the body
// never does. So all offsets below count from the start of the top-level BODY:
//   octets of a part's MIME header  = body.substr(part.header_offset, part.header_size)
//   octets of a part's content      = body.substr(part.body_offset, part.body_size)
// with one exception: the root's header is the message's own header; its header_offset is 0 and
// means nothing, its header_size is Summary::header_size, its body_offset is 0.
// Sizes are octets as they stand in the message (line ends as they are, transfer encoding on).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libs/mime/address.h"
#include "libs/mime/date.h"
#include "libs/mime/parameter.h"

namespace godwit::mime {

// RFC 3501 §7.4.2, RFC 9051 §7.5.2. A list is empty when its field is missing; IMAP's rule that
// sender and reply_to then tell From is the writer's. nullopt: no such field; "": it is empty.
// Of a field that comes more than once: lists are joined (To, Cc, Bcc), else the first counts.
struct Envelope {
  std::optional<std::string> date;
  std::optional<std::string> subject;
  AddressList from;
  AddressList sender;
  AddressList reply_to;
  AddressList to;
  AddressList cc;
  AddressList bcc;
  std::optional<std::string> in_reply_to;
  std::optional<std::string> message_id;

  bool operator==(const Envelope&) const = default;
};

struct Part {
  enum class Kind : uint8_t {
    kLeaf,       // no children; whatever `type` says (see below)
    kMultipart,  // type is "multipart", the children are its parts; there may be none, when no
                 // delimiter line was found
    kMessage,  // type is message/rfc822 or message/global, `envelope` is set, and there is exactly
               // one child: the embedded message as a part, whose header_* is the embedded
               // message's header and whose body_* its body
  };

  // A kLeaf has type multipart or message/rfc822 where the parser did not look inside: no
  // boundary parameter, a limit reached, or a message in base64. Who tells a structure to clients
  // must show such a leaf as something without structure (application/octet-stream).
  Kind kind = Kind::kLeaf;

  // Content-Type, or the default: text/plain, in a digest message/rfc822. Lower case.
  std::string type = "text";
  std::string subtype = "plain";
  Parameters params;

  std::string id;           // Content-ID as written, with its brackets; "" when missing
  std::string description;  // Content-Description; "" when missing
  std::string encoding;     // Content-Transfer-Encoding, lower case; "7bit" when missing
  std::string md5;          // Content-MD5; "" when missing
  std::string location;     // Content-Location; "" when missing
  std::optional<Disposition> disposition;
  std::vector<std::string> languages;  // Content-Language

  uint64_t header_offset = 0;  // see OFFSETS above
  uint64_t header_size = 0;    // with the empty line, where there is one
  uint64_t body_offset = 0;
  uint64_t body_size = 0;  // without the line end that belongs to the delimiter after it
  uint64_t lines = 0;      // of the body; a last line without line end counts

  std::optional<Envelope> envelope;  // of the embedded message: set just when kind is kMessage
  std::vector<Part> children;

  bool operator==(const Part&) const = default;
};

struct Summary {
  Part root;
  Envelope envelope;

  // Of the message as it was parsed. Who changes the header afterwards sets header_size (and
  // root.header_size) to the new one.
  uint64_t header_size = 0;
  uint64_t body_size = 0;

  bool header_8bit = false;     // an octet above 127 in the top header
  bool body_8bit = false;       // one after it
  bool needs_smtputf8 = false;  // RFC 6531 §3.2: 8-bit in the top header or a part's MIME header
  bool has_nul = false;         // a NUL anywhere
  bool limited = false;         // a limit was reached: the structure does not tell everything

  // RFC 8970: up to 256 characters of text in UTF-8, white space collapsed, no control characters.
  // From the first text/plain part that is no attachment, else from the first text/html; never
  // from an embedded message. "" when there is nothing.
  std::string preview;

  std::optional<DateTime> sent;          // Date, where it makes sense
  std::string message_id;                // without brackets, normalised; "" when missing
  std::vector<std::string> in_reply_to;  // the same form
  std::vector<std::string> references;   // the same form
  std::string base_subject;              // RFC 5256 §2.1, good UTF-8
  bool is_reply = false;                 // its subject is that of a reply or forward

  bool operator==(const Summary&) const = default;
};

}  // namespace godwit::mime
