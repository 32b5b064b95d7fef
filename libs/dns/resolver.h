#pragma once

// Resolver: asks the DNS one question at a time, from a coroutine.
//
//   base::DnsAnswer mx = co_await resolver->Resolve({"example.org", base::DnsType::kMx});
//
// Implementations: CaresResolver (the network), Cache (in front of another Resolver),
// testing::FakeResolver. All may be used from many executors at the same time; the awaiting
// coroutine goes on on its own executor. Evaluations that ask in rounds: see drive.h.

#include "libs/base/dns_answer.h"
#include "libs/base/task.h"

namespace godwit::dns {

class Resolver {
 public:
  virtual ~Resolver() = default;

  // Never fails as a call: what went wrong is DnsAnswer::outcome (kTempFail) and ::error. Always
  // ends, within the implementation's timeouts. A name that can't be asked at all (a label over 63
  // bytes, an empty label, over 255 bytes in all) gives kNoDomain: it can't exist.
  virtual base::Task<base::DnsAnswer> Resolve(base::DnsQuestion question) = 0;
};

}  // namespace godwit::dns
