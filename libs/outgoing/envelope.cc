#include "libs/outgoing/envelope.h"

#include "libs/base/ascii.h"
#include "libs/smtp/xtext.h"

namespace godwit::outgoing {

Recipient MakeRecipient(const smtp::Address& address, const smtp::RcptParameters& parameters) {
  Recipient recipient;
  recipient.address = address.ToString();
  recipient.never = parameters.notify.never;
  recipient.success = parameters.notify.success;
  recipient.failure = parameters.notify.failure;
  recipient.delay = parameters.notify.delay;
  if (parameters.orcpt_type) {
    // RFC 6533 §3: UTF-8 stands as it is.
    const std::string& original = parameters.orcpt_address;
    recipient.orcpt = *parameters.orcpt_type + ";" +
                      (base::IsAscii(original) ? smtp::XtextEncode(original) : original);
  }
  return recipient;
}

Return MakeReturn(std::optional<smtp::DsnReturn> ret) {
  if (!ret) return Return::kUnspecified;
  return *ret == smtp::DsnReturn::kFull ? Return::kFull : Return::kHeaders;
}

}  // namespace godwit::outgoing
