// godwitctl verify ...: what auth-verifier would say, from the same library, without a database.

#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/dns/drive.h"
#include "libs/dnsbl/lookup.h"
#include "libs/idna/domain.h"
#include "libs/mailauth/message_verifier.h"
#include "libs/spf/evaluate.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/message_input.h"
#include "tools/godwitctl/resolver.h"

namespace godwit::ctl {
namespace {

namespace json = boost::json;

const Flag kIp = {"ip", "ADDRESS", "the client's address", true};
const Flag kHelo = {"helo", "NAME", "what it said in EHLO or HELO", true};
const Flag kMailFrom = {"mail-from", "ADDRESS", "the reverse-path; \"\" for the null sender", true};

absl::StatusOr<base::IpAddress> ClientAddress(const Invocation& in) {
  const auto ip = base::IpAddress::Parse(*in.flag("ip"));
  if (!ip) return base::InvalidArgument("--ip: not an address: " + *in.flag("ip"));
  return *ip;
}

std::string ReversePath(const Invocation& in) {
  std::string path = *in.flag("mail-from");
  if (path.starts_with('<') && path.ends_with('>')) path = path.substr(1, path.size() - 2);
  return path;
}

std::string HostName() {
  char name[256] = "localhost";
  gethostname(name, sizeof name - 1);
  return name;
}

json::object SpfJson(const spf::Result& spf) {
  return {{"result", spf::ResultName(spf.code)},
          {"domain", spf.domain},
          {"mechanism", spf.mechanism},
          {"explanation", spf.explanation},
          {"lookups", spf.lookups},
          {"void_lookups", spf.void_lookups},
          {"problem", spf.problem}};
}

json::object DkimJson(const dkim::SignatureResult& dkim) {
  return {{"domain", dkim.domain},
          {"selector", dkim.selector},
          {"result", dkim::ResultName(dkim.code)},
          {"reason", dkim.reason},
          {"identity", dkim.identity},
          {"algorithm", dkim.algorithm},
          {"key_bits", dkim.key_bits},
          {"testing", dkim.testing}};
}

json::object DmarcJson(const mailauth::Verdict& verdict) {
  const dmarc::Result& dmarc = verdict.dmarc;
  return {{"result", dmarc::ResultName(dmarc.code)},
          {"from_domain", verdict.author_domain},
          {"policy_domain", dmarc.policy_domain},
          {"policy", dmarc::PolicyName(dmarc.policy)},
          {"disposition", dmarc::PolicyName(dmarc.disposition)},
          {"spf_aligned", dmarc.spf_aligned},
          {"dkim_aligned", dmarc.dkim_aligned},
          {"record", dmarc.record},
          {"reason", dmarc.reason},
          {"worst_disposition", dmarc::PolicyName(dmarc.worst)},
          {"override", verdict.policy_override.type},
          {"override_comment", verdict.policy_override.comment}};
}

json::object ArcJson(const mailauth::Verdict& verdict) {
  const arc::Result& arc = verdict.arc;
  json::array sealers;
  for (const std::string& sealer : arc.sealers) sealers.emplace_back(sealer);
  return {{"result", arc::ResultName(arc.code)}, {"instances", arc.instances},
          {"oldest_pass", arc.oldest_pass},      {"sealers", std::move(sealers)},
          {"trusted", verdict.arc_trusted},      {"reason", arc.reason}};
}

json::object VerdictJson(const mailauth::Verdict& verdict) {
  json::array dkim;
  for (const auto& signature : verdict.dkim) dkim.push_back(DkimJson(signature));
  return {{"spf", SpfJson(verdict.mail_from_spf)},
          {"spf_helo", SpfJson(verdict.helo_spf)},
          {"dkim", std::move(dkim)},
          {"dmarc", DmarcJson(verdict)},
          {"arc", ArcJson(verdict)},
          {"iprev",
           {{"result", mailauth::IprevName(verdict.iprev.code)}, {"name", verdict.iprev.name}}},
          {"authentication_results", verdict.authentication_results},
          {"received_spf", verdict.received_spf}};
}

// "a, b, c" of what is not empty.
std::string Notes(std::initializer_list<std::string> parts) {
  std::string notes;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!notes.empty()) notes += ", ";
    notes += part;
  }
  return notes;
}

