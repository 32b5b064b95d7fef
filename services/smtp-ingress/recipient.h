#pragma once

// RCPT: from what the directory says of a recipient to the reply, and the accounts and addresses
// that it leads to. Pure functions; the look-up is lookup.h's.

#include <cstdint>
#include <string>
#include <vector>

#include "libs/smtp/path.h"
#include "libs/smtp/reply.h"
#include "libs/store/directory.h"
#include "services/smtp-ingress/lookup.h"

namespace godwit::smtp_ingress {

struct RecipientPolicy {
  // Mail for disabled accounts and domains: 550 instead of 450.
  bool reject_disabled = false;
  // There is a queue that takes what goes on to other servers.
  bool may_send_on = false;
  // Nobody of that name: told after the data, to a client that gives no second recipient.
  bool unknown_after_data = false;
};

struct RecipientVerdict {
  smtp::Reply reply;
  // Who gets a copy; filled when the reply is positive.
  std::vector<store::AccountId> accounts{};
  // The message goes on to the same address, with the same sender.
  bool relay = false;
  // The message goes on to these, by way of the address.
  std::vector<smtp::Address> external{};
};

// `declared_size` is MAIL's SIZE, 0 without one: it must fit into the quota.
//
// An alias is accepted when one of its members can take mail; members that are disabled are left
// out, those over quota are not (the sender of a list can do nothing about it). One with more than
// store::kMaxTargets members is refused: all copies of a message are one commit. What goes on is
// answered 450 where nothing can be sent on: somebody has forgotten to configure it.
RecipientVerdict JudgeRecipient(const store::Recipient& recipient, const smtp::Address& sender,
                                uint64_t declared_size, const RecipientPolicy& policy);

// Whether the local part of an address whose mail goes on names somebody elsewhere
// ("user%host@...", "host!user@..."): a next hop that trusts us may send it there, and we would be
// an open relay.
bool IsRouted(const Found& found, const smtp::Address& address);

// The recipient is an address that SRS made, or looks like one (Found::srs is not kNo). It is there
// for notices, which have the null sender (RFC 3464 §2), and for nothing else.
RecipientVerdict JudgeReturn(const Found& found, const smtp::Address& sender,
                             const RecipientPolicy& policy);

}  // namespace godwit::smtp_ingress
