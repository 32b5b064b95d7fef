#pragma once

// Address lists (RFC 5322 §3.4) with groups, comments, quoted strings, the obsolete routes and
// empty elements of §4.4, and UTF-8 (RFC 6532 §3.2).
//
// Tolerant: every value parses; what makes no sense gives an Address with an empty mailbox or
// host, or none at all. Linear in the size of the value.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::mime {

// One element of a list, in the flat form of IMAP's ENVELOPE (RFC 3501 §7.4.2): a group is a
// kGroupStart, its members, and a kGroupEnd. Starts and ends always pair and never nest.
//
// All strings are the octets of the header with folding, quoting and comments removed. They may
// hold RFC 2047 encoded words (in the name) and 8-bit octets, which need not be good UTF-8.
struct Address {
  enum class Kind : uint8_t { kMailbox, kGroupStart, kGroupEnd };

  Kind kind = Kind::kMailbox;
  std::string name;     // display name, else the comment after the address; of a kGroupStart: empty
  std::string route;    // RFC 5322 §4.4 obs-route "@a,@b", nearly always empty ("adl" in IMAP)
  std::string mailbox;  // local part, unquoted; of a kGroupStart: the group's name
  std::string host;     // domain as written, or "[...]" domain literal; empty when missing

  // The name (of a kGroupStart: the group's name) with encoded words decoded; good UTF-8.
  std::string DecodedName() const;
  // "local@domain" with the local part quoted where it must be; "" unless both are there.
  std::string Spec() const;

  bool operator==(const Address&) const = default;
};

using AddressList = std::vector<Address>;

struct AddressLimits {
  size_t max_addresses = 5000;  // further elements are left out
  int max_comment_depth = 50;   // deeper parentheses are taken as text of the comment
};

// Parses the value of From, To, Cc, Reply-To, ... (with or without its folding).
AddressList ParseAddressList(std::string_view value, const AddressLimits& limits = {});

// A local part as RFC 5322 §3.4.1 writes it: as it is when it is a dot-atom, else quoted.
std::string QuoteLocalPart(std::string_view local);
// A display name as RFC 5322 §3.2.5 writes it: atoms, a quoted string, or encoded words for what is
// not ASCII.
std::string QuotePhrase(std::string_view utf8);

// Writes a list as a header value ("Name <a@b.example>, group: c@d.example;"), unfolded. Names are
// written through QuotePhrase of their decoded form.
std::string FormatAddressList(const AddressList& list);

}  // namespace godwit::mime
