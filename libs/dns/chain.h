#pragma once

// From messages to a DnsAnswer: follows a CNAME chain through one or more of them. Pure.
//
//   Chain chain(question);
//   while (!chain.done()) chain.Add(Ask(chain.next()), /*trusted=*/true);
//   return chain.answer();

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "libs/base/dns_answer.h"
#include "libs/dns/wire.h"

namespace godwit::dns {

class Chain {
 public:
  // At most this many aliases, over all messages.
  static constexpr int kMostAliases = 12;

  explicit Chain(base::DnsQuestion question);

  bool done() const { return done_; }
  // What to ask now: the question, or the end of a chain that a message left open.
  const base::DnsQuestion& next() const { return next_; }
  // The answer to next(): a message whose rcode is NOERROR or NXDOMAIN. `trusted`: its AD bit is
  // believed. A chain that loops or is too long ends with kTempFail.
  void Add(const WireMessage& message, bool trusted);
  // No message for next() can be had.
  void Fail(std::string_view error);
  // next() is no name that can be asked: it does not exist.
  void NoSuchName(std::string_view error);

  const base::DnsAnswer& answer() const { return answer_; }

 private:
  bool FollowAliases(const WireMessage& message);
  bool Collect(const WireMessage& message);
  void Negative(const WireMessage& message);
  void LowerTtl(uint32_t seconds);

  base::DnsQuestion next_;
  base::DnsAnswer answer_;
  std::set<std::string> seen_;
  bool done_ = false;
};

// True when `message` can be the answer to `question`.
bool Answers(const WireMessage& message, const base::DnsQuestion& question);

}  // namespace godwit::dns
