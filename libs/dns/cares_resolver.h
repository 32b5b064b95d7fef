#pragma once

// CaresResolver: a dns::Resolver that asks recursive name servers with c-ares.
//
// It has one thread, which sends, waits and parses; any number of executors may resolve through
// it. Queries are ours (wire.h): RD and AD set (RFC 6840 §5.7), EDNS0 with a payload of 1232
// octets. Answers are read by our own parser. A truncated answer is asked again over TCP. A server
// that fails (SERVFAIL, REFUSED, no answer, nonsense) is followed by the next one; `attempts` in
// all. The UDP sockets are renewed often, so that the source port is hard to guess.
//
//   dns::CaresOptions options;                       // from /etc/resolv.conf
//   options.servers = {{*IpAddress::Parse("127.0.0.1"), 5353, /*trusted=*/true}};
//   auto resolver = dns::CaresResolver::Create(options);
//
// Put a Cache in front of it.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/dns_answer.h"
#include "libs/base/ip_address.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"

namespace godwit::dns {

struct Server {
  base::IpAddress address;
  uint16_t port = 53;
  // Its AD bit is believed: it validates, and the way to it is safe (loopback, the pod network).
  bool trusted = false;
  friend bool operator==(const Server&, const Server&) = default;
};

// "127.0.0.1", "127.0.0.1:53", "::1", "[::1]:53". InvalidArgument for anything else.
absl::StatusOr<Server> ParseServer(std::string_view text);
// The `nameserver` lines of a resolv.conf text; others are ignored. Trusted when they are on
// loopback or the text has `options trust-ad` (resolv.conf(5)).
std::vector<Server> ParseResolvConf(std::string_view text);

struct CaresOptions {
  std::vector<Server> servers;                // empty: those of /etc/resolv.conf
  absl::Duration timeout = absl::Seconds(3);  // of one attempt
  int attempts = 3;                           // over all servers, at least 1
  bool dnssec_ok = false;                     // DO: signatures are sent along; AD needs it not
  bool checking_disabled = false;             // CD: the server answers what does not validate
  size_t max_in_flight = 10000;               // more questions fail at once
};

class CaresResolver : public Resolver {
 public:
  // FailedPrecondition when there is no server.
  static absl::StatusOr<std::unique_ptr<CaresResolver>> Create(CaresOptions options);
  // Questions in flight end with kTempFail.
  ~CaresResolver() override;

  base::Task<base::DnsAnswer> Resolve(base::DnsQuestion question) override;

 private:
  class Loop;
  explicit CaresResolver(CaresOptions options);

  CaresOptions options_;
  std::unique_ptr<Loop> loop_;
};

}  // namespace godwit::dns
