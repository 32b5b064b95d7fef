#pragma once

// Addresses of the envelope: reverse-path, forward-path and mailbox (RFC 5321 §4.1.2, §4.1.3),
// with UTF-8 local parts and U-labels (RFC 6531 §3.3). Not the addresses of header fields, which
// have comments and folding: those are libs/mime's.
//
// An Address keeps the meaning, not the writing: `"a.b"@X.example` and `a.b@x.example` are equal.
// Case of the local part is kept; domains are lower-cased in ASCII and else left as they came
// (U-labels are mapped by the caller). ToString() writes the canonical form: quotes only where
// they are needed.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace godwit::smtp {

struct Address {
  std::string local_part;  // without quotes and backslashes; may hold any ASCII but controls
  std::string domain;      // "x.example" or "[192.0.2.1]"; empty only for <> and <postmaster>

  // The null reverse-path "<>".
  bool is_null() const { return local_part.empty() && domain.empty(); }
  bool is_ascii() const;
  // "user@x.example", "\"a b\"@x.example", "postmaster", "" for the null path.
  std::string ToString() const;
  // The same in angle brackets.
  std::string ToPath() const;

  friend bool operator==(const Address&, const Address&) = default;
};

struct PathLimits {
  size_t local_part = 64;  // RFC 5321 §4.5.3.1.1, octets as written
  size_t domain = 255;     // §4.5.3.1.2
  size_t path = 256;       // §4.5.3.1.3, angle brackets and separators included
};

// RFC 5321 §4.5.3.1 has the least that must be taken and asks for no fixed bounds: senders with
// long local parts (VERP, SRS) are common, and so are the bounces to them.
inline constexpr PathLimits kWidePath = {256, 255, 520};

enum class PathError {
  kSyntax,
  kTooLong,  // one of PathLimits
  kNotUtf8,  // octets above 127 that are no UTF-8
};

using PathResult = std::variant<Address, PathError>;

// "<>", "<a@b>", "<@relay:a@b>" (the route is dropped). Takes the path from the front of `*in`;
// after an error `*in` is where it was.
PathResult ParseReversePath(std::string_view* in, const PathLimits& limits = {});
// The same without "<>" and with "<postmaster>" in any case (RFC 5321 §4.1.1.3).
PathResult ParseForwardPath(std::string_view* in, const PathLimits& limits = {});
// All of `text` as local-part@domain, without angle brackets.
std::optional<Address> ParseMailbox(std::string_view text, const PathLimits& limits = {});

// The local part as it must be written: as it is, or in quotes with backslashes.
std::string QuoteLocalPart(std::string_view local_part);

// What a client may say in EHLO and HELO. RFC 5321 §4.1.1.1 wants a domain or address literal;
// many honest clients say less ("localhost", "my_pc"), so only octets that could do harm in a trace
// field are refused.
bool IsGreetingName(std::string_view name);

}  // namespace godwit::smtp
