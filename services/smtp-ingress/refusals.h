#pragma once

// Refusals: what one mail transaction was refused, on its way into the SessionLog. Belongs to the
// transaction; a transaction that was refused nothing leaves nothing.

#include <string>
#include <string_view>
#include <vector>

#include "libs/smtp/path.h"
#include "libs/smtp/reply.h"
#include "libs/smtpd/transaction.h"
#include "libs/store/refused_sessions.h"

namespace godwit::smtp_ingress {

// "550 5.1.1 No such user here"
std::string ReplyText(const smtp::Reply& reply);

// What is known of the client, as a row outside of transactions.
store::RefusedSession MakeRefused(const smtpd::ClientFacts& client, const smtp::Reply& reply,
                                  std::string_view reason);

class Refusals {
 public:
  // Refused or not; a refused one is listed before the others.
  void NoteRecipient(const smtp::Address& address, const smtp::Reply& reply);
  // The answer to MAIL, DATA or the message. `reason` lives for ever.
  void NoteMessage(const smtp::Reply& reply, std::string_view reason, std::string verdict = "");

  bool any() const { return last_.code != 0; }
  // The row; `id` is the transaction's, "SESSION.N".
  store::RefusedSession Row(const smtpd::ClientFacts& client, const smtp::Address& reverse_path,
                            std::string_view id);

 private:
  std::vector<store::RefusedRecipient> recipients_;
  size_t refused_ = 0;  // of recipients_, the first ones
  int64_t recipient_count_ = 0;
  smtp::Reply last_;
  std::string_view reason_;
  std::string verdict_;
};

}  // namespace godwit::smtp_ingress
