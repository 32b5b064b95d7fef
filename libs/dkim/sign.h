#pragma once

// Signing with DKIM (RFC 6376 §5) while the message streams: one pass over the body, whatever the
// number of keys.
//
//   dkim::Signer signer(options);
//   signer.Feed(chunk); ...
//   auto fields = signer.Finish(keys);   // "DKIM-Signature: v=1; ...\r\n", one for each key
//
// They go in front of the header. The same bytes must go out behind them, with CRLF line ends.
// Not thread-safe.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/dkim/keys.h"
#include "libs/dkim/message_stream.h"

namespace godwit::dkim {

struct SigningKey {
  std::string selector;  // A-labels, lower case
  PrivateKey key;
};

struct SignOptions {
  std::string domain;  // A-labels, lower case
  // Names of fields to sign if they are there, each as often as it is there (RFC 6376 §5.4.1).
  // "From" must be one.
  std::vector<std::string> headers = {"From",
                                      "Sender",
                                      "Reply-To",
                                      "Subject",
                                      "Date",
                                      "To",
                                      "Cc",
                                      "Message-ID",
                                      "In-Reply-To",
                                      "References",
                                      "MIME-Version",
                                      "Content-Type",
                                      "Content-Transfer-Encoding",
                                      "List-Id",
                                      "List-Post",
                                      "List-Help",
                                      "List-Subscribe",
                                      "List-Unsubscribe",
                                      "List-Unsubscribe-Post",
                                      "List-Owner",
                                      "List-Archive",
                                      "Auto-Submitted"};
  // Of these one more than there are is named, so that none can be added (§5.4, §8.15): what a
  // reader is shown, and what tells a mail program how to read the rest.
  std::vector<std::string> oversign = {"From",        "Sender",     "Reply-To",     "Subject",
                                       "Date",        "To",         "Cc",           "Message-ID",
                                       "In-Reply-To", "References", "MIME-Version", "Content-Type"};
  // When it is not empty: h= exactly, instead of the two above. A name that stands once more than
  // its field does is oversigned.
  std::vector<std::string> exact_fields = {};
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
  // No more bytes. Further calls do nothing.
  void End() { stream_.End(); }
  // After the header has come, End() at the latest, unless it is too large.
  const HeaderBlock& header() const { return stream_.header(); }
  bool header_too_large() const { return stream_.header_too_large(); }

  // Ends the message; the fields, each with its last CRLF, in the order of `keys`. RFC 8463 §3:
  // with an Ed25519 key and an RSA key, verifiers that know only one of the two find theirs.
  // FailedPrecondition when the message has no From field or more than one, ResourceExhausted when
  // its header is too large, InvalidArgument for options that can't be used.
  absl::StatusOr<std::string> Finish(const std::vector<SigningKey>& keys);

 private:
  absl::Status Check(const std::vector<SigningKey>& keys) const;
  std::vector<std::string> FieldNames() const;
  std::string UnsignedField(const SigningKey& key, const std::vector<std::string>& names) const;

  SignOptions options_;
  int body_hash_ = -1;
  MessageStream stream_;
};

}  // namespace godwit::dkim
