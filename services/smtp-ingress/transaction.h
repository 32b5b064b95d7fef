#pragma once

// Transaction: one mail transaction, from MAIL to the answer to its data: looks recipients up,
// hands the message to auth-verifier and to the store as it comes, decides, delivers.
//
// What goes on to other servers is in the queue before the local copies are committed, and both
// before the 250: nothing is lost, and what fails in between comes again, with the same key for the
// queue (content_key.h).
//
// Whatever fails of ours is 451 4.3.0 (554 5.6.0 for a message that the store can never take) with
// nothing delivered, and the reason goes to the log.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "libs/base/task.h"
#include "libs/dsn/dsn.h"
#include "libs/smtp/server.h"
#include "libs/smtpd/memory.h"
#include "libs/smtpd/transaction.h"
#include "services/smtp-ingress/content_key.h"
#include "services/smtp-ingress/delivery.h"
#include "services/smtp-ingress/lookup.h"
#include "services/smtp-ingress/onward.h"
#include "services/smtp-ingress/refusals.h"
#include "services/smtp-ingress/services.h"
#include "services/smtp-ingress/stored_header.h"
#include "services/smtp-ingress/verify_client.h"

namespace godwit::smtp_ingress {

class Transaction : public smtpd::Transaction {
 public:
  // `internal`: the client is a daemon of ours.
  Transaction(Services* services, smtpd::ClientFacts client, bool internal,
              smtp::CheckMailFrom mail, std::string id);
  // What was refused goes into the SessionLog.
  ~Transaction() override;

  base::Task<smtp::Reply> Begin() override;
  base::Task<smtp::Reply> AddRecipient(smtp::CheckRcpt rcpt) override;
  base::Task<smtp::Reply> BeginData() override;

  // When all messages together take more memory than they may, this one gives way: the rest of it
  // is dropped and its end answered 452.
  void Append(std::string_view bytes) override;
  size_t pending() const override { return pending_.size(); }
  base::Task<void> Flush() override;

  // 250 only when all copies are durable.
  base::Task<smtp::Reply> EndData(smtp::EndData end) override;
  base::Task<void> Abandon() override;

 private:
  smtp::Reply Answer(smtp::Reply reply) const { return smtpd::WithId(std::move(reply), id_); }
  smtp::Reply Failure(std::string_view at, const absl::Status& status);
  smtp::Reply DeliveryFailure(const absl::Status& status);
  // Logged, kept, and counted against the client's network, which may end the session.
  smtp::Reply CountRefusal(const smtp::Address& address, smtp::Reply reply);
  smtp::Reply RefuseRecipient(const smtp::Address& address, smtp::Reply reply);  // with the id
  // As they come: a message that never ends has cost as much.
  void CountBytes(uint64_t size);
  void GiveWay();
  base::Task<std::string> FeedPending();
  VerifyEnvelope MakeVerifyEnvelope();
  base::Task<absl::StatusOr<Verdict>> Verify(std::string rest);
  base::Task<smtp::Reply> Finish(smtp::EndData end);
  base::Task<smtp::Reply> Accept(Verdict verdict, Decision decision);
  // `arc`: Verdict's. `confirmed`: who the sender says he is, he is.
  base::Task<smtp::Reply> SendOn(HeaderFacts facts, std::string arc, bool confirmed);
  outgoing::Message MakeOnwardMessage(HeaderFacts facts) const;
  std::string ContentName();  // for Onward::Send
  base::Task<absl::StatusOr<Seals>> MakeSeals(const outgoing::Message* message, std::string results,
                                              std::string arc);
  smtp::Reply OnwardFailure(const absl::Status& status);
  base::Task<smtp::Reply> Deliver(HeaderFacts facts, bool junk);
  base::Task<smtp::Reply> JudgeSenderDomain() const;
  base::Task<absl::StatusOr<Found>> Find(Question question);
  base::Task<smtp::Reply> AskNextHop(Found* found, smtp::Address address);
  // What the look-up of a recipient leads to: the reply, and what is kept of it. `domain`: its own,
  // in A-labels.
  smtp::Reply TakeRecipient(const Found& found, const smtp::CheckRcpt& rcpt,
                            const std::string& domain);
  void AddOnward(const Found& found, const RecipientVerdict& verdict, const smtp::CheckRcpt& rcpt,
                 const std::string& domain);
  bool OneRecipientOnly() const;
  // The message is of a user of ours, who has authenticated.
  bool OfOwnUser() const;
  // Whose share of the memory for what goes on it takes.
  int64_t WholeMemoryOwner() const;
  bool Crowded() const;
  std::optional<smtp::Reply> JudgeOnward(const Verdict& verdict, const Decision& decision) const;
  HeaderFacts MakeHeaderFacts(const Verdict& verdict, const Decision& decision) const;
  // For DMARC reports; without an evaluation when there is nothing to tell.
  JudgedMessage Judged(const Verdict& verdict, const Decision& decision) const;
  void SendHints(const store::DeliveryResult& result);
  // For a recipient that is accepted: keeps what the sender wants to hear of it.
  void NoteWishes(const smtp::CheckRcpt& rcpt, bool expanded);
  base::Task<void> Notify(bool sender_confirmed);
  void LogMessage(const smtp::Reply& reply, uint64_t size) const;
  // False, and nothing is added, when it would be too many copies.
  bool AddCopies(const std::vector<store::AccountId>& accounts, const smtp::Address& recipient);

  Services* const services_;
  const smtpd::ClientFacts client_;
  const bool internal_;
  const smtp::CheckMailFrom mail_;
  const std::string id_;
  std::vector<smtp::Address> recipients_;  // accepted, as they were given
  std::vector<dsn::Recipient> wishes_;     // of them those to tell the sender of (NOTIFY=SUCCESS)
  std::vector<Copy> copies_;               // one an account, at most store::kMaxTargets
  absl::flat_hash_set<int64_t> accounts_;  // of copies_
  Onward onward_;                          // with copies_ at most store::kMaxTargets
  std::vector<std::string_view> ways_;     // of onward_, for the metrics
  ContentKey content_;                     // of what came, where it goes on
  std::optional<smtp::Reply> unknown_;     // what the only recipient is told after the data
  std::unique_ptr<VerifyCall> verify_;
  std::unique_ptr<MessageDelivery> delivery_;
  bool report_address_ = false;  // a recipient takes reports
  std::string pending_;
  smtpd::MemoryShare pending_memory_;
  uint64_t counted_ = 0;
  bool gave_way_ = false;
  absl::Status store_status_;  // the first failure of staging
  Refusals refusals_;
  std::string verdict_;  // Authentication-Results
  std::string_view outcome_ = "deferred";
  std::string_view reason_;
};

}  // namespace godwit::smtp_ingress
