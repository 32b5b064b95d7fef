#pragma once

// Reads a delivery status notification that came from elsewhere. Its writer is unknown and may be
// hostile or careless: everything is bounded, nothing is believed. The addresses and status codes
// in it are claims of whoever sent it.
//
// Takes the report out of the first message/delivery-status or message/global-delivery-status part,
// at any depth of multiparts, in any transfer encoding, with bare LF line ends, folded fields,
// empty lines too many or too few, unknown fields, comments and addresses without a type. A
// recipient without an address or with an unknown action is left out. Texts come out as one line of
// good UTF-8 each.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "libs/dsn/dsn.h"

namespace godwit::dsn {

struct ParseLimits {
  size_t message_bytes = 1024 * 1024;  // what is beyond is not looked at
  size_t report_bytes = 256 * 1024;    // of the machine-readable part, decoded
  size_t recipients = 1000;            // further ones are left out
  size_t field_bytes = 4096;           // a longer value is cut
};

struct Parsed {
  Report report;
  // The header of the original message as far as it was returned, with CRLF line ends; "" for none.
  std::string original_header;
  // Its Message-ID without brackets, when the header tells it; "" else.
  std::string original_message_id;
  bool complete = true;  // no limit cut something off
};

// All of a message. nullopt when it has no report with at least one recipient.
std::optional<Parsed> Parse(std::string_view message, const ParseLimits& limits = {});

// The text of a delivery-status part by itself, decoded.
std::optional<Parsed> ParseReport(std::string_view part, const ParseLimits& limits = {});

}  // namespace godwit::dsn
