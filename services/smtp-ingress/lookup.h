#pragma once

// Lookup: what the database says of one recipient, in one job: whose it is, where it came from when
// it is an address that we rewrote (SRS, libs/srs), and how the sender is written should the
// message be forwarded.

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/smtp/path.h"
#include "libs/store/directory.h"

namespace godwit::smtp_ingress {

struct Question {
  smtp::Address recipient;  // its domain in A-labels; "" for <postmaster>
  smtp::Address sender;
  absl::Time now;
  // The sender is a user of ours who has authenticated, and may send for his domain.
  bool own_user = false;
};

struct Found {
  store::Recipient recipient;

  // Whether the recipient is an address that SRS made.
  enum class Srs {
    kNo,
    kReturn,  // of ours: mail for it goes to `original`
    kForged,  // looks like one, and is not signed by us
    kExpired,
  };
  Srs srs = Srs::kNo;
  smtp::Address original{};

  // The reverse-path of what is forwarded from here: the sender, rewritten to the recipient's
  // domain. It stays as it is when it is null, an own user's of a local domain of ours, or can not
  // be rewritten.
  std::string forward_sender{};
};

absl::StatusOr<Found> FindRecipient(db::Connection& connection, const Question& question);

}  // namespace godwit::smtp_ingress
