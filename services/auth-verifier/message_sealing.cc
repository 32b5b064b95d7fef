#include "services/auth-verifier/message_sealing.h"

#include <algorithm>
#include <utility>

#include "libs/authres/authres.h"
#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "services/auth-verifier/message_signing.h"

namespace godwit::auth_verifier {
namespace {

arc::SealOptions SealerOptions(const SealFacts& facts, const dkim::SigningKey& key,
                               absl::Time now) {
  arc::SealOptions options{.domain = facts.domain, .selector = key.selector, .key = key.key};
  options.timestamp = now;
  return options;
}

// RFC 5322 §2.2.3: in a field's value every line end is followed by white space.
bool IsFolded(std::string_view value) {
  for (size_t at = value.find('\r'); at != value.npos; at = value.find('\r', at + 1)) {
    if (at + 2 >= value.size() || !base::IsWsp(value[at + 2])) return false;
  }
  return CheckLineEnds(value).ok();
}

}  // namespace

absl::Status CheckFacts(const SealFacts& facts) {
  if (facts.authserv_id.empty()) return base::InvalidArgument("no authserv_id");
  if (!IsFolded(facts.authserv_id)) return base::InvalidArgument("authserv_id is no name");
  if (facts.authentication_results.empty()) return absl::OkStatus();
  if (!IsFolded(facts.authentication_results)) {
    return base::InvalidArgument("the results are no field value");
  }
  const auto start = authres::ParseStart(facts.authentication_results);
  if (!start.ok() || !base::EqualsIgnoreCase(start->authserv_id, facts.authserv_id)) {
    return base::InvalidArgument("the results are not in the name of authserv_id");
  }
  return absl::OkStatus();
}

absl::StatusOr<dkim::SigningKey> SealingKey(const std::vector<dkim::SigningKey>& keys) {
  const auto found = std::find_if(keys.rbegin(), keys.rend(), [](const dkim::SigningKey& key) {
    return key.key.type() == dkim::KeyType::kRsa;
  });
  if (found == keys.rend()) return base::FailedPrecondition("the domain has no active RSA key");
  return *found;
}

MessageSealing::MessageSealing(SealFacts facts, const dkim::SigningKey& key, size_t header_bytes,
                               absl::Time now)
    : facts_(std::move(facts)),
      chain_({}, now),
      sealer_(SealerOptions(facts_, key, now)),
      message_(header_bytes, [this](const dkim::HeaderBlock& header, dkim::BodyHashes& body) {
        dkim::BodyHashes unused;  // nothing of the chain is verified here
        chain_.OnHeader(header, unused);
        sealer_.OnHeader(header, body);
      }) {}

absl::StatusOr<Sealed> MessageSealing::Finish() {
  message_.End();
  if (message_.header_too_large()) return base::InvalidArgument("the header is too large");
  GODWIT_RETURN_IF_ERROR(CheckLineEnds(message_.header().bytes()));
  // A message that is not the one that was verified must not be vouched for.
  const bool has_chain = facts_.arc != arc::ResultCode::kNone;
  if (chain_.instances() != facts_.arc_instances || has_chain != (chain_.instances() > 0)) {
    return base::InvalidArgument("the header has another number of ARC instances");
  }
  if (facts_.arc == arc::ResultCode::kPass && !chain_.problem().empty()) {
    return base::InvalidArgument("a chain that can not have passed: " + chain_.problem());
  }
  arc::Result result;
  result.code = facts_.arc;
  result.instances = facts_.arc_instances;
  const std::string results = facts_.authentication_results.empty() ? facts_.authserv_id + "; none"
                                                                    : facts_.authentication_results;
  auto fields = sealer_.Seal(message_, chain_, result, results);
  if (absl::IsFailedPrecondition(fields.status())) {
    return Sealed{"", std::string(base::Message(fields.status()))};
  }
  GODWIT_RETURN_IF_ERROR(fields.status());
  return Sealed{*std::move(fields), ""};
}

}  // namespace godwit::auth_verifier
