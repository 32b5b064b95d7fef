#include "services/smtp-ingress/lookup.h"

#include <optional>
#include <utility>
#include <variant>

#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/srs/srs.h"
#include "libs/store/srs_secrets.h"

namespace godwit::smtp_ingress {
namespace {

absl::StatusOr<srs::Rewriter> LoadRewriter(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto secrets, store::ListSrsSecrets(connection));
  return srs::Rewriter(std::move(secrets));
}

// A domain whose notices come to us may have made the address; somebody who really is called so is
// found first.
bool MayBeOurs(const Question& question, const store::Recipient& recipient) {
  if (!srs::IsSrs(question.recipient.local_part)) return false;
  return recipient.kind == store::RecipientKind::kUnknownUser || recipient.by_catch_all ||
         recipient.by_tag || recipient.kind == store::RecipientKind::kRelay;
}

absl::Status ReadSrs(db::Connection& connection, const Question& question, Found* found) {
  GODWIT_ASSIGN_OR_RETURN(const srs::Rewriter rewriter, LoadRewriter(connection));
  const auto back = rewriter.Reverse(question.recipient.local_part, question.now);
  if (const auto* mailbox = std::get_if<srs::Mailbox>(&back)) {
    found->srs = Found::Srs::kReturn;
    found->original = smtp::Address{mailbox->local_part, mailbox->domain};
    return absl::OkStatus();
  }
  // Where mail goes on, another server may have made it.
  if (found->recipient.kind == store::RecipientKind::kRelay) return absl::OkStatus();
  const bool expired = std::get<srs::Refusal>(back) == srs::Refusal::kExpired;
  found->srs = expired ? Found::Srs::kExpired : Found::Srs::kForged;
  return absl::OkStatus();
}

absl::StatusOr<std::string> ForwardSender(db::Connection& connection, const Question& question) {
  const smtp::Address& sender = question.sender;
  if (sender.is_null()) return std::string();
  const std::optional<std::string> domain = idna::ToAscii(sender.domain);
  if (!domain) return sender.ToString();
  if (question.own_user) {
    // Our own servers may send for our own domains: SPF holds as it is.
    GODWIT_ASSIGN_OR_RETURN(const auto route, store::FindDomainRoute(connection, *domain));
    if (route.ours && route.kind == store::DomainKind::kLocal) return sender.ToString();
  }
  GODWIT_ASSIGN_OR_RETURN(const srs::Rewriter rewriter, LoadRewriter(connection));
  const auto local_part = rewriter.Rewrite({sender.local_part, *domain}, question.now);
  if (!local_part) return sender.ToString();
  // Quotes may make it longer than anybody takes.
  const std::string address = smtp::Address{*local_part, question.recipient.domain}.ToString();
  return smtp::ParseMailbox(address, smtp::kWidePath) ? address : sender.ToString();
}

}  // namespace

absl::StatusOr<Found> FindRecipient(db::Connection& connection, const Question& question) {
  Found found;
  GODWIT_ASSIGN_OR_RETURN(
      found.recipient,
      store::LookupRecipient(connection, question.recipient.local_part, question.recipient.domain));
  if (MayBeOurs(question, found.recipient)) {
    GODWIT_RETURN_IF_ERROR(ReadSrs(connection, question, &found));
  }
  if (!found.recipient.external.empty()) {
    GODWIT_ASSIGN_OR_RETURN(found.forward_sender, ForwardSender(connection, question));
  }
  return found;
}

}  // namespace godwit::smtp_ingress
