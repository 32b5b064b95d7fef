#include "services/smtp-ingress/sender_domain.h"

#include <utility>
#include <vector>

namespace godwit::smtp_ingress {
namespace {

using base::DnsOutcome;

// RFC 7505 §3: one record, whose host is the root.
bool IsNullMx(const base::DnsAnswer& answer) {
  return answer.mx.size() == 1 && answer.mx[0].exchange.empty();
}

smtp::Reply Unknown() {
  // RFC 3463 §3.2: X.1.8 bad sender's system address.
  return {550, "5.1.8", {"The sender's domain has no host for mail"}};
}

smtp::Reply Later() { return {451, "4.4.3", {"The sender's domain can not be looked up now"}}; }

}  // namespace

base::Task<smtp::Reply> CheckSenderDomain(dns::Resolver* resolver, std::string domain) {
  const base::DnsAnswer mx = co_await resolver->Resolve({domain, base::DnsType::kMx});
  switch (mx.outcome) {
    case DnsOutcome::kOk:
      // RFC 7505 §4.2 and §5: X.7.27 is for this.
      if (IsNullMx(mx)) co_return smtp::Reply{550, "5.7.27", {"The sender's domain has a null MX"}};
      co_return smtp::MakeReply(smtp::ReplyKind::kSenderOk);
    case DnsOutcome::kNoDomain: co_return Unknown();
    case DnsOutcome::kTempFail: co_return Later();
    case DnsOutcome::kNoData: break;
  }
  // RFC 5321 §5.1: without MX records the domain is its own host.
  std::vector<base::Task<base::DnsAnswer>> tasks;
  tasks.push_back(resolver->Resolve({domain, base::DnsType::kA}));
  tasks.push_back(resolver->Resolve({domain, base::DnsType::kAaaa}));
  const std::vector<base::DnsAnswer> answers = co_await base::WhenAll(std::move(tasks));
  bool failed = false;
  for (const base::DnsAnswer& answer : answers) {
    if (answer.found()) co_return smtp::MakeReply(smtp::ReplyKind::kSenderOk);
    failed = failed || answer.outcome == DnsOutcome::kTempFail;
  }
  co_return failed ? Later() : Unknown();
}

}  // namespace godwit::smtp_ingress
