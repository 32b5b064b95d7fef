#pragma once

// The ESMTP parameters of MAIL and RCPT (RFC 5321 §4.1.2), read into plain values.
//
// One table in parameter.cc: keyword, the extension that must have been offered, the function that
// takes the value. A new parameter is one row and one function.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/time/time.h"
#include "libs/smtp/extension.h"
#include "libs/smtp/origin.h"
#include "libs/smtp/reply.h"

namespace godwit::smtp {

enum class BodyType { k7Bit, k8BitMime, kBinaryMime };

enum class DsnReturn { kFull, kHeaders };  // RFC 3461 §4.3

// RFC 3461 §4.1. Nothing set: as if NOTIFY=FAILURE (with DELAY at our choice).
struct DsnNotify {
  bool given = false;
  bool never = false;
  bool success = false;
  bool failure = false;
  bool delay = false;
  friend bool operator==(const DsnNotify&, const DsnNotify&) = default;
};

struct MailParameters {
  std::optional<uint64_t> size;      // RFC 1870 §5: the client's estimate, octets
  BodyType body = BodyType::k7Bit;   // RFC 6152 §2, RFC 3030 §3
  bool smtputf8 = false;             // RFC 6531 §3.4
  std::optional<std::string> auth;   // RFC 4954 §5, decoded; "" is AUTH=<>
  std::optional<DsnReturn> ret;      // RFC 3461 §4.3
  std::optional<std::string> envid;  // RFC 3461 §4.4, decoded
  std::optional<Origin> origin;      // XORIGIN
  bool requiretls = false;           // RFC 8689 §4.2
  // RFC 4865 §4: one of the two at most.
  std::optional<absl::Duration> hold_for;
  std::optional<absl::Time> hold_until;
  friend bool operator==(const MailParameters&, const MailParameters&) = default;
};

struct RcptParameters {
  DsnNotify notify;
  std::optional<std::string> orcpt_type;  // RFC 3461 §4.2: "rfc822"
  std::string orcpt_address;              // decoded
  friend bool operator==(const RcptParameters&, const RcptParameters&) = default;
};

// All of `text`, the part of the command behind the path: empty or space-separated parameters.
// A Reply is 501 5.5.4 for bad syntax or a value out of its grammar, 555 5.5.4 for a keyword that
// is unknown or whose extension is not in `offered` (RFC 5321 §4.1.1.11); twice the same: 501.
std::variant<MailParameters, Reply> ParseMailParameters(std::string_view text,
                                                        ExtensionSet offered);
std::variant<RcptParameters, Reply> ParseRcptParameters(std::string_view text,
                                                        ExtensionSet offered);

}  // namespace godwit::smtp
