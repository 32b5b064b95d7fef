#pragma once

// check_host() of the Sender Policy Framework (RFC 7208), as a pure function that asks in rounds.
//
//   spf::Query query{.ip = client, .identity = spf::Identity::kMailFrom,
//                    .helo = "mx.example.org", .mail_from = "ann@example.org"};
//   auto step = spf::Evaluate(query, answers);
//   if (auto* questions = std::get_if<std::vector<base::DnsQuestion>>(&step)) ...resolve, call
//   again
//
// Every call starts from the beginning with what is known: the evaluation costs microseconds, a
// round trip to DNS milliseconds. A round has all addresses of an mx or ptr term together, and the
// first questions of the later terms of the top record, so that most domains need two rounds.
//
// Limits are those of §4.6.4 and can't be changed from outside: ten terms that ask DNS, two void
// lookups, ten names of one mx term (PermError above), ten PTR names (the rest is ignored). At most
// 133 questions are ever asked for one query (the fuzzer holds it to that).
//
// Internationalised mail (RFC 8616): domains may be U-labels, they are evaluated as A-labels; a
// local part that is not ASCII makes a term with %{s} or %{l} match nothing.

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "libs/base/dns_answer.h"
#include "libs/base/ip_address.h"

namespace godwit::spf {

enum class Identity : uint8_t { kMailFrom, kHelo };

// §2.6; the names of ResultName() are those of RFC 8601 and of Received-SPF.
enum class ResultCode : uint8_t {
  kNone,
  kNeutral,
  kPass,
  kFail,
  kSoftFail,
  kTempError,
  kPermError,
};
std::string_view ResultName(ResultCode code);  // "softfail"

struct Query {
  base::IpAddress ip;  // an IPv4-mapped address is taken as IPv4 (§5)
  Identity identity = Identity::kMailFrom;
  std::string helo;                  // as the client said it
  std::string mail_from;             // without <>; empty: postmaster@HELO is checked (§2.4)
  std::string receiver = "unknown";  // our name, for %{r}
  absl::Time now;                    // for %{t}
};

struct Result {
  ResultCode code = ResultCode::kNone;
  Identity identity = Identity::kMailFrom;
  std::string domain;     // that was checked, as A-labels; as given when it is no domain name
  std::string sender;     // the whole identity that was checked: local part @ domain
  std::string mechanism;  // the term that decided, as written ("ip4:192.0.2.0/24"); "default" when
                          // none matched
  std::string explanation;  // §6.2, for kFail: printable ASCII of at most 800 octets, or empty
  std::string problem;      // for people: why none, temperror or permerror
  int lookups = 0;          // terms that asked DNS
  int void_lookups = 0;
};

base::DnsStep<Result> Evaluate(const Query& query, const base::DnsAnswers& answers);

}  // namespace godwit::spf
