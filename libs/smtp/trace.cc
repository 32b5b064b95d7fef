#include "libs/smtp/trace.h"

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::smtp {
namespace {

// What a comment may hold without being read as its end.
bool IsHostName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return base::IsAlnum(c) || c == '.' || c == '-' || c == '_';
  });
}

// RFC 5321 §4.4 Extended-Domain: Domain FWS "(" TCP-info ")".
std::string FromClause(const ReceivedField& field) {
  const std::string literal = field.client.ToLiteral();
  std::string out = "from ";
  out += field.greeting_name.empty() ? literal : field.greeting_name;
  out += " (";
  if (IsHostName(field.reverse_name)) {
    out += field.reverse_name;
    out += ' ';
  }
  out += literal;
  out += ')';
  return out;
}

}  // namespace

std::string WithProtocolName(const WithProtocol& with) {
  // RFC 6531 §4.3: UTF8SMTP, UTF8SMTPS, UTF8SMTPA, UTF8SMTPSA; RFC 3848: ESMTP and its forms. The
  // letters exist for ESMTP only.
  if (!with.esmtp && !with.utf8) return "SMTP";
  std::string name = with.utf8 ? "UTF8SMTP" : "ESMTP";
  if (with.tls) name += 'S';
  if (with.auth) name += 'A';
  return name;
}

std::string WriteReceived(const ReceivedField& field) {
  std::string out = "Received: ";
  if (!field.hide_client) out += FromClause(field) + "\r\n\t";
  out += "by " + field.by + " with " + WithProtocolName(field.with);
  if (field.require_tls) out += " (requiretls)";
  out += " id " + field.id;
  if (!field.tls.empty()) out += "\r\n\t(" + field.tls + ")";
  if (field.recipient && (field.with.utf8 || field.recipient->is_ascii())) {
    out += "\r\n\tfor " + field.recipient->ToPath();
  }
  out += ";\r\n\t" + WriteDate(field.time) + "\r\n";
  return out;
}

std::string WriteReturnPath(const Address& reverse_path) {
  return "Return-Path: " + reverse_path.ToPath() + "\r\n";
}

std::string WriteDeliveredTo(const Address& recipient) {
  return "Delivered-To: " + recipient.ToString() + "\r\n";
}

std::string WriteDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %E4Y %H:%M:%S +0000", time, absl::UTCTimeZone());
}

}  // namespace godwit::smtp
