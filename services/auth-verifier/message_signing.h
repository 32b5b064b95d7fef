#pragma once

// MessageSigning: one message on its way to its signatures.
//
//   MessageSigning signing(options, clock, "example.org");
//   signing.Feed(bytes);                                          // any number of times
//   absl::StatusOr<std::string> fields = signing.Finish(keys);    // "DKIM-Signature: ...\r\n"...
//
// A header that other servers could read in another way than we do is not signed: fields without a
// name, bare CR or LF, no From field or several. The body is hashed as it comes. Belongs to one
// executor, on which it computes.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/dkim/sign.h"

namespace godwit::auth_verifier {

struct SigningOptions {
  size_t header_bytes = 512 * 1024;
  // From t=, or the end of a hold, to x= (RFC 6376 §3.5); zero: signatures do not expire.
  absl::Duration lifetime = absl::ZeroDuration();
};

// The domain of a header address, as A-labels. InvalidArgument when there is none.
absl::StatusOr<std::string> AddressDomain(std::string_view address);

// RFC 5321 §2.3.8: CR and LF never stand alone. InvalidArgument where one does, or a NUL is.
absl::Status CheckLineEnds(std::string_view header);

// InvalidArgument, with the reason, for a header that is not to be signed in the name of `domain`.
absl::Status CheckHeader(const dkim::HeaderBlock& header, std::string_view domain);

class MessageSigning {
 public:
  // `leaves`: when the message is let go, if that is later than now; its lifetime begins then.
  MessageSigning(const SigningOptions& options, const base::Clock* clock, std::string domain,
                 absl::Time leaves = absl::InfinitePast());

  void Feed(std::string_view bytes) { signer_.Feed(bytes); }
  // Once. InvalidArgument: the header, as above. OutOfRange: it is too large.
  absl::StatusOr<std::string> Finish(const std::vector<dkim::SigningKey>& keys);

 private:
  const std::string domain_;
  dkim::Signer signer_;
};

}  // namespace godwit::auth_verifier
