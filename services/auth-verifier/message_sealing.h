#pragma once

// MessageSealing: one message on its way to its next ARC set (RFC 8617 §5.1).
//
//   MessageSealing sealing({.domain = "example.org", .authserv_id = "mx.example.org", ...}, keys,
//                          header_bytes, clock->Now());
//   sealing.Feed(bytes);                                       // any number of times
//   absl::StatusOr<Sealed> sealed = sealing.Finish();          // "ARC-Seal: ...\r\n"...
//
// What the chain was worth when the message came is the caller's word: nothing is verified again,
// and no DNS is asked. The structure of the chain is read from the header. Belongs to one executor,
// on which it computes.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/arc/chain.h"
#include "libs/arc/seal.h"
#include "libs/dkim/message_stream.h"
#include "libs/dkim/sign.h"

namespace godwit::auth_verifier {

struct SealFacts {
  std::string domain;                  // d=, ours; A-labels, lower case
  std::string authserv_id;             // whose results they are
  std::string authentication_results;  // a field value; "": none
  arc::ResultCode arc = arc::ResultCode::kNone;
  int arc_instances = 0;
};

struct Sealed {
  std::string header_fields;  // "" when nothing may be added
  std::string not_sealed;     // then: why
};

// InvalidArgument when the results are no value of an ARC-Authentication-Results field, or not in
// the name of authserv_id (§4.1.1), or authserv_id is empty.
absl::Status CheckFacts(const SealFacts& facts);

// RFC 8617 §4.1.3 takes a= from RFC 6376 §3.5, which is older than Ed25519 in mail: verifiers of
// ARC know rsa-sha256. The last one of `keys` that is of RSA: the newest of a domain.
// FailedPrecondition when there is none.
absl::StatusOr<dkim::SigningKey> SealingKey(const std::vector<dkim::SigningKey>& keys);

class MessageSealing {
 public:
  MessageSealing(SealFacts facts, const dkim::SigningKey& key, size_t header_bytes, absl::Time now);
  MessageSealing(const MessageSealing&) = delete;
  MessageSealing& operator=(const MessageSealing&) = delete;

  void Feed(std::string_view bytes) { message_.Feed(bytes); }
  // Once. InvalidArgument: the header is too large, has bare CR or LF, or a chain that is not the
  // one of the facts: another number of instances, or broken and said to have passed.
  absl::StatusOr<Sealed> Finish();

 private:
  const SealFacts facts_;
  arc::ChainChecker chain_;
  arc::Sealer sealer_;
  dkim::MessageStream message_;
};

}  // namespace godwit::auth_verifier
