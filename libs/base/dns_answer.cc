#include "libs/base/dns_answer.h"

namespace godwit::base {

std::string_view DnsTypeName(DnsType type) {
  switch (type) {
    case DnsType::kA: return "A";
    case DnsType::kNs: return "NS";
    case DnsType::kCname: return "CNAME";
    case DnsType::kPtr: return "PTR";
    case DnsType::kMx: return "MX";
    case DnsType::kTxt: return "TXT";
    case DnsType::kAaaa: return "AAAA";
    case DnsType::kSrv: return "SRV";
    case DnsType::kTlsa: return "TLSA";
  }
  return "?";
}

}  // namespace godwit::base
