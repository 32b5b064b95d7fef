#pragma once

// Whether anybody can be reached at the domain of a sender: mail that nobody can answer, and whose
// bounce goes nowhere, is hardly ever wanted. Asked at MAIL, so that such a client is spared the
// rest.

#include <string>

#include "libs/base/task.h"
#include "libs/dns/resolver.h"
#include "libs/smtp/reply.h"

namespace godwit::smtp_ingress {

// `domain` in A-labels. A positive reply when it has hosts for mail (RFC 5321 §5.1: MX records, or
// an address of its own), 550 5.7.27 when it says that it takes none (RFC 7505), 550 5.1.8 when
// there is nothing of the sort, and 451 when the DNS does not say. Up to three questions, the last
// two at the same time.
base::Task<smtp::Reply> CheckSenderDomain(dns::Resolver* resolver, std::string domain);

}  // namespace godwit::smtp_ingress
