#pragma once

// Transaction: one mail transaction, from MAIL to the answer to its data: looks recipients up,
// hands the message to auth-verifier and to the store as it comes, decides, delivers.
//
// Every function that answers the client gives a complete smtp::Reply; whatever fails of ours is
// 451 4.3.0 (554 5.6.0 for a message that the store can never take) with nothing delivered, and the
// reason goes to the log. Made at MAIL, destroyed at its
// end or when the client gives it up (Abandon first). One reactor's thread; it must not be
// destroyed while one of its tasks runs.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "libs/base/task.h"
#include "libs/smtp/server.h"
#include "libs/smtp/trace.h"
#include "services/smtp-ingress/delivery.h"
#include "services/smtp-ingress/memory_share.h"
#include "services/smtp-ingress/services.h"
#include "services/smtp-ingress/stored_header.h"
#include "services/smtp-ingress/verify_client.h"

namespace godwit::smtp_ingress {

// What the session knows of the client when the transaction begins.
struct ClientFacts {
  base::IpAddress address;
  std::string greeting_name;
  smtp::WithProtocol with;
  std::string tls;  // version, cipher, group; "" without TLS
  bool internal = false;
};

class Transaction {
 public:
  // `id` names the message in replies, logs, Received and traces.
  Transaction(Services* services, ClientFacts client, smtp::CheckMailFrom mail, std::string id);

  base::Task<smtp::Reply> AddRecipient(smtp::CheckRcpt rcpt);
  // 354, or why not.
  base::Task<smtp::Reply> BeginData();

  // Octets of the message are collected, and sent on by Flush(). When all messages together take
  // more memory than Settings::max_memory, this one gives way: the rest of it is dropped and its
  // end answered 452.
  void Append(std::string_view bytes);
  size_t pending() const { return pending_.size(); }
  base::Task<void> Flush();

  // The message is complete: 250 only when all copies are durable.
  base::Task<smtp::Reply> EndData(smtp::EndData end);
  base::Task<void> Abandon();

 private:
  smtp::Reply Answer(smtp::Reply reply) const;
  smtp::Reply Failure(std::string_view at, const absl::Status& status);
  smtp::Reply DeliveryFailure(const absl::Status& status);
  void LogRefusal(const smtp::Address& address, const smtp::Reply& reply) const;
  bool OverMemory() const { return services_->memory > services_->settings.max_memory; }
  void GiveWay();
  base::Task<smtp::Reply> Finish(smtp::EndData end);
  base::Task<smtp::Reply> Deliver(Verdict verdict, Decision decision);
  HeaderFacts MakeHeaderFacts(const Verdict& verdict, const Decision& decision) const;
  void SendHints(const store::DeliveryResult& result);
  void LogMessage(const smtp::Reply& reply, uint64_t size) const;
  // False, and nothing is added, when it would be too many copies.
  bool AddCopies(const std::vector<store::AccountId>& accounts, const smtp::Address& recipient);

  Services* const services_;
  const ClientFacts client_;
  const smtp::CheckMailFrom mail_;
  const std::string id_;
  std::vector<smtp::Address> recipients_;  // accepted, as they were given
  std::vector<Copy> copies_;               // one an account, at most store::kMaxTargets
  absl::flat_hash_set<int64_t> accounts_;  // of copies_
  std::unique_ptr<VerifyCall> verify_;
  std::unique_ptr<MessageDelivery> delivery_;
  std::string pending_;
  MemoryShare pending_memory_;
  bool gave_way_ = false;
  absl::Status store_status_;  // the first failure of staging
  std::string_view outcome_ = "deferred";
  std::string_view reason_;
};

}  // namespace godwit::smtp_ingress
