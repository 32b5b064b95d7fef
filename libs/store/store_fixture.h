#pragma once

// StoreFixture: what every test of the store begins and ends with. Begins: a migrated database with
// the domain b.example and an account. Ends: the store check finds nothing.

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/db/connection.h"
#include "libs/store/admin.h"
#include "libs/store/check.h"
#include "libs/store/delivery.h"
#include "libs/store/mailbox.h"
#include "libs/testing/scratch_database.h"

namespace godwit::store {

// Fails the test with the Status's text, or gives the value.
template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) FAIL(base::ToString(result.status()));
  return *std::move(result);
}
inline void MustOk(const absl::Status& status) {
  if (!status.ok()) FAIL(base::ToString(status));
}

class StoreFixture {
 public:
  StoreFixture() : connection(database.Connect()) {
    MustOk(AddDomain(*connection, "b.example", now));
    alice = MakeAccount("alice@b.example");
  }
  ~StoreFixture() {
    connection->Rollback();
    auto findings = CheckStore(*connection);
    CHECK(findings.ok());
    if (!findings.ok()) return;
    for (const Finding& finding : *findings) {
      INFO(finding.check << ": " << finding.detail);
      CHECK(finding.check.empty());
    }
  }

  AccountId MakeAccount(std::string_view address) {
    return Must(AddAccount(*connection, address, base::RandomSource::System(), now));
  }

  static Delivery Message(AccountId account, std::string_view subject,
                          std::string_view body = "Hello.\r\n") {
    Delivery delivery;
    delivery.targets.push_back({.account = account});
    delivery.header = "Subject: " + std::string(subject) + "\r\n\r\n";
    delivery.body = body;
    delivery.received = now;
    delivery.summary = "summary";
    delivery.subject = subject;
    delivery.subject_base = subject;
    delivery.from = "bob@c.example";
    return delivery;
  }

  Delivered DeliverOne(const Delivery& delivery) {
    return Must(Deliver(*connection, delivery)).at(0);
  }

  // `count` messages into a mailbox; returns the last.
  Delivered Fill(AccountId account, int count, Role role = Role::kInbox) {
    Delivered last;
    for (int i = 0; i < count; ++i) {
      Delivery delivery = Message(account, "message " + std::to_string(i));
      delivery.targets[0].role = role;
      last = DeliverOne(delivery);
    }
    return last;
  }

  Mailbox Find(std::string_view path) { return Must(FindMailbox(*connection, alice, path)); }

  static inline const absl::Time now = absl::FromUnixSeconds(1'790'000'000);

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  AccountId alice;
};

}  // namespace godwit::store
