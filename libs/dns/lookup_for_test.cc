// lookup_for_test SERVER NAME TYPE: one question through CaresResolver, the answer on one line:
// outcome, canonical name, TTL in seconds, records; or "tempfail" and the reason.

#include <cstdio>
#include <string>

#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/dns/cares_resolver.h"

namespace godwit::dns {
namespace {

base::DnsType TypeOf(std::string_view name) {
  for (int number = 1; number < 100; ++number) {
    const auto type = static_cast<base::DnsType>(number);
    if (base::DnsTypeName(type) == name) return type;
  }
  return base::DnsType::kA;
}

std::string Records(const base::DnsAnswer& answer) {
  std::string text;
  for (const auto& address : answer.addresses) text += " " + address.ToString();
  for (const auto& value : answer.texts) text += " " + value;
  for (const auto& mx : answer.mx) text += " " + std::to_string(mx.preference) + "/" + mx.exchange;
  for (const auto& srv : answer.srv) {
    text += " " + std::to_string(srv.priority) + "/" + std::to_string(srv.weight) + "/" +
            std::to_string(srv.port) + "/" + srv.target;
  }
  for (const auto& tlsa : answer.tlsa) {
    text += " " + std::to_string(tlsa.usage) + "/" + std::to_string(tlsa.selector) + "/" +
            std::to_string(tlsa.matching) + "/" + base::HexEncode(tlsa.data);
  }
  return text;
}

std::string Line(const base::DnsAnswer& answer) {
  const std::string rest = " " + answer.canonical_name + " " +
                           std::to_string(absl::ToInt64Seconds(answer.ttl)) + Records(answer);
  switch (answer.outcome) {
    case base::DnsOutcome::kOk: return "ok" + rest;
    case base::DnsOutcome::kNoData: return "nodata" + rest;
    case base::DnsOutcome::kNoDomain: return "nodomain" + rest;
    case base::DnsOutcome::kTempFail: break;
  }
  return "tempfail " + answer.error;
}

int Main(const std::string& server, const std::string& name, const std::string& type) {
  const auto parsed = ParseServer(server);
  if (!parsed.ok()) return 2;
  CaresOptions options;
  options.servers = {*parsed};
  options.timeout = absl::Seconds(1);
  auto resolver = CaresResolver::Create(options);
  if (!resolver.ok()) return 2;
  std::puts(Line(base::RunBlocking((*resolver)->Resolve({name, TypeOf(type)}))).c_str());
  return 0;
}

}  // namespace
}  // namespace godwit::dns

int main(int argc, char** argv) {
  return argc == 4 ? godwit::dns::Main(argv[1], argv[2], argv[3]) : 2;
}
