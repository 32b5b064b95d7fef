// godwitctl dkim ...: the keys that sign what leaves.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/dkim/keys.h"
#include "libs/idna/domain.h"
#include "libs/store/dkim_keys.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"

namespace godwit::ctl {
namespace {

constexpr size_t kTxtString = 255;  // RFC 1035 §3.3

absl::StatusOr<std::string> DomainName(const Invocation& in) {
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

// "20261122-rsa": of the day, so that names tell their age.
std::string DefaultSelector(dkim::KeyType type, absl::Time now) {
  return absl::FormatTime("%Y%m%d", now, absl::UTCTimeZone()) +
         (type == dkim::KeyType::kRsa ? "-rsa" : "-ed25519");
}

// What is to be put into the DNS for a key.
struct DnsRecord {
  std::string name;                  // without the final dot
  std::string text;                  // all of it
  std::vector<std::string> strings;  // as a TXT record holds it
};

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

// As a zone file has it.
std::string ZoneLine(const DnsRecord& record) {
  std::string line = record.name + ". IN TXT (";
  for (const std::string& string : record.strings) line += "\n    \"" + string + "\"";
  return line + " )\n";
}

boost::json::object ToJson(const store::DkimKey& key) {
  const auto time = [](const std::optional<absl::Time>& t) -> boost::json::value {
    if (!t) return nullptr;
    return boost::json::string(absl::FormatTime(absl::RFC3339_full, *t, absl::UTCTimeZone()));
  };
  const DnsRecord record = RecordOf(key);
  boost::json::array strings;
  for (const std::string& string : record.strings) strings.emplace_back(string);
  return {{"domain", key.domain},
          {"selector", key.selector},
          {"algorithm", key.algorithm},
          {"state", store::DkimKeyStateName(key.state)},
          {"created", time(key.created)},
          {"activated", time(key.activated)},
          {"retired", time(key.retired)},
          {"record", {{"name", record.name}, {"text", record.text}, {"strings", strings}}}};
}

absl::StatusOr<Report> Generate(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainName(in));
  GODWIT_ASSIGN_OR_RETURN(const dkim::KeyType type, ReadAlgorithm(in));
  GODWIT_ASSIGN_OR_RETURN(const int bits, ReadBits(in));
  GODWIT_ASSIGN_OR_RETURN(const auto made, dkim::PrivateKey::Generate(type, bits));
  const absl::Time now = base::Clock::System()->Now();
  store::DkimKey key;
  key.domain = domain;
  key.selector = base::Lower(in.flag("selector").value_or(DefaultSelector(type, now)));
  key.algorithm = dkim::AlgorithmName(type);
  key.public_key = made.PublicBytes();
  key.created = now;
  GODWIT_RETURN_IF_ERROR(store::AddDkimKey(connection, key, made.Pkcs8(), now));
  return Report("The key " + key.selector + " of " + domain +
                    " is made. Publish this record, then activate the key:\n\n" +
                    ZoneLine(RecordOf(key)),
                ToJson(key));
}

absl::StatusOr<Report> List(db::Connection& connection, const Invocation& in) {
  const auto domain = idna::ToAscii(in.flag("domain").value_or(""));
  if (in.has("domain") && !domain) return base::InvalidArgument("--domain is no domain name");
  GODWIT_ASSIGN_OR_RETURN(const auto keys, store::ListDkimKeys(connection, domain.value_or("")));
  Table table({"DOMAIN", "SELECTOR", "ALGORITHM", "STATE", "CREATED"});
  boost::json::array json;
  for (const store::DkimKey& key : keys) {
    table.Add({key.domain, key.selector, key.algorithm,
               std::string(store::DkimKeyStateName(key.state)),
               absl::FormatTime("%Y-%m-%d", key.created, absl::UTCTimeZone())});
    json.push_back(ToJson(key));
  }
  return Report(table.ToString(), std::move(json));
}

absl::StatusOr<Report> Show(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainName(in));
  GODWIT_ASSIGN_OR_RETURN(const auto keys, store::ListDkimKeys(connection, domain));
  const auto wanted = in.flag("selector");
  std::string text;
  boost::json::array json;
  for (const store::DkimKey& key : keys) {
    if (wanted && base::Lower(*wanted) != key.selector) continue;
    text += "; " + std::string(store::DkimKeyStateName(key.state)) + "\n" + ZoneLine(RecordOf(key));
    json.push_back(ToJson(key));
  }
  if (json.empty()) return base::NotFound(domain + " has no such key");
  return Report(std::move(text), std::move(json));
}

absl::StatusOr<Report> Activate(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainName(in));
  const std::string& selector = in.argument("SELECTOR");
  GODWIT_RETURN_IF_ERROR(
      store::ActivateDkimKey(connection, domain, selector, base::Clock::System()->Now()));
  return Report::Done("The key " + selector + " signs the mail of " + domain + " from now on.");
}

absl::StatusOr<Report> Retire(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainName(in));
  const std::string& selector = in.argument("SELECTOR");
  GODWIT_RETURN_IF_ERROR(
      store::RetireDkimKey(connection, domain, selector, base::Clock::System()->Now()));
  return Report::Done("The key " + selector +
                      " signs no more. Leave its record in the DNS for a week: mail that it signed "
                      "is under way.");
}

absl::StatusOr<Report> Remove(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainName(in));
  const std::string& selector = in.argument("SELECTOR");
  GODWIT_RETURN_IF_ERROR(store::RemoveDkimKey(connection, domain, selector));
  return Report::Done("The key " + selector + " of " + domain + " is removed.");
}

}  // namespace

std::vector<Command> DkimCommands() {
  const Flag selector{"selector", "SELECTOR", "the name of the key"};
  return {
      {"dkim generate",
       {"DOMAIN"},
       {{"selector", "SELECTOR", "the name of the key; else made of the date"},
        {"algorithm", "rsa|ed25519", "else rsa"},
        {"bits", "BITS", "of an RSA key: 2048, 3072 or 4096; else 2048"}},
       "Makes a key that does not sign yet, and shows its DNS record.",
       WithDatabase(Generate)},
      {"dkim list",
       {},
       {{"domain", "DOMAIN", "only of this domain"}},
       "Lists the keys.",
       WithDatabase(List)},
      {"dkim show",
       {"DOMAIN"},
       {selector},
       "Shows the DNS records to publish.",
       WithDatabase(Show)},
      {"dkim activate",
       {"DOMAIN", "SELECTOR"},
       {},
       "Lets a key sign, whose record is in the DNS.",
       WithDatabase(Activate)},
      {"dkim retire", {"DOMAIN", "SELECTOR"}, {}, "Lets a key sign no more.", WithDatabase(Retire)},
      {"dkim remove",
       {"DOMAIN", "SELECTOR"},
       {},
       "Forgets a key that does not sign.",
       WithDatabase(Remove)},
  };
}

}  // namespace godwit::ctl
