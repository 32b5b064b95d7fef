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
#include "libs/runtime/units.h"
#include "libs/store/dkim_keys.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"
#include "tools/godwitctl/dkim_record.h"
#include "tools/godwitctl/dkim_rotate.h"
#include "tools/godwitctl/resolver.h"

namespace godwit::ctl {
namespace {

boost::json::object ToJson(const store::DkimKey& key) {
  return {{"domain", key.domain},
          {"selector", key.selector},
          {"algorithm", key.algorithm},
          {"state", store::DkimKeyStateName(key.state)},
          {"created", TimeJson(key.created)},
          {"activated", TimeJson(key.activated)},
          {"retired", TimeJson(key.retired)},
          {"record", ToJson(RecordOf(key))}};
}

absl::StatusOr<Report> Generate(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainArgument(in));
  GODWIT_ASSIGN_OR_RETURN(const dkim::KeyType type, ReadAlgorithm(in));
  GODWIT_ASSIGN_OR_RETURN(const int bits, ReadBits(in));
  const absl::Time now = base::Clock::System()->Now();
  GODWIT_ASSIGN_OR_RETURN(const MadeKey made,
                          MakeKey(domain, in.flag("selector").value_or(""), type, bits, now));
  const store::DkimKey& key = made.key;
  GODWIT_RETURN_IF_ERROR(store::AddDkimKey(connection, key, made.private_key, now));
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
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainArgument(in));
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
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainArgument(in));
  const std::string& selector = in.argument("SELECTOR");
  GODWIT_RETURN_IF_ERROR(
      store::ActivateDkimKey(connection, domain, selector, base::Clock::System()->Now()));
  return Report::Done("The key " + selector + " signs the mail of " + domain + " from now on.");
}

absl::StatusOr<Report> Retire(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainArgument(in));
  const std::string& selector = in.argument("SELECTOR");
  GODWIT_RETURN_IF_ERROR(
      store::RetireDkimKey(connection, domain, selector, base::Clock::System()->Now()));
  return Report::Done("The key " + selector +
                      " signs no more. Leave its record in the DNS for a week: mail that it signed "
                      "is under way.");
}

absl::StatusOr<Report> Remove(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const std::string domain, DomainArgument(in));
  const std::string& selector = in.argument("SELECTOR");
  GODWIT_RETURN_IF_ERROR(store::RemoveDkimKey(connection, domain, selector));
  return Report::Done("The key " + selector + " of " + domain + " is removed.");
}

absl::StatusOr<absl::Duration> ReadDuration(const Invocation& in, std::string_view flag,
                                            std::string_view otherwise) {
  const auto duration = runtime::ParseDuration(in.flag(flag).value_or(std::string(otherwise)));
  if (!duration || *duration < absl::ZeroDuration()) {
    return base::InvalidArgument("--" + std::string(flag) + " is a time: 90s, 36h");
  }
  return *duration;
}

absl::StatusOr<Report> Rotate(db::Connection& connection, const Invocation& in) {
  RotateOptions options;
  GODWIT_ASSIGN_OR_RETURN(options.domain, DomainArgument(in));
  GODWIT_ASSIGN_OR_RETURN(options.type, ReadAlgorithm(in));
  GODWIT_ASSIGN_OR_RETURN(options.bits, ReadBits(in));
  options.selector = in.flag("selector").value_or("");
  GODWIT_ASSIGN_OR_RETURN(options.wait, ReadDuration(in, "wait", "1h"));
  GODWIT_ASSIGN_OR_RETURN(options.retire_after, ReadDuration(in, "retire-after", "168h"));
  if (in.has("older-than")) {
    GODWIT_ASSIGN_OR_RETURN(options.older_than, ReadDuration(in, "older-than", ""));
  }
  options.again = in.has("again");
  GODWIT_ASSIGN_OR_RETURN(const auto resolver, OpenResolver(in));
  return RotateKey(connection, resolver.get(), options, base::Clock::System()->Now());
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
      {"dkim rotate",
       {"DOMAIN"},
       {{"algorithm", "rsa|ed25519", "whose key is changed; else rsa"},
        {"bits", "BITS", "of a new RSA key: 2048, 3072 or 4096; else 2048"},
        {"selector", "SELECTOR", "the name of the new key; else made of the date"},
        {"wait", "TIME",
         "how long its record is to be seen at least; else 1h, never below its TTL"},
        {"retire-after", "TIME", "how long old keys stay known after the change; else 168h"},
        {"older-than", "TIME", "begins only when the key that signs is older: for cron"},
        {"again", "", "begins the next one when the last is done"},
        kDnsFlag},
       "Changes a signing key for a new one: each run takes the steps that are due.",
       WithDatabase(Rotate)},
      {"dkim remove",
       {"DOMAIN", "SELECTOR"},
       {},
       "Forgets a key that does not sign.",
       WithDatabase(Remove)},
  };
}

}  // namespace godwit::ctl
