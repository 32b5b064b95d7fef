#include "libs/mailauth/report.h"

#include <utility>
#include <vector>

#include "libs/authres/authres.h"

namespace godwit::mailauth {
namespace {

using authres::MethodResult;

MethodResult Iprev(const IprevResult& iprev, const Envelope& envelope) {
  MethodResult method{"iprev", std::string(IprevName(iprev.code)), iprev.name, "", {}};
  if (iprev.code != IprevCode::kPass) method.reason = iprev.reason;
  method.properties.push_back({"policy", "iprev", envelope.ip.Unmapped().ToString()});
  return method;
}

MethodResult Spf(const spf::Result& spf, std::string_view property, std::string_view value) {
  MethodResult method{"spf", std::string(spf::ResultName(spf.code)), "", spf.problem, {}};
  method.properties.push_back({"smtp", std::string(property), std::string(value)});
  return method;
}

MethodResult Dkim(const dkim::SignatureResult& signature) {
  MethodResult method{
      "dkim", std::string(dkim::ResultName(signature.code)), "", signature.reason, {}};
  if (signature.key_bits > 0) method.comment = std::to_string(signature.key_bits) + "-bit key";
  if (signature.testing) method.comment += method.comment.empty() ? "testing" : ", testing";
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) method.properties.push_back({"header", std::string(name), value});
  };
  add("d", signature.domain);
  add("i", signature.identity);
  add("s", signature.selector);
  add("a", signature.algorithm);
  add("b", signature.b_prefix);
  return method;
}

MethodResult Dmarc(const Verdict& verdict) {
  const dmarc::Result& dmarc = verdict.dmarc;
  MethodResult method{"dmarc", std::string(dmarc::ResultName(dmarc.code)), "", dmarc.reason, {}};
  if (!dmarc.record.empty()) {
    const bool overridden = !verdict.policy_override.type.empty();
    const dmarc::Policy applied = overridden ? dmarc::Policy::kNone : dmarc.disposition;
    method.comment = dmarc.policy_tag + "=" + std::string(dmarc::PolicyName(dmarc.policy)) +
                     " dis=" + std::string(dmarc::PolicyName(applied));
    if (overridden) method.comment += " override=" + verdict.policy_override.type;
  }
  if (!verdict.author_domain.empty()) {
    method.properties.push_back({"header", "from", verdict.author_domain});
  }
  return method;
}

// RFC 8617 §4.1.1 and §10.2 name the properties.
MethodResult Arc(const arc::Result& arc) {
  MethodResult method{"arc", std::string(arc::ResultName(arc.code)), "", arc.reason, {}};
  if (arc.instances > 0) method.comment = "i=" + std::to_string(arc.instances);
  if (arc.code == arc::ResultCode::kPass) {
    method.properties.push_back({"header", "oldest-pass", std::to_string(arc.oldest_pass)});
  }
  return method;
}

// RFC 8904: what allow lists say. Lists that block have no registered method.
MethodResult Dnswl(const dnsbl::Result& list) {
  MethodResult method{"dnswl", "none", "", list.problem, {{"dns", "zone", list.list}}};
  switch (list.outcome) {
    case dnsbl::Outcome::kNotListed: break;
    case dnsbl::Outcome::kListed: method.result = "pass"; break;
    case dnsbl::Outcome::kError: method.result = "permerror"; break;
    case dnsbl::Outcome::kNoAnswer: method.result = "temperror"; break;
  }
  if (!list.codes.empty()) method.properties.push_back({"policy", "ip", list.codes.front()});
  if (!list.text.empty()) method.properties.push_back({"policy", "txt", list.text});
  return method;
}

void AddMessage(const Verdict& verdict, std::vector<MethodResult>* methods) {
  // RFC 8601 §2.7.1: "none" says that the message is not signed.
  if (verdict.dkim.empty()) methods->push_back({"dkim", "none", "", "", {}});
  for (const dkim::SignatureResult& signature : verdict.dkim) methods->push_back(Dkim(signature));
}

}  // namespace

std::string FormatResults(const Verdict& verdict, const Envelope& envelope,
                          std::string_view authserv_id) {
  std::vector<MethodResult> methods;
  if (verdict.connection_checked) {
    methods.push_back(Iprev(verdict.iprev, envelope));
    methods.push_back(Spf(verdict.helo_spf, "helo", envelope.helo));
    // Without a reverse-path there is nothing to name but HELO, which stands there already.
    if (!envelope.mail_from.empty()) {
      methods.push_back(Spf(verdict.mail_from_spf, "mailfrom", envelope.mail_from));
    }
  }
  for (const dnsbl::Result& list : verdict.lists) {
    if (list.kind == dnsbl::Kind::kAllow) methods.push_back(Dnswl(list));
  }
  AddMessage(verdict, &methods);
  methods.push_back(Dmarc(verdict));
  if (verdict.arc.code != arc::ResultCode::kNone) {
    methods.push_back(Arc(verdict.arc));
    if (verdict.arc_trusted) methods.back().comment += ", trusted";
    // Of a hop between our own daemons the address says nothing.
    if (verdict.connection_checked) {
      methods.back().properties.push_back({"smtp", "remote-ip", envelope.ip.Unmapped().ToString()});
    }
  }
  return authres::Format(authserv_id, methods);
}

std::string FormatMessageResults(const Verdict& verdict, std::string_view authserv_id) {
  std::vector<MethodResult> methods;
  AddMessage(verdict, &methods);
  if (verdict.arc.code != arc::ResultCode::kNone) methods.push_back(Arc(verdict.arc));
  return authres::Format(authserv_id, methods);
}

}  // namespace godwit::mailauth
