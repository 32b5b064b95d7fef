#pragma once

// Validation of an Authenticated Received Chain (RFC 8617 §5.2) while the message streams.
//
//   arc::ChainChecker chain(dkim::VerifyOptions{}, now);
//   dkim::MessageStream message(limit, [&](const auto& header, auto& body) { chain.OnHeader(header,
//   body); });
//   ... message.End();
//   auto step = chain.Evaluate(message, answers);
//
// The newest ARC-Message-Signature and all ARC-Seals are verified; older message signatures only to
// find oldest-pass (§5.2 step 5, RFC 8617 §4.2.2), and only where body hashes are there for them.
// At most 50 sets (§4.2.1). Shares the MessageStream and all hashing with libs/dkim.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/dns_answer.h"
#include "libs/dkim/message_stream.h"
#include "libs/dkim/signature.h"
#include "libs/dkim/verify.h"

namespace godwit::arc {

// temperror is not of RFC 8617 §4.4, which knows none, pass and fail: it is a fail whose cause is
// DNS, kept apart so that a caller may try again later. ChainStatus() maps it to fail.
enum class ResultCode : uint8_t { kNone, kPass, kFail, kTempError };
std::string_view ResultName(ResultCode code);  // for Authentication-Results: temperror is "fail"

enum class ChainValidation : uint8_t { kNone, kFail, kPass };  // cv=

struct Seal {
  dkim::Signature signature;  // algorithm, signature, domain, selector, instance
  ChainValidation cv = ChainValidation::kNone;
};

struct Result {
  ResultCode code = ResultCode::kNone;
  std::string reason;   // for people; "" for none and pass
  int instances = 0;    // sets in the chain; of a broken one the highest that was found
  int oldest_pass = 0;  // 0: all message signatures pass
  std::vector<std::string> sealers;    // d= of the seals, instance 1 first
  std::vector<std::string> selectors;  // s=, likewise
  // The newest ARC-Authentication-Results (without "i=N;"), only when code is kPass.
  std::string newest_results;
  // Those of all sets, instance 1 first, when code is kPass.
  std::vector<std::string> results;
};

// The value of an ARC-Seal field (§4.1.3). InvalidArgument for syntax errors; h= is one (§4.1.3).
absl::StatusOr<Seal> ParseSeal(std::string_view value);

class ChainChecker {
 public:
  ChainChecker(dkim::VerifyOptions options, absl::Time now);

  void OnHeader(const dkim::HeaderBlock& header, dkim::BodyHashes& body);
  std::vector<base::DnsQuestion> Questions() const;
  base::DnsStep<Result> Evaluate(const dkim::MessageStream& message,
                                 const base::DnsAnswers& answers) const;

  // For sealing (seal.h): all sets in the order and form that the next seal covers (§5.1.1), each
  // field with its CRLF. "" when the chain has no structure.
  std::string CanonicalSets(const dkim::HeaderBlock& header) const;
  // The newest seal says cv=fail: nobody may add to this chain (§5.1).
  bool ended() const;
  // What is wrong with the structure of the chain; "" when nothing is.
  const std::string& problem() const { return broken_; }
  // Sets in the chain, or of a broken one the highest instance that was found.
  int instances() const { return static_cast<int>(sets_.size()); }

 private:
  struct Set {
    size_t results = kNoField;  // positions in the header
    size_t message = kNoField;
    size_t seal = kNoField;
    dkim::Signature message_signature;
    Seal parsed_seal;
    std::string authentication_results;
    int body_hash = -1;
  };
  static constexpr size_t kNoField = static_cast<size_t>(-1);

  // Fills sets_; the text is what is wrong with the chain, "" when nothing is.
  std::string Collect(const dkim::HeaderBlock& header);
  std::string Place(const dkim::HeaderBlock& header, size_t index);
  std::string CheckStructure() const;
  void AppendSet(const dkim::HeaderBlock& header, size_t index, std::string_view seal,
                 std::string* data) const;
  std::string SealedData(const dkim::HeaderBlock& header, size_t upto) const;
  dkim::KeyCheck CheckMessage(const Set& set, const dkim::MessageStream& message,
                              const base::DnsAnswers& answers) const;
  Result Judge(const dkim::MessageStream& message, const base::DnsAnswers& answers) const;

  dkim::VerifyOptions options_;
  absl::Time now_;
  std::vector<Set> sets_;  // [0] is instance 1
  std::string broken_;     // structure is wrong: fail whatever the signatures say
};

}  // namespace godwit::arc
