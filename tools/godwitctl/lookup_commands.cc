// godwitctl lookup ...: what the daemons see in the DNS and in the directory.

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/idna/domain.h"
#include "libs/store/directory.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"
#include "tools/godwitctl/resolver.h"

namespace godwit::ctl {
namespace {

constexpr std::array kTypes = {base::DnsType::kA,   base::DnsType::kAaaa, base::DnsType::kMx,
                               base::DnsType::kTxt, base::DnsType::kPtr,  base::DnsType::kCname,
                               base::DnsType::kNs,  base::DnsType::kSrv,  base::DnsType::kTlsa};

std::optional<base::DnsType> TypeFromName(std::string_view name) {
  for (const base::DnsType type : kTypes) {
    if (base::EqualsIgnoreCase(base::DnsTypeName(type), name)) return type;
  }
  return std::nullopt;
}

std::string_view OutcomeName(base::DnsOutcome outcome) {
  switch (outcome) {
    case base::DnsOutcome::kOk: return "ok";
    case base::DnsOutcome::kNoData: return "no-data";
    case base::DnsOutcome::kNoDomain: return "no-domain";
    case base::DnsOutcome::kTempFail: return "temporary-failure";
  }
  return "";
}

std::vector<std::string> Records(const base::DnsAnswer& answer) {
  std::vector<std::string> records(answer.texts);
  for (const auto& address : answer.addresses) records.push_back(address.ToString());
  for (const auto& mx : answer.mx) {
    records.push_back(std::to_string(mx.preference) + " " +
                      (mx.exchange.empty() ? "." : mx.exchange));
  }
  for (const auto& srv : answer.srv) {
    records.push_back(std::to_string(srv.priority) + " " + std::to_string(srv.weight) + " " +
                      std::to_string(srv.port) + " " + (srv.target.empty() ? "." : srv.target));
  }
  for (const auto& tlsa : answer.tlsa) {
    records.push_back(std::to_string(tlsa.usage) + " " + std::to_string(tlsa.selector) + " " +
                      std::to_string(tlsa.matching) + " " + base::HexEncode(tlsa.data));
  }
  return records;
}

absl::StatusOr<Report> LookupDns(const Invocation& in) {
  const auto type = TypeFromName(in.argument("TYPE"));
  if (!type)
    return base::InvalidArgument("not a record type that is known here: " + in.argument("TYPE"));
  // The PTR of an address is asked for by the address.
  const auto ip = base::IpAddress::Parse(in.argument("NAME"));
  const auto name = ip && *type == base::DnsType::kPtr ? std::optional(ip->ReverseName())
                                                       : idna::ToAscii(in.argument("NAME"));
  if (!name) return base::InvalidArgument(in.argument("NAME") + " is no domain name");
  GODWIT_ASSIGN_OR_RETURN(const auto resolver, OpenResolver(in));
  const base::DnsAnswer answer = base::RunBlocking(resolver->Resolve({*name, *type}));

  const std::vector<std::string> records = Records(answer);
  boost::json::array array;
  std::string text = *name + " " + std::string(base::DnsTypeName(*type)) + ": " +
                     std::string(OutcomeName(answer.outcome)) +
                     (answer.authentic ? ", authentic" : "") +
                     (answer.error.empty() ? "" : ", " + answer.error) + "\n";
  for (const std::string& record : records) {
    array.emplace_back(record);
    text += "  " + record + "\n";
  }
  Report report(text, boost::json::object{{"name", *name},
                                          {"type", base::DnsTypeName(*type)},
                                          {"outcome", OutcomeName(answer.outcome)},
                                          {"authentic", answer.authentic},
                                          {"canonical_name", answer.canonical_name},
                                          {"ttl", absl::ToInt64Seconds(answer.ttl)},
                                          {"records", std::move(array)},
                                          {"error", answer.error}});
  if (answer.outcome == base::DnsOutcome::kTempFail) report.set_exit_code(1);
  return report;
}

std::string_view KindName(store::RecipientKind kind) {
  switch (kind) {
    case store::RecipientKind::kUnknownDomain: return "unknown-domain";
    case store::RecipientKind::kDomainDisabled: return "domain-disabled";
    case store::RecipientKind::kUnknownUser: return "unknown-user";
    case store::RecipientKind::kAccount: return "account";
    case store::RecipientKind::kAlias: return "alias";
    case store::RecipientKind::kRelay: return "relay";
  }
  return "";
}

absl::StatusOr<Report> LookupRecipient(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const auto parts, store::SplitAddress(in.argument("ADDRESS")));
  GODWIT_ASSIGN_OR_RETURN(const auto found,
                          store::LookupRecipient(connection, parts.local_part.kept, parts.domain));
  std::string text = in.argument("ADDRESS") + ": " + std::string(KindName(found.kind)) +
                     (found.by_tag ? ", without its tag" : "") +
                     (found.by_catch_all ? ", by the domain's catch-all" : "") +
                     (found.refusal.empty() ? "" : ", answered " + found.refusal) +
                     (found.senders.empty() ? "" : ", from " + base::Join(found.senders, ", ")) +
                     "\n";
  boost::json::array local;
  for (const auto& recipient : found.local) {
    text += "  " + recipient.address + (recipient.disabled ? " (disabled)" : "") + "\n";
    local.push_back(
        boost::json::object{{"address", recipient.address},
                            {"account", std::to_string(store::ToInt(recipient.account))},
                            {"disabled", recipient.disabled},
                            {"used_bytes", recipient.used_bytes},
                            {"quota_bytes", recipient.quota_bytes}});
  }
  boost::json::array external;
  for (const smtp::Address& address : found.external) {
    text += "  " + address.ToString() + " (forwarded)\n";
    external.emplace_back(address.ToString());
  }
  return Report(text, boost::json::object{{"kind", KindName(found.kind)},
                                          {"local", std::move(local)},
                                          {"external", std::move(external)},
                                          {"refusal", found.refusal},
                                          {"by_tag", found.by_tag},
                                          {"by_catch_all", found.by_catch_all}});
}

}  // namespace

std::vector<Command> LookupCommands() {
  return {
      {"lookup dns",
       {"TYPE", "NAME"},
       {kDnsFlag},
       "Asks the DNS as the daemons do; 1 when it gave no answer.",
       LookupDns},
      {"lookup recipient",
       {"ADDRESS"},
       {},
       "Says where mail for an address goes.",
       WithDatabase(LookupRecipient)},
  };
}

}  // namespace godwit::ctl
