#pragma once

// The header as it is stored: what came, without fields that only we may write, with ours in front.
//
//   Return-Path, Delivered-To                      (each copy's own: MakeCopyPrefix)
//   Authentication-Results, Received-SPF, X-Godwit-Reason, X-Godwit-Report, Received
//   ... the message's own fields ...
//
// Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/smtp/origin.h"
#include "libs/smtp/path.h"
#include "libs/smtp/trace.h"

namespace godwit::smtp_ingress {

struct HeaderFacts {
  std::string authserv_id;
  // Values of the fields, folded; "" leaves the field out.
  std::string authentication_results;
  std::string received_spf;
  // Why the message is where it is (decision.h); "" leaves the field out.
  std::string reason;
  // What became of a report in it (X-Godwit-Report); "" for mail to other addresses.
  std::string report;
  // Mail of another daemon of ours: auth=pass is recorded for what a user submitted.
  std::optional<smtp::Origin> origin;
  smtp::ReceivedField received;
};

// `header` as it came, with or without the empty line at its end; the result has it. Removed:
// Authentication-Results that claim to be ours (RFC 8601 §5), Return-Path (RFC 5321 §4.4),
// X-Godwit-Reason and X-Godwit-Report.
std::string MakeStoredHeader(std::string_view header, const HeaderFacts& facts);

// What stands in front of one recipient's copy.
std::string MakeCopyPrefix(const smtp::Address& reverse_path, const smtp::Address& recipient);

// The addresses of the Delivered-To fields of a header (RFC 9228), as they stand there.
std::vector<std::string> DeliveredTo(std::string_view header);

// Received fields of a header (RFC 5321 §6.3: a loop is seen by their number).
size_t CountReceived(std::string_view header);

}  // namespace godwit::smtp_ingress
