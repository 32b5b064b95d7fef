#pragma once

// Signing with DKIM (RFC 6376 §5) while the message streams.
//
//   dkim::Signer signer(options);
//   signer.Feed(chunk); ...
//   auto field = signer.Finish();   // "DKIM-Signature: v=1; ...\r\n", to put in front of the
//   header
//
// The same bytes must go out afterwards, with CRLF line ends. Not thread-safe.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/dkim/keys.h"
#include "libs/dkim/message_stream.h"

namespace godwit::dkim {

struct SignOptions {
  std::string domain;    // A-labels, lower case
  std::string selector;  // likewise
  PrivateKey key;
  // Names of fields to sign if they are there, each as often as it is there. "From" must be one.
  std::vector<std::string> headers = {"From",         "Reply-To",     "Subject",
                                      "Date",         "To",           "Cc",
                                      "In-Reply-To",  "References",   "Message-ID",
                                      "MIME-Version", "Content-Type", "Content-Transfer-Encoding"};
  // Of these one more than there are is named, so that none can be added (§8.15).
  std::vector<std::string> oversign = {"From", "Subject", "Date", "To", "Cc", "Reply-To"};
  Canonicalization header_canonicalization = Canonicalization::kRelaxed;
  Canonicalization body_canonicalization = Canonicalization::kRelaxed;
  std::optional<absl::Time> timestamp = std::nullopt;
  std::optional<absl::Time> expiration = std::nullopt;
  size_t max_header_bytes = 512 * 1024;
};

class Signer {
 public:
  explicit Signer(SignOptions options);
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;

  bool Feed(std::string_view chunk) { return stream_.Feed(chunk); }
  // The whole field with its last CRLF. FailedPrecondition when the message has no From field or
  // more than one, ResourceExhausted when its header is too large, InvalidArgument for options that
  // can't be used.
  absl::StatusOr<std::string> Finish();

 private:
  std::vector<std::string> FieldNames() const;
  std::string UnsignedField(const std::vector<std::string>& names) const;

  SignOptions options_;
  int body_hash_ = -1;
  MessageStream stream_;
};

}  // namespace godwit::dkim
