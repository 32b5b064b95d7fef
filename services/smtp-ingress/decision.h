#pragma once

// The decision: from the evidence about a message to what happens to it. A pure function; whatever
// it needs is an argument, and the reason it gives is logged and stored with the message.

#include <string>
#include <string_view>
#include <vector>

#include "libs/smtp/reply.h"

namespace godwit::smtp_ingress {

enum class DmarcOutcome { kNone, kPass, kFail, kTempError, kPermError };
enum class DmarcPolicy { kNone, kQuarantine, kReject };
// Of the reverse-path. kNone: nothing that a decision could be made on.
enum class SpfOutcome { kNone, kFail, kTempError, kPermError };

// A DNS list that has something to say of the client, the reverse-path or the author (RFC 5782).
struct Listing {
  std::string list;  // its zone
  bool allow = false;
  int weight = 1;
  std::string text;  // the list's own, printable; may be empty
};

// What is known when the last byte has come and auth-verifier has answered.
struct Evidence {
  DmarcOutcome dmarc = DmarcOutcome::kNone;
  DmarcPolicy policy = DmarcPolicy::kNone;  // what the domain asks for
  std::string from_domain;                  // of the From field
  // Why nobody can tell whom the message is from: no From, two, or one that does not parse. ""
  // when that is clear. DMARC then says nothing (kNone).
  std::string author_unusable;
  // The message was made by a daemon of ours (DSN, report), which said so over mutual TLS: it is
  // not judged.
  bool own_message = false;
  // For kTempError: what the domain may ask for; kReject when nobody knows.
  DmarcPolicy worst = DmarcPolicy::kNone;
  // DMARC's fail or temperror is not to be acted on: a trusted forwarder saw the author
  // authenticated.
  bool dmarc_overridden = false;
  std::vector<Listing> listings = {};
  SpfOutcome spf = SpfOutcome::kNone;
  std::string spf_domain = {};
  std::string spf_explanation = {};  // the domain's own, printable; may be empty
  // The client's address has no name, or none that is confirmed (RFC 8601 §3, iprev).
  bool reverse_dns_failed = false;
};

// What the operator wants (config.proto, Policy).
struct DecisionPolicy {
  enum class OnFailure { kReject, kJunk, kAccept };
  OnFailure on_reject = OnFailure::kReject;
  OnFailure on_quarantine = OnFailure::kJunk;
  OnFailure on_unusable_author = OnFailure::kReject;
  OnFailure on_listed = OnFailure::kReject;
  int listed_weight = 1;  // the sum of the listings' weights from which on_listed applies
  // kAccept: nothing is made of it.
  OnFailure on_spf_fail = OnFailure::kAccept;
  OnFailure on_spf_error = OnFailure::kAccept;
  OnFailure on_reverse_dns = OnFailure::kAccept;
};

enum class Outcome { kAccept, kJunk, kReject, kDefer };

struct Decision {
  Outcome outcome = Outcome::kAccept;
  // One of kReasons.
  std::string_view reason = "accepted";
  // For kReject and kDefer.
  smtp::Reply reply;
};

// Every reason there is, for the metrics.
inline constexpr std::string_view kReasons[] = {
    "accepted",         "author-unusable", "dmarc-reject", "dmarc-quarantine", "dmarc-temperror",
    "dmarc-overridden", "dns-listed",      "spf-fail",     "spf-error",        "reverse-dns"};

// The strictest of what DMARC, SPF, the client's reverse DNS and DNS lists ask for. A list that
// allows outweighs all that block.
Decision Decide(const Evidence& evidence, const DecisionPolicy& policy);

}  // namespace godwit::smtp_ingress
