#include "services/smtp-ingress/recipient.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/store/delivery.h"

namespace godwit::smtp_ingress {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

RecipientVerdict Refuse(smtp::Reply reply) {
  RecipientVerdict verdict;
  verdict.reply = std::move(reply);
  return verdict;
}

RecipientVerdict Accept() { return Refuse(MakeReply(ReplyKind::kRecipientOk)); }

// RFC 3463 §3.4: X.3.5 system incorrectly configured.
RecipientVerdict CanNotSendOn() {
  return Refuse({450, "4.3.5", {"Mail for this address can not be sent on at the moment"}});
}

// "550 5.1.6 Moved"; the store has checked its form.
smtp::Reply ReadRefusal(const std::string& text) {
  const size_t enhanced = text.find(' ');
  const size_t rest = text.find(' ', enhanced + 1);
  if (enhanced != 3 || rest == text.npos) return MakeReply(ReplyKind::kUnknownUser);
  const auto code = base::ParseDecimal(text.substr(0, 3));
  if (!code) return MakeReply(ReplyKind::kUnknownUser);
  return {static_cast<int>(*code), text.substr(4, rest - 4), {text.substr(rest + 1)}};
}

bool MaySend(const std::vector<std::string>& senders, const smtp::Address& sender) {
  if (senders.empty()) return true;
  const std::string address = sender.is_null() ? "<>" : sender.ToString();
  return std::any_of(senders.begin(), senders.end(), [&](const std::string& allowed) {
    return base::EqualsIgnoreCase(allowed, address) ||
           (!sender.is_null() && base::EqualsIgnoreCase(allowed, "@" + sender.domain));
  });
}

RecipientVerdict Disabled(const RecipientPolicy& policy) {
  return Refuse(MakeReply(policy.reject_disabled ? ReplyKind::kMailboxDisabled
                                                 : ReplyKind::kMailboxDisabledTemporarily));
}

bool OverQuota(const store::LocalRecipient& local, uint64_t size) {
  return local.quota_bytes > 0 && (local.used_bytes >= local.quota_bytes ||
                                   size > uint64_t(local.quota_bytes - local.used_bytes));
}

bool IsMember(const store::Recipient& alias, const std::string& sender) {
  auto is_sender = [&](const std::string& address) {
    return base::EqualsIgnoreCase(address, sender);
  };
  return std::any_of(alias.local.begin(), alias.local.end(),
                     [&](const auto& local) { return is_sender(local.address); }) ||
         std::any_of(alias.external.begin(), alias.external.end(),
                     [&](const auto& address) { return is_sender(address.ToString()); });
}

RecipientVerdict JudgeAccount(const store::LocalRecipient& local, uint64_t size,
                              const RecipientPolicy& policy) {
  if (local.disabled) return Disabled(policy);
  if (OverQuota(local, size)) return Refuse(MakeReply(ReplyKind::kMailboxFull));
  RecipientVerdict verdict = Accept();
  verdict.accounts = {local.account};
  return verdict;
}

RecipientVerdict JudgeRelay(const RecipientPolicy& policy) {
  if (!policy.may_send_on) return CanNotSendOn();
  RecipientVerdict verdict = Accept();
  verdict.relay = true;
  return verdict;
}

RecipientVerdict JudgeAlias(const store::Recipient& alias, const smtp::Address& sender,
                            uint64_t size, const RecipientPolicy& policy) {
  if (!alias.alias_public && !IsMember(alias, sender.ToString())) {
    // RFC 3463 §3.8: X.7.2 mailing list expansion prohibited.
    return Refuse({550, "5.7.2", {"Only members may send to this address"}});
  }
  if (!alias.external.empty() && !policy.may_send_on) return CanNotSendOn();
  RecipientVerdict verdict = Accept();
  verdict.external = alias.external;
  bool room = !alias.external.empty();
  for (const store::LocalRecipient& local : alias.local) {
    if (local.disabled) continue;
    room = room || !OverQuota(local, size);
    verdict.accounts.push_back(local.account);
  }
  if (verdict.accounts.empty() && verdict.external.empty()) return Disabled(policy);
  if (verdict.accounts.size() + verdict.external.size() > store::kMaxTargets) {
    // RFC 3463 §3.3: X.2.4 mailing list expansion problem. Trying again would not help.
    return Refuse({550, "5.2.4", {"The list has too many members"}});
  }
  if (!room) return Refuse(MakeReply(ReplyKind::kMailboxFull));
  return verdict;
}

}  // namespace

RecipientVerdict JudgeRecipient(const store::Recipient& recipient, const smtp::Address& sender,
                                uint64_t declared_size, const RecipientPolicy& policy) {
  const bool disabled = recipient.kind == store::RecipientKind::kDomainDisabled;
  if (!disabled && !recipient.refusal.empty()) return Refuse(ReadRefusal(recipient.refusal));
  if (!disabled && !MaySend(recipient.senders, sender)) {
    // RFC 3463 §3.8: X.7.1 delivery not authorized.
    return Refuse({550, "5.7.1", {"You may not send to this address"}});
  }
  switch (recipient.kind) {
    case store::RecipientKind::kUnknownDomain: return Refuse(MakeReply(ReplyKind::kRelayDenied));
    case store::RecipientKind::kDomainDisabled: return Disabled(policy);
    case store::RecipientKind::kUnknownUser: return Refuse(MakeReply(ReplyKind::kUnknownUser));
    case store::RecipientKind::kAccount:
      return JudgeAccount(recipient.local.at(0), declared_size, policy);
    case store::RecipientKind::kRelay: return JudgeRelay(policy);
    case store::RecipientKind::kAlias: break;
  }
  return JudgeAlias(recipient, sender, declared_size, policy);
}

bool IsRouted(const Found& found, const smtp::Address& address) {
  return found.recipient.kind == store::RecipientKind::kRelay && found.srs == Found::Srs::kNo &&
         address.local_part.find_first_of("@%!") != std::string::npos;
}

RecipientVerdict JudgeReturn(const Found& found, const smtp::Address& sender,
                             const RecipientPolicy& policy) {
  if (found.srs == Found::Srs::kForged) return Refuse(MakeReply(ReplyKind::kUnknownUser));
  if (found.srs == Found::Srs::kExpired) {
    return Refuse(MakeReply(ReplyKind::kUnknownUser, "This address has expired"));
  }
  // Or everybody who has once seen the address could send through us.
  if (!sender.is_null()) return Refuse({550, "5.7.1", {"This address takes bounces only"}});
  if (!policy.may_send_on) return CanNotSendOn();
  RecipientVerdict verdict = Accept();
  verdict.external = {found.original};
  return verdict;
}

}  // namespace godwit::smtp_ingress
