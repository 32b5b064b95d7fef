#pragma once

// MTA-STS (RFC 8461): the TXT record, the policy, and whether an MX host is one of the policy's.
// Pure: fetching is the caller's.
//
//   auto record = mtasts::ReadRecord(txt_answer.texts);            // "20260101T000000"
//   auto policy = mtasts::ParsePolicy(body);
//   if (policy.ok() && mtasts::MatchesAny(policy->mx, "mx1.example.org")) ...

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace godwit::mtasts {

// The id of the one valid record among the TXT records of _mta-sts.DOMAIN; nullopt when there is
// none, or more than one (RFC 8461 §3.1: as if there were none).
std::optional<std::string> ReadRecord(const std::vector<std::string>& texts);

enum class Mode { kNone, kTesting, kEnforce };
std::string_view ModeName(Mode mode);  // "enforce"
std::optional<Mode> ParseMode(std::string_view text);

struct Policy {
  Mode mode = Mode::kNone;
  std::vector<std::string> mx;  // lower case: "mx.example.org", "*.example.org"
  absl::Duration max_age;
  friend bool operator==(const Policy&, const Policy&) = default;
};

// RFC 8461 §3.2: senders may refuse larger ones.
inline constexpr size_t kMostPolicyBytes = 64 * 1024;
// §3.2: about a year; larger values are taken for this.
inline constexpr absl::Duration kMostMaxAge = absl::Seconds(31557600);
inline constexpr size_t kMostPatterns = 200;

// InvalidArgument with what is wrong. Unknown keys are passed over; of a key that comes twice (mx
// excepted) the first counts. Lines end with CRLF or LF.
absl::StatusOr<Policy> ParsePolicy(std::string_view body);

// The text of a policy, with CRLF, as a server gives it.
std::string WritePolicy(const Policy& policy);

// RFC 8461 §4.1: "*." stands for exactly one label. `host` in lower-case A-labels, no final dot.
bool Matches(std::string_view pattern, std::string_view host);
bool MatchesAny(const std::vector<std::string>& patterns, std::string_view host);

}  // namespace godwit::mtasts
