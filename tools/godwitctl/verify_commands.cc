// godwitctl verify ...: what auth-verifier would say, from the same library, without a database.

#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/dns/drive.h"
#include "libs/mailauth/message_verifier.h"
#include "libs/spf/evaluate.h"
#include "tools/godwitctl/commands.h"
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
          {"reason", dmarc.reason}};
}

json::object ArcJson(const arc::Result& arc) {
  json::array sealers;
  for (const std::string& sealer : arc.sealers) sealers.emplace_back(sealer);
  return {{"result", arc::ResultName(arc.code)},
          {"instances", arc.instances},
          {"oldest_pass", arc.oldest_pass},
          {"sealers", std::move(sealers)},
          {"reason", arc.reason}};
}

json::object VerdictJson(const mailauth::Verdict& verdict) {
  json::array dkim;
  for (const auto& signature : verdict.dkim) dkim.push_back(DkimJson(signature));
  return {{"spf", SpfJson(verdict.mail_from_spf)},
          {"spf_helo", SpfJson(verdict.helo_spf)},
          {"dkim", std::move(dkim)},
          {"dmarc", DmarcJson(verdict)},
          {"arc", ArcJson(verdict.arc)},
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
  table.Add(
      {"dmarc", std::string(dmarc::ResultName(dmarc.code)),
       Notes({verdict.author_domain,
              "disposition " + std::string(dmarc::PolicyName(dmarc.disposition)), dmarc.reason})});
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

// Standard input with CRLF at every line's end, as it would come over SMTP.
std::string ReadMessage() {
  const std::string raw{std::istreambuf_iterator<char>(std::cin), {}};
  std::string message;
  message.reserve(raw.size() + raw.size() / 32);
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '\n' && (i == 0 || raw[i - 1] != '\r')) message += '\r';
    message += raw[i];
  }
  return message;
}

absl::StatusOr<Report> VerifyMessage(const Invocation& in) {
  mailauth::Envelope envelope;
  GODWIT_ASSIGN_OR_RETURN(envelope.ip, ClientAddress(in));
  envelope.helo = *in.flag("helo");
  envelope.mail_from = ReversePath(in);
  mailauth::Options options;
  options.authserv_id = in.flag("authserv-id").value_or(HostName());
  options.now = base::Clock::System()->Now();
  GODWIT_ASSIGN_OR_RETURN(const auto resolver, OpenResolver(in));

  mailauth::MessageVerifier verifier(options, envelope);
  verifier.Feed(ReadMessage());
  const mailauth::Verdict verdict =
      base::RunBlocking(dns::Drive(resolver.get(), [&verifier](const base::DnsAnswers& answers) {
        return verifier.Finish(answers);
      }));
  return Report(VerdictText(verdict), VerdictJson(verdict));
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
        kDnsFlag},
       "Verifies the message on standard input: SPF, DKIM, DMARC, ARC and iprev.",
       VerifyMessage},
  };
}

}  // namespace godwit::ctl
