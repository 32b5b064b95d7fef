#pragma once

// RCPT: from what the directory says of a recipient to the reply and the accounts it leads to. A
// pure function; the look-up is done by the caller.

#include <cstdint>
#include <string>
#include <vector>

#include "libs/smtp/path.h"
#include "libs/smtp/reply.h"
#include "libs/store/directory.h"

namespace godwit::smtp_ingress {

struct RecipientPolicy {
  // Mail for disabled accounts and domains: 550 instead of 450.
  bool reject_disabled = false;
};

struct RecipientVerdict {
  smtp::Reply reply;
  // Who gets a copy; filled when the reply is positive.
  std::vector<store::AccountId> accounts;
};

// `declared_size` is MAIL's SIZE, 0 without one: it must fit into the quota.
//
// An alias is accepted when one of its members can take mail; members that are disabled are left
// out, those over quota are not (the sender of a list can do nothing about it). An alias with
// members at other domains is refused: nothing forwards yet, and a copy must not be lost. So is one
// with more than store::kMaxTargets members: all copies of a message are one commit.
RecipientVerdict JudgeRecipient(const store::Recipient& recipient, const smtp::Address& sender,
                                uint64_t declared_size, const RecipientPolicy& policy);

}  // namespace godwit::smtp_ingress
