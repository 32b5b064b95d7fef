#include "tools/godwitctl/dkim_record.h"

#include <boost/json/array.hpp>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"

namespace godwit::ctl {
namespace {

constexpr size_t kTxtString = 255;  // RFC 1035 §3.3

// "20261122-rsa": of the day, so that names tell their age.
std::string DefaultSelector(dkim::KeyType type, absl::Time now) {
  return absl::FormatTime("%Y%m%d", now, absl::UTCTimeZone()) +
         (type == dkim::KeyType::kRsa ? "-rsa" : "-ed25519");
}

}  // namespace

absl::StatusOr<std::string> DomainArgument(const Invocation& in) {
  const auto name = idna::ToAscii(in.argument("DOMAIN"));
  if (!name) return base::InvalidArgument(in.argument("DOMAIN") + " is no domain name");
  return *name;
}

absl::StatusOr<dkim::KeyType> ReadAlgorithm(const Invocation& in) {
  const std::string name = in.flag("algorithm").value_or("rsa");
  if (name == "rsa") return dkim::KeyType::kRsa;
  if (name == "ed25519") return dkim::KeyType::kEd25519;
  return base::InvalidArgument("--algorithm is rsa or ed25519");
}

absl::StatusOr<int> ReadBits(const Invocation& in) {
  const auto bits = base::ParseDecimal(in.flag("bits").value_or("2048"));
  if (!bits || *bits > 4096) return base::InvalidArgument("--bits is 2048, 3072 or 4096");
  return static_cast<int>(*bits);
}

absl::StatusOr<MadeKey> MakeKey(const std::string& domain, const std::string& selector,
                                dkim::KeyType type, int bits, absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(const auto made, dkim::PrivateKey::Generate(type, bits));
  MadeKey result{{}, made.Pkcs8()};
  result.key.domain = domain;
  result.key.selector = base::Lower(selector.empty() ? DefaultSelector(type, now) : selector);
  result.key.algorithm = dkim::AlgorithmName(type);
  result.key.public_key = made.PublicBytes();
  result.key.created = now;
  return result;
}

DnsRecord RecordOf(const store::DkimKey& key) {
  const dkim::KeyType type =
      key.algorithm == "rsa-sha256" ? dkim::KeyType::kRsa : dkim::KeyType::kEd25519;
  DnsRecord record;
  record.name = key.selector + "._domainkey." + key.domain;
  record.text = dkim::FormatKeyRecord(type, key.public_key);
  for (size_t at = 0; at < record.text.size(); at += kTxtString) {
    record.strings.push_back(record.text.substr(at, kTxtString));
  }
  return record;
}

std::string ZoneLine(const DnsRecord& record) {
  std::string line = record.name + ". IN TXT (";
  for (const std::string& string : record.strings) line += "\n    \"" + string + "\"";
  return line + " )\n";
}

boost::json::object ToJson(const DnsRecord& record) {
  boost::json::array strings;
  for (const std::string& string : record.strings) strings.emplace_back(string);
  return {{"name", record.name}, {"text", record.text}, {"strings", std::move(strings)}};
}

boost::json::value TimeJson(const std::optional<absl::Time>& time) {
  if (!time) return nullptr;
  return boost::json::string(absl::FormatTime(absl::RFC3339_full, *time, absl::UTCTimeZone()));
}

}  // namespace godwit::ctl
