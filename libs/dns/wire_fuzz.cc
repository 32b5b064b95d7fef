// Any bytes: the reader must end, keep its bounds, and every name it gives must write and read back
// to itself. What it reads is run through a Chain.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "libs/base/check.h"
#include "libs/dns/chain.h"
#include "libs/dns/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit;
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  const auto message = dns::ParseMessage(wire);
  if (!message.ok()) return 0;
  GODWIT_CHECK(dns::CanonicalName(message->question) == message->question);
  for (const auto* section : {&message->answers, &message->authority}) {
    for (const dns::Record& record : *section) {
      GODWIT_CHECK(dns::CanonicalName(record.owner) == record.owner);
      GODWIT_CHECK(record.ttl <= 0x7fffffff);
    }
  }
  for (const auto type : {base::DnsType::kA, base::DnsType::kMx, base::DnsType::kTxt}) {
    dns::Chain chain({message->question, type});
    for (int round = 0; round < 3 && !chain.done(); ++round) chain.Add(*message, true);
    GODWIT_CHECK(dns::CanonicalName(chain.next().name).has_value());
  }
  return 0;
}