std::string SpfNotes(const spf::Result& spf) {
  return Notes({spf.domain, spf.mechanism.empty() ? "" : "by " + spf.mechanism,
                std::to_string(spf.lookups) + " lookups", spf.explanation, spf.problem});
}

std::string VerdictText(const mailauth::Verdict& verdict) {
  Table table({"CHECK", "RESULT", "DETAIL"});
  table.Add({"spf mail-from", std::string(spf::ResultName(verdict.mail_from_spf.code)),
             SpfNotes(verdict.mail_from_spf)});
  table.Add({"spf helo", std::string(spf::ResultName(verdict.helo_spf.code)),
             SpfNotes(verdict.helo_spf)});
  if (verdict.dkim.empty()) table.Add({"dkim", "none", "the message is not signed"});
  for (const auto& dkim : verdict.dkim) {
    table.Add({"dkim", std::string(dkim::ResultName(dkim.code)),
               Notes({"d=" + dkim.domain, "s=" + dkim.selector, dkim.algorithm, dkim.reason})});
  }
  const dmarc::Result& dmarc = verdict.dmarc;
  table.Add({"dmarc", std::string(dmarc::ResultName(dmarc.code)),
             Notes({verdict.author_domain,
                    "disposition " + std::string(dmarc::PolicyName(dmarc.disposition)),
                    dmarc.reason, verdict.policy_override.type})});
  table.Add({"arc", std::string(arc::ResultName(verdict.arc.code)),
             Notes({std::to_string(verdict.arc.instances) + " instances", verdict.arc.reason})});
  table.Add({"iprev", std::string(mailauth::IprevName(verdict.iprev.code)),
             Notes({verdict.iprev.name, verdict.iprev.reason})});
  return table.ToString() + "\nAuthentication-Results: " + verdict.authentication_results + "\n";
}

absl::StatusOr<Report> VerifySpf(const Invocation& in) {
  spf::Query query;
  GODWIT_ASSIGN_OR_RETURN(query.ip, ClientAddress(in));
  query.helo = *in.flag("helo");
  query.mail_from = ReversePath(in);
  query.receiver = in.flag("receiver").value_or(HostName());
  query.now = base::Clock::System()->Now();
  GODWIT_ASSIGN_OR_RETURN(const auto resolver, OpenResolver(in));
  const spf::Result result =
      base::RunBlocking(dns::Drive(resolver.get(), [query](const base::DnsAnswers& answers) {
        return spf::Evaluate(query, answers);
      }));
  Table table({"RESULT", "DETAIL"});
  table.Add({std::string(spf::ResultName(result.code)), SpfNotes(result)});
  return Report(table.ToString(), SpfJson(result));
}

absl::StatusOr<Report> VerifyMessage(const Invocation& in) {
  mailauth::Envelope envelope;
  GODWIT_ASSIGN_OR_RETURN(envelope.ip, ClientAddress(in));
  envelope.helo = *in.flag("helo");
  envelope.mail_from = ReversePath(in);
  mailauth::Options options;
  options.authserv_id = in.flag("authserv-id").value_or(HostName());
  options.now = base::Clock::System()->Now();
  const std::string trusted = in.flag("trusted-sealer").value_or("");
  for (const std::string_view sealer : base::Split(trusted, ',')) {
    options.trusted_sealers.push_back(idna::ToAscii(sealer).value_or(""));
  }
  GODWIT_ASSIGN_OR_RETURN(const auto resolver, OpenResolver(in));

  mailauth::MessageVerifier verifier(options, envelope);
  verifier.Feed(WithCrlf(ReadStandardInput()));
  const mailauth::Verdict verdict =
      base::RunBlocking(dns::Drive(resolver.get(), [&verifier](const base::DnsAnswers& answers) {
        return verifier.Finish(answers);
      }));
  return Report(VerdictText(verdict), VerdictJson(verdict));
}

