#pragma once

// Transaction: one message of a user, from MAIL to the answer to its data: looks up whether the
// user may send as who the message says, completes the header, has it signed, and hands it to the
// queue.
//
// Whatever fails of ours is 451 with nothing sent, and the reason goes to the log. The message is
// held in memory as a whole: its signature stands in front of the first octet and needs the last.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libs/base/task.h"
#include "libs/ingest/line_form.h"
#include "libs/login/login.h"
#include "libs/outgoing/message_header.h"
#include "libs/outgoing/sender.h"
#include "libs/smtp/server.h"
#include "libs/smtpd/memory.h"
#include "libs/smtpd/transaction.h"
#include "services/submission/services.h"

namespace godwit::submission {

class Transaction : public smtpd::Transaction {
 public:
  Transaction(Services* services, smtpd::ClientFacts client, login::Accepted user,
              smtp::CheckMailFrom mail, std::string id);

  base::Task<smtp::Reply> Begin() override;
  base::Task<smtp::Reply> AddRecipient(smtp::CheckRcpt rcpt) override;
  base::Task<smtp::Reply> BeginData() override;

  // When all messages together, or those of the account, take more memory than they may, this one
  // gives way: the rest of it is dropped and its end answered 452.
  void Append(std::string_view bytes) override;
  size_t pending() const override { return 0; }
  base::Task<void> Flush() override;

  // 250 only when the queue has it.
  base::Task<smtp::Reply> EndData(smtp::EndData end) override;
  base::Task<void> Abandon() override;

 private:
  smtp::Reply Answer(smtp::Reply reply) const { return smtpd::WithId(std::move(reply), id_); }
  int64_t account() const { return store::ToInt(user_.login.account); }
  smtp::Reply Failure(std::string_view at, const absl::Status& status, smtp::ReplyKind kind);
  smtp::Reply Limited(std::string_view what);
  std::optional<smtp::Reply> CheckHold() const;
  base::Task<std::optional<smtp::Reply>> CheckSenders(std::vector<std::string> addresses);
  smtp::Reply JudgeSender(const std::string& address, store::SenderRight right) const;
  base::Task<smtp::Reply> JudgeRecipient(const smtp::Address& address);
  base::Task<smtp::Reply> Finish(smtp::EndData end);
  base::Task<smtp::Reply> Send(std::string_view header, std::string_view body,
                               outgoing::HeaderFacts facts);
  base::Task<smtp::Reply> Hand(outgoing::Message message, std::string_view body);
  outgoing::Message MakeMessage(std::string_view header, std::string_view body,
                                const outgoing::HeaderFacts& facts) const;
  bool NeedsSmtpUtf8(std::string_view body, const outgoing::HeaderFacts& facts) const;
  std::string MakeReceived() const;
  void LogMessage(const smtp::Reply& reply, uint64_t size) const;

  Services* const services_;
  const smtpd::ClientFacts client_;
  const login::Accepted user_;
  const smtp::CheckMailFrom mail_;
  const std::string id_;
  std::string reverse_path_;  // as it goes to the queue
  std::vector<outgoing::Recipient> recipients_;
  std::string message_;
  std::optional<ingest::LineForm> lines_;  // makes message_ of one that is binary
  smtpd::MemoryShare memory_;
  bool gave_way_ = false;
  int64_t queue_id_ = 0;
};

}  // namespace godwit::submission
