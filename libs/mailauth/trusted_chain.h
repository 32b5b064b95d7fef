#pragma once

// What trusted forwarders say of a message (RFC 8617 §7.2): an authentication that was good when
// the message came to them, and that their forwarding broke.
//
// The newest seal must be by a trusted domain; its ARC-Authentication-Results are believed. Where
// they have nothing good and the seal before is by a trusted domain, too, its results are asked,
// and so on: a message may pass several forwarders. Good is what DMARC would take: dmarc=pass for
// the author's domain, or dkim=pass or spf=pass of a domain that is aligned with it; a pass of some
// other domain says nothing about the author.

#include <optional>
#include <string>
#include <vector>

#include "libs/arc/chain.h"
#include "libs/dmarc/evaluate.h"

namespace godwit::mailauth {

// Why a DMARC result is not acted on, in the words of aggregate reports (RFC 7489
// Appendix C, PolicyOverrideType).
struct PolicyOverride {
  std::string type;     // "trusted_forwarder"; "" when there is none
  std::string comment;  // RFC 8617 §7.2.2: "arc=pass as[1].d=a.example as[1].s=s ..."
};

// `arc` must have passed for anything to come of it. `trusted`: A-labels, lower case. `dmarc` is
// the result for the author, with his organizational domain and the record's alignment modes.
PolicyOverride TrustedForwarder(const arc::Result& arc, const std::vector<std::string>& trusted,
                                const dmarc::Result& dmarc);

}  // namespace godwit::mailauth
