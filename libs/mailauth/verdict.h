#pragma once

// What goes into the verification of a message besides the message, and what comes out of it. Plain
// values.

#include <string>
#include <vector>

#include "libs/arc/chain.h"
#include "libs/base/ip_address.h"
#include "libs/dkim/verify.h"
#include "libs/dmarc/evaluate.h"
#include "libs/dnsbl/lookup.h"
#include "libs/mailauth/iprev.h"
#include "libs/mailauth/trusted_chain.h"
#include "libs/spf/evaluate.h"

namespace godwit::mailauth {

struct Envelope {
  base::IpAddress ip;
  std::string helo;
  std::string mail_from;  // without <>; empty for the null sender
};

struct Verdict {
  spf::Result helo_spf;
  spf::Result mail_from_spf;                // for the null sender: postmaster@HELO
  std::vector<dkim::SignatureResult> dkim;  // top to bottom; empty: the message is not signed
  dmarc::Result dmarc;
  arc::Result arc;
  // The chain passes and its last sealer is one of trusted_sealers.
  bool arc_trusted = false;
  // Set when a DMARC result of fail or temperror is not to be acted on: trusted_chain.h.
  PolicyOverride policy_override;
  // What the lists of Options::lists say of the client, the sender and the author.
  std::vector<dnsbl::Result> lists;
  IprevResult iprev;
  bool connection_checked = true;
  // Whom `dmarc` is about; of several domains the one with the strictest result. "" when DMARC does
  // not apply; dmarc.reason says why.
  std::string author_domain;
  // Why nobody can tell whom the message is from (libs/dmarc/author.h): "" for nearly all mail.
  std::string author_unusable;
  bool header_too_large = false;
  // Values of header fields, without name and last CRLF, folded.
  std::string authentication_results;
  std::string received_spf;  // of the MAIL FROM identity; "" when !connection_checked
};

}  // namespace godwit::mailauth