// --list ZONE,...; --code RULE,... for all of them.
absl::StatusOr<std::vector<dnsbl::List>> ReadLists(const Invocation& in) {
  std::vector<dnsbl::List> lists;
  const std::string zones = *in.flag("list");
  const std::string codes = in.flag("code").value_or("");
  for (const std::string_view text : base::Split(zones, ',')) {
    const auto zone = idna::ToAscii(text);
    if (!zone || !idna::IsHostName(*zone)) return base::InvalidArgument("--list: not a name");
    dnsbl::List list;
    list.zone = *zone;
    list.ipv4 = in.has("ip") && base::IpAddress::Parse(*in.flag("ip"))->Unmapped().is_v4();
    list.ipv6 = in.has("ip") && !list.ipv4;
    list.domains = in.has("domain");
    for (const std::string_view code : base::Split(codes, ',')) {
      if (code.empty()) continue;
      auto rule = dnsbl::ParseCodeRule(code);
      if (!rule.ok()) return base::Annotate(rule.status(), "--code " + std::string(code));
      list.codes.push_back(*std::move(rule));
    }
    lists.push_back(std::move(list));
  }
  return lists;
}

json::object ListJson(const dnsbl::Result& result, const dnsbl::Health& health) {
  json::array codes(result.codes.begin(), result.codes.end());
  json::array categories(result.categories.begin(), result.categories.end());
  return {{"list", result.list},
          {"healthy", health.healthy},
          {"health_problem", health.problem},
          {"subject", result.subject},
          {"result", dnsbl::OutcomeName(result.outcome)},
          {"codes", std::move(codes)},
          {"categories", std::move(categories)},
          {"weight", result.weight},
          {"text", result.text},
          {"problem", result.problem}};
}

absl::StatusOr<Report> VerifyDnsbl(const Invocation& in) {
  dnsbl::Subjects subjects;
  if (in.has("ip")) {
    GODWIT_ASSIGN_OR_RETURN(subjects.client, ClientAddress(in));
  }
  if (in.has("domain")) {
    const auto domain = idna::ToAscii(*in.flag("domain"));
    if (!domain) return base::InvalidArgument("--domain: not a domain name");
    subjects.domains = {*domain};
  }
  if (!subjects.client && subjects.domains.empty()) {
    return base::InvalidArgument("--ip or --domain says what to look up");
  }
  GODWIT_ASSIGN_OR_RETURN(const auto lists, ReadLists(in));
  GODWIT_ASSIGN_OR_RETURN(const auto resolver, OpenResolver(in));
  Table table({"LIST", "HEALTH", "SUBJECT", "RESULT", "DETAIL"});
  json::array rows;
  for (const dnsbl::List& list : lists) {
    const auto health =
        base::RunBlocking(dns::Drive(resolver.get(), [&list](const base::DnsAnswers& answers) {
          return dnsbl::CheckHealth(list, answers);
        }));
    const std::vector<dnsbl::List> one = {list};
    const auto results = base::RunBlocking(
        dns::Drive(resolver.get(), [&one, &subjects](const base::DnsAnswers& answers) {
          return dnsbl::Evaluate(one, subjects, answers);
        }));
    for (const dnsbl::Result& result : results) {
      table.Add({result.list, health.healthy ? "good" : health.problem, result.subject,
                 std::string(dnsbl::OutcomeName(result.outcome)),
                 Notes({base::Join(result.codes, " "), base::Join(result.categories, " "),
                        result.text, result.problem})});
      rows.push_back(ListJson(result, health));
    }
  }
  return Report(table.ToString(), std::move(rows));
}

}  // namespace

std::vector<Command> VerifyCommands() {
  return {
      {"verify spf",
       {},
       {kIp, kHelo, kMailFrom, {"receiver", "NAME", "our name, for %{r}"}, kDnsFlag},
       "Says what SPF makes of a client (RFC 7208).",
       VerifySpf},
      {"verify message",
       {},
       {kIp,
        kHelo,
        kMailFrom,
        {"authserv-id", "NAME", "our name in Authentication-Results"},
        {"trusted-sealer", "DOMAIN,...", "whose ARC seals are believed (RFC 8617)"},
        kDnsFlag},
       "Verifies the message on standard input: SPF, DKIM, DMARC, ARC and iprev.",
       VerifyMessage},
      {"verify dnsbl",
       {},
       {{"list", "ZONE,...", "the lists to ask", true},
        {"ip", "ADDRESS", "the client's address"},
        {"domain", "DOMAIN", "a domain, for lists of these"},
        {"code", "RULE,...", "what codes mean: 127.0.0.2=spam, 127.0.0.4-127.0.0.7=exploit:5"},
        kDnsFlag},
       "Says what DNS lists know of an address or a domain, and whether they are in order (RFC "
       "5782).",
       VerifyDnsbl},
  };
}

}  // namespace godwit::ctl
