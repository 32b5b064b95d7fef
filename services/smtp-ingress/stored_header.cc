#include "services/smtp-ingress/stored_header.h"

#include "libs/authres/authres.h"
#include "libs/base/ascii.h"
#include "libs/mime/header.h"
#include "libs/smtp/header_copy.h"

namespace godwit::smtp_ingress {
namespace {

constexpr std::string_view kAuthenticationResults = "Authentication-Results";
constexpr std::string_view kReason = "X-Godwit-Reason";
constexpr std::string_view kReport = "X-Godwit-Report";

// All fields there are: one that is not listed would not be removed.
mime::HeaderBlock SplitAll(std::string_view header) {
  mime::HeaderLimits limits;
  limits.max_fields = header.size();
  limits.max_bytes = header.size();
  return mime::SplitHeader(header, limits);
}

bool IsForged(std::string_view name, std::string_view line, std::string_view authserv_id) {
  if (base::EqualsIgnoreCase(name, kAuthenticationResults)) {
    std::string_view value = line.substr(name.size());
    while (!value.empty() && base::IsWsp(value.front())) value.remove_prefix(1);
    if (value.starts_with(':')) value.remove_prefix(1);
    return authres::ClaimsToBeFrom(value, authserv_id);
  }
  return base::EqualsIgnoreCase(name, "Return-Path") || base::EqualsIgnoreCase(name, kReason) ||
         base::EqualsIgnoreCase(name, kReport);
}

void AppendField(std::string_view name, std::string_view value, std::string* out) {
  if (value.empty()) return;
  *out += name;
  *out += ": ";
  *out += value;
  *out += "\r\n";
}

std::string OriginResults(const HeaderFacts& facts) {
  if (!facts.origin || facts.origin->user.empty()) return "";
  // RFC 8601 §2.7.4, §2.7.5: what the submission server saw of SMTP authentication.
  authres::MethodResult auth;
  auth.method = "auth";
  auth.result = "pass";
  auth.properties = {{"smtp", "auth", facts.origin->user}};
  return authres::Format(facts.authserv_id, {auth});
}

}  // namespace

std::string MakeStoredHeader(std::string_view header, const HeaderFacts& facts) {
  std::string out;
  out.reserve(header.size() + 2048);
  AppendField(kAuthenticationResults, facts.authentication_results, &out);
  AppendField(kAuthenticationResults, OriginResults(facts), &out);
  AppendField("Received-SPF", facts.received_spf, &out);
  AppendField(kReason, facts.reason, &out);
  AppendField(kReport, facts.report, &out);
  out += smtp::WriteReceived(facts.received);

  smtp::AppendHeaderWithout(
      header,
      [&](std::string_view name, std::string_view line) {
        return IsForged(name, line, facts.authserv_id);
      },
      &out);
  return out;
}

std::string MakeCopyPrefix(const smtp::Address& reverse_path, const smtp::Address& recipient) {
  return smtp::WriteReturnPath(reverse_path) + smtp::WriteDeliveredTo(recipient);
}

std::vector<std::string> DeliveredTo(std::string_view header) {
  const mime::HeaderBlock block = SplitAll(header);
  std::vector<std::string> addresses;
  for (const mime::HeaderField* field : block.FindAll("Delivered-To")) {
    addresses.push_back(mime::Unfold(field->value));
  }
  return addresses;
}

size_t CountReceived(std::string_view header) {
  const mime::HeaderBlock block = SplitAll(header);
  return block.FindAll("Received").size();
}

}  // namespace godwit::smtp_ingress
