#include "services/smtp-ingress/recipient.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/store/delivery.h"

namespace godwit::smtp_ingress {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

RecipientVerdict Refuse(smtp::Reply reply) { return {std::move(reply), {}}; }

RecipientVerdict Disabled(const RecipientPolicy& policy) {
  return Refuse(MakeReply(policy.reject_disabled ? ReplyKind::kMailboxDisabled
                                                 : ReplyKind::kMailboxDisabledTemporarily));
}

bool OverQuota(const store::LocalRecipient& local, uint64_t size) {
  return local.quota_bytes > 0 && (local.used_bytes >= local.quota_bytes ||
                                   size > uint64_t(local.quota_bytes - local.used_bytes));
}

bool IsMember(const store::Recipient& alias, const std::string& sender) {
  return std::any_of(
             alias.local.begin(), alias.local.end(),
             [&](const auto& local) { return base::EqualsIgnoreCase(local.address, sender); }) ||
         std::any_of(alias.external.begin(), alias.external.end(),
                     [&](const auto& address) { return base::EqualsIgnoreCase(address, sender); });
}

RecipientVerdict JudgeAccount(const store::LocalRecipient& local, uint64_t size,
                              const RecipientPolicy& policy) {
  if (local.disabled) return Disabled(policy);
  if (OverQuota(local, size)) return Refuse(MakeReply(ReplyKind::kMailboxFull));
  return {MakeReply(ReplyKind::kRecipientOk), {local.account}};
}

RecipientVerdict JudgeAlias(const store::Recipient& alias, const smtp::Address& sender,
                            uint64_t size, const RecipientPolicy& policy) {
  if (!alias.alias_public && !IsMember(alias, sender.ToString())) {
    // RFC 3463 §3.8: X.7.2 mailing list expansion prohibited.
    return Refuse({550, "5.7.2", {"Only members may send to this address"}});
  }
  if (!alias.external.empty()) {
    // RFC 3463 §3.4: X.3.3 system not capable of selected features.
    return Refuse(
        {550, "5.3.3", {"This address forwards to other servers, which is not possible"}});
  }
  RecipientVerdict verdict{MakeReply(ReplyKind::kRecipientOk), {}};
  bool room = false;
  for (const store::LocalRecipient& local : alias.local) {
    if (local.disabled) continue;
    room = room || !OverQuota(local, size);
    verdict.accounts.push_back(local.account);
  }
  if (verdict.accounts.empty()) return Disabled(policy);
  if (verdict.accounts.size() > store::kMaxTargets) {
    // RFC 3463 §3.3: X.2.4 mailing list expansion problem. Trying again would not help.
    return Refuse({550, "5.2.4", {"The list has too many members"}});
  }
  if (!room) return Refuse(MakeReply(ReplyKind::kMailboxFull));
  return verdict;
}

}  // namespace

RecipientVerdict JudgeRecipient(const store::Recipient& recipient, const smtp::Address& sender,
                                uint64_t declared_size, const RecipientPolicy& policy) {
  switch (recipient.kind) {
    case store::RecipientKind::kUnknownDomain: return Refuse(MakeReply(ReplyKind::kRelayDenied));
    case store::RecipientKind::kDomainDisabled: return Disabled(policy);
    case store::RecipientKind::kUnknownUser: return Refuse(MakeReply(ReplyKind::kUnknownUser));
    case store::RecipientKind::kAccount:
      return JudgeAccount(recipient.local.at(0), declared_size, policy);
    case store::RecipientKind::kAlias: break;
  }
  return JudgeAlias(recipient, sender, declared_size, policy);
}

}  // namespace godwit::smtp_ingress
