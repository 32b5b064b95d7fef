#pragma once

// The decision: from the evidence about a message to what happens to it. A pure function; whatever
// it needs is an argument, and the reason it gives is logged and stored with the message.

#include <string>
#include <string_view>

#include "libs/smtp/reply.h"

namespace godwit::smtp_ingress {

enum class DmarcOutcome { kNone, kPass, kFail, kTempError, kPermError };
enum class DmarcPolicy { kNone, kQuarantine, kReject };

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
};

// What the operator wants (config.proto, Policy).
struct DecisionPolicy {
  enum class OnFailure { kReject, kJunk, kAccept };
  OnFailure on_reject = OnFailure::kReject;
  OnFailure on_quarantine = OnFailure::kJunk;
  OnFailure on_unusable_author = OnFailure::kReject;
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
inline constexpr std::string_view kReasons[] = {"accepted", "author-unusable", "dmarc-reject",
                                                "dmarc-quarantine", "dmarc-temperror"};

Decision Decide(const Evidence& evidence, const DecisionPolicy& policy);

}  // namespace godwit::smtp_ingress
