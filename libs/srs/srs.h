#pragma once

// SRS, the Sender Rewriting Scheme: a forwarder puts itself into the envelope sender, so that SPF
// holds at the next server (RFC 7208 §11.4), and can bring a bounce back to the one who sent.
//
//   alice@x.example, forwarded by f.example   ->  SRS0=HASH=TT=x.example=alice@f.example
//   that one, forwarded once more by g.example ->
//   SRS1=HASH=f.example==HASH=TT=x.example=alice@g.example
//
// HASH is of us: 40 bits of HMAC-SHA256 over what stands behind it, in base32. TT is the day,
// modulo 1024. Relays change the case of local parts, so case counts in none of it. The scheme is
// no standard; the form is the one that all implementations share (S. Wong, "The Sender Rewriting
// Scheme", 2003), so a chain of forwarders of different make works: each checks its own hash only,
// and SRS1 leads straight back to the first one.
//
//   Rewriter rewriter(secrets);                       // the newest signs, all of them verify
//   auto local_part = rewriter.Rewrite({"alice", "x.example"}, now);
//   auto back = rewriter.Reverse(*local_part, now);   // alice@x.example
//
// Pure; an object is safe from every thread. What one has who guesses a hash: a message with the
// null sender that we bring to an address of his choice.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/secret.h"

namespace godwit::srs {

struct Mailbox {
  std::string local_part;  // without quotes
  std::string domain;      // A-labels
  friend bool operator==(const Mailbox&, const Mailbox&) = default;
};

struct Options {
  // Of a bounce: queues give a message up within a week, and their bounce may wait as long.
  int max_age_days = 21;
  // Of what Rewrite() makes. RFC 5321 §4.5.3.1.1 has 64 octets for a local part, and asks to take
  // more where one can.
  size_t max_local_part = 240;
};

enum class Refusal {
  kNotSrs,   // another local part
  kForged,   // not signed by one of the secrets
  kExpired,  // signed, and older than max_age_days (or of the future)
};

// True for what Reverse() is worth asking about: "SRS0=" or "SRS1=" in any case.
bool IsSrs(std::string_view local_part);

class Rewriter {
 public:
  // `secrets`: at least one, the newest first.
  explicit Rewriter(std::vector<base::Secret> secrets, Options options = {});

  // The local part that stands for `sender` at a domain of ours. nullopt when there is none: no
  // domain that can be a host's name (an address literal), or it would be too long.
  std::optional<std::string> Rewrite(const Mailbox& sender, absl::Time now) const;

  // Who `local_part`, ours, stands for.
  std::variant<Mailbox, Refusal> Reverse(std::string_view local_part, absl::Time now) const;

 private:
  std::string Sign(const base::Secret& secret, char kind, std::string_view text) const;
  bool Verify(char kind, std::string_view hash, std::string_view text) const;
  bool IsFresh(std::string_view stamp, absl::Time now) const;

  std::vector<base::Secret> secrets_;
  Options options_;
};

}  // namespace godwit::srs
