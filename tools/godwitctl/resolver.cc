#include "tools/godwitctl/resolver.h"

#include "libs/base/status.h"

namespace godwit::ctl {

const Flag kDnsFlag = {"dns", "HOST:PORT",
                       "the DNS server to ask, an address; else those of /etc/resolv.conf"};

absl::StatusOr<std::unique_ptr<dns::CaresResolver>> OpenResolver(const Invocation& invocation) {
  dns::CaresOptions options;
  if (const auto server = invocation.flag("dns")) {
    GODWIT_ASSIGN_OR_RETURN(dns::Server parsed, dns::ParseServer(*server));
    // Whoever names a server here believes what it says about DNSSEC.
    parsed.trusted = true;
    options.servers = {parsed};
  }
  return dns::CaresResolver::Create(options);
}

}  // namespace godwit::ctl
