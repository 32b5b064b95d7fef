#pragma once

// Adding a set to an Authenticated Received Chain (RFC 8617 §5.1).
//
//   arc::ChainChecker chain(...);  arc::Sealer sealer(options);
//   dkim::MessageStream message(limit, [&](const auto& header, auto& body) {
//     chain.OnHeader(header, body);  sealer.OnHeader(header, body); });
//   ... message.End(); evaluate the chain ...
//   auto fields = sealer.Seal(message, chain, result, authentication_results);
//   // "ARC-Seal: ...\r\nARC-Message-Signature: ...\r\nARC-Authentication-Results: ...\r\n"
//
// The message must go out with the same bytes; changes are made before (§5.1).

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/arc/chain.h"
#include "libs/dkim/keys.h"
#include "libs/dkim/message_stream.h"

namespace godwit::arc {

struct SealOptions {
  std::string domain;    // A-labels, lower case
  std::string selector;  // likewise
  dkim::PrivateKey key;
  // Signed where they are there, each as often. Authentication-Results and ARC fields never are
  // (§4.1.2).
  std::vector<std::string> headers = {"From",          "Reply-To",     "Subject",
                                      "Date",          "To",           "Cc",
                                      "In-Reply-To",   "References",   "Message-ID",
                                      "MIME-Version",  "Content-Type", "Content-Transfer-Encoding",
                                      "DKIM-Signature"};
  // When it is not empty: h= of the message signature exactly, instead of the above.
  std::vector<std::string> exact_fields = {};
  std::optional<absl::Time> timestamp = std::nullopt;
};

class Sealer {
 public:
  explicit Sealer(SealOptions options) : options_(std::move(options)) {}

  void OnHeader(const dkim::HeaderBlock& header, dkim::BodyHashes& body);

  // After the end of the message. `result` is what `chain` gave for it; `authentication_results` is
  // the value our Authentication-Results field would have. FailedPrecondition when nothing may be
  // added: the chain ended with cv=fail or has 50 sets, or DNS failed for now. InvalidArgument when
  // a field is to be signed that may not be.
  absl::StatusOr<std::string> Seal(const dkim::MessageStream& message, const ChainChecker& chain,
                                   const Result& result,
                                   std::string_view authentication_results) const;

 private:
  absl::StatusOr<std::string> MessageSignature(const dkim::MessageStream& message,
                                               int instance) const;
  std::string CommonTags(int instance) const;
  std::vector<std::string> FieldNames(const dkim::HeaderBlock& header) const;

  SealOptions options_;
  int body_hash_ = -1;
};

}  // namespace godwit::arc
