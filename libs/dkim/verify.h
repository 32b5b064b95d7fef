#pragma once

// Verification of DKIM signatures (RFC 6376 §6, RFC 8301, RFC 8463) while the message streams.
//
//   dkim::Verifier verifier(dkim::VerifyOptions{}, clock.Now());
//   while (...) verifier.Feed(chunk);             // CRLF line ends, dots unstuffed
//   ... as soon as verifier.header_done(): resolve verifier.Questions()
//   auto step = verifier.Finish(answers);         // more questions, or one result a signature
//
// Feed() hashes; the signatures themselves are verified in Finish(). Memory: the header (limited)
// and a few hundred bytes a signature, nothing of the body. Not thread-safe.
//
// What gives which result (RFC 8601 §2.7.1):
//   pass       hash and signature are right and nothing below applies
//   fail       body hash or signature are wrong
//   neutral    the field can't be parsed
//   permerror  RFC 6376's PERMFAIL: From not signed, i= outside d=, rsa-sha1 or unknown algorithm,
//   no
//              key, revoked key, key of another type or purpose
//   temperror  DNS did not answer
//   policy     ours: expired, from the future, RSA below 1,024 or above 4,096 bits, l= that leaves
//   out
//              a part of the body, more signatures than we verify

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/dns_answer.h"
#include "libs/dkim/message_stream.h"
#include "libs/dkim/signature.h"

namespace godwit::dkim {

enum class ResultCode : uint8_t {
  kNone,
  kPass,
  kFail,
  kPolicy,
  kNeutral,
  kTempError,
  kPermError,
};
std::string_view ResultName(ResultCode code);  // "permerror"

struct VerifyOptions {
  size_t max_header_bytes = 512 * 1024;  // a larger header gives permerror for the whole message
  size_t max_signatures = 10;            // from the top; the others get "policy"
  int min_rsa_bits = 1024;               // RFC 8301 §3.2
  int max_rsa_bits = 4096;
  bool allow_partial_body = false;  // let l= pass although octets were appended (§8.2)
  absl::Duration clock_skew = absl::Minutes(5);  // for t= and x=
};

struct SignatureResult {
  ResultCode code = ResultCode::kNone;
  std::string reason;     // for people and for the comment in Authentication-Results; "" for pass
  std::string domain;     // d=, lower-case A-labels; "" when the field can't be parsed
  std::string selector;   // s=
  std::string identity;   // i=
  std::string algorithm;  // a=, as written
  int key_bits = 0;       // 0 when there is no key
  std::string
      b_prefix;  // what header.b shows (RFC 6008): 8 characters, more where two would be equal
  bool testing = false;       // t=y in the key record: treat a fail like an unsigned message
  bool partial_body = false;  // l= leaves out a part of the body
  // It proves a TLS report (RFC 8460 §3): all is right, there is no l=, and the key is for such
  // reports, though it may be for nothing else: then `code` is permerror, as for other mail.
  bool for_tls_report = false;
  size_t field_index = 0;  // of the signature in the header
};

// What is left to do for a signature when the key is there. DKIM and ARC share it.
struct KeyCheck {
  ResultCode code = ResultCode::kPass;
  std::string reason;
  int key_bits = 0;
  bool testing = false;
  bool for_tls_report = false;  // all is right for one, whatever `code` says of mail
};
base::DnsQuestion KeyQuestion(const Signature& signature);
// Verifies `signed_data` with the key in `answer`. Takes the first of several records that
// verifies, of at most four (RFC 6376 §6.1.2 leaves it open).
KeyCheck VerifyWithAnswer(const Signature& signature, std::string_view signed_data,
                          const base::DnsAnswer& answer, const VerifyOptions& options);
// §3.7: the selected fields bottom-up, then the signature field `signature_raw` without its b=
// value and without CRLF.
std::string SignedHeaderData(const HeaderBlock& header, const Signature& signature,
                             std::string_view signature_raw);

// The signatures of one message, for an owner of the MessageStream.
class SignatureChecker {
 public:
  SignatureChecker(VerifyOptions options, absl::Time now);

  // When the header is complete: parses the signatures and asks for their body hashes.
  void OnHeader(const HeaderBlock& header, BodyHashes& body);
  // The keys that are needed; empty before OnHeader().
  std::vector<base::DnsQuestion> Questions() const;
  // The d= of the signatures that wait for their keys.
  std::vector<std::string> Domains() const;
  // After the end of the message. No signature gives an empty vector.
  base::DnsStep<std::vector<SignatureResult>> Evaluate(const MessageStream& message,
                                                       const base::DnsAnswers& answers) const;

 private:
  struct Candidate {
    SignatureResult result;  // final when code is not kNone
    Signature signature;
    int body_hash = -1;
  };

  void AddCandidate(const HeaderBlock& header, size_t index, BodyHashes& body);
  void CheckAcceptable(Candidate* candidate) const;
  void MakeBPrefixesDistinct();
  SignatureResult Judge(const Candidate& candidate, const MessageStream& message,
                        const base::DnsAnswer& answer) const;

  VerifyOptions options_;
  absl::Time now_;
  std::vector<Candidate> candidates_;
};

class Verifier {
 public:
  Verifier(VerifyOptions options, absl::Time now);
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // False: the header is too large; the rest can be spared.
  bool Feed(std::string_view chunk) { return stream_.Feed(chunk); }
  bool header_done() const { return stream_.header_done(); }
  std::vector<base::DnsQuestion> Questions() const { return checker_.Questions(); }
  // Ends the message; may be called again with more answers.
  base::DnsStep<std::vector<SignatureResult>> Finish(const base::DnsAnswers& answers);

 private:
  SignatureChecker checker_;
  MessageStream stream_;
};

}  // namespace godwit::dkim
