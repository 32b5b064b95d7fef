// What tls-policy would say of a domain, and what our TLS finds of its hosts: for tests with real
// DNS and mail servers.
//
//   tls_tool --dns HOST:PORT --port N [--sts_port N --ca FILE] [--connect] DOMAIN...
//
// One line of JSON a domain: {"domain", "outcome", "sts", "hosts": [{"name", "requirement", "tlsa",
// "session"}]}. With --connect each usable host is connected to, as far as a session that is ready
// for mail.

#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/dns/cares_resolver.h"
#include "libs/dns/drive.h"
#include "libs/mtasts/cache.h"
#include "libs/net/connector.h"
#include "libs/net/reactor.h"
#include "libs/net/stream.h"
#include "libs/smtp/client.h"
#include "services/tls-policy/decision.h"
#include "services/tls-policy/route.h"
#include "services/tls-policy/sts_cache.h"
#include "services/tls-policy/sts_fetch.h"

ABSL_FLAG(std::string, dns, "127.0.0.1:53", "The validating resolver.");
ABSL_FLAG(int, port, 25, "Of the mail servers, and of TLSA records.");
ABSL_FLAG(int, sts_port, 443, "Of the web servers with MTA-STS policies.");
ABSL_FLAG(std::string, ca, "/etc/ssl/certs/ca-certificates.crt", "Trust anchors.");
ABSL_FLAG(bool, connect, false, "Connect to the hosts.");

namespace godwit {
namespace {

using tls_policy::HostDecision;
using tls_policy::Requirement;
using tls_policy::Route;
using tls_policy::RouteHost;

std::string_view Name(Route::Outcome outcome) {
  switch (outcome) {
    case Route::Outcome::kOk: return "ok";
    case Route::Outcome::kNullMx: return "null-mx";
    case Route::Outcome::kNoDomain: return "no-domain";
    case Route::Outcome::kTemporary: return "temporary";
  }
  return "";
}

std::string_view Name(Requirement requirement) {
  switch (requirement) {
    case Requirement::kOpportunistic: return "opportunistic";
    case Requirement::kEncrypt: return "encrypt";
    case Requirement::kMtaSts: return "mta-sts";
    case Requirement::kDane: return "dane";
    case Requirement::kUnusable: return "unusable";
  }
  return "";
}

base::Task<tls_policy::StsState> FindSts(dns::Resolver* resolver,
                                         const tls_policy::StsFetcher* fetcher,
                                         std::string domain) {
  base::DnsQuestion question{"_mta-sts." + domain, base::DnsType::kTxt};
  const base::DnsAnswer answer = co_await resolver->Resolve(std::move(question));
  const auto record = tls_policy::ReadRecordAnswer(answer);
  tls_policy::StsState state;
  if (!record.id) co_return state;
  auto fetched = co_await fetcher->Fetch(domain);
  if (auto* failure = std::get_if<tls_policy::StsFailure>(&fetched)) {
    state.failure = failure->result;
    co_return state;
  }
  state.policy = mtasts::CachedPolicy{*record.id, std::get<mtasts::Policy>(fetched),
                                      base::Clock::System()->Now()};
  co_return state;
}

net::TlsClientOptions TlsOptions(Requirement requirement) {
  net::TlsClientOptions options;
  options.ca_file = absl::GetFlag(FLAGS_ca);
  options.verification = net::ServerVerification::kNone;
  if (requirement == Requirement::kDane) options.verification = net::ServerVerification::kDane;
  if (requirement == Requirement::kMtaSts) {
    options.verification = net::ServerVerification::kHostName;
  }
  return options;
}

// "ready TLSv1.3 verified", "failed no-tlsa-match: ..."
base::Task<std::string> TrySession(RouteHost host, Requirement requirement) {
  net::ConnectOptions connect;
  connect.to = {host.addresses.back(), static_cast<uint16_t>(absl::GetFlag(FLAGS_port))};
  connect.timeout = absl::Seconds(10);
  auto stream = co_await net::Connect(connect);
  if (!stream.ok()) co_return "no connection: " + base::ToString(stream.status());
  smtp::ClientOptions options{.hostname = "tls-tool.test"};
  if (requirement != Requirement::kOpportunistic) options.tls = smtp::TlsUse::kRequired;
  smtp::ClientSession session(std::move(options));
  net::Input input;
  std::string_view in;
  std::string result;
  for (;;) {
    const smtp::ClientAction action = session.Next(&in);
    if (std::holds_alternative<smtp::NeedInput>(action)) {
      input = co_await (*stream)->Read(absl::Seconds(session.patience()));
      if (input.event != net::Ready::kReadable) session.OnLost("end of stream");
      in = input.bytes();
    } else if (const auto* send = std::get_if<smtp::Send>(&action)) {
      const absl::Status sent = co_await (*stream)->Write(send->bytes);
      if (!sent.ok()) session.OnLost(base::ToString(sent));
    } else if (std::holds_alternative<smtp::StartTls>(action)) {
      auto context = net::TlsContext::NewClient(TlsOptions(requirement));
      if (!context.ok()) co_return base::ToString(context.status());
      net::TlsPeer peer{.name = host.name, .dane = {host.tlsa, host.tls_names}};
      if (requirement == Requirement::kDane) peer.name = host.tlsa_base;
      const absl::Status secured =
          co_await (*stream)->StartTlsClient(*context, std::move(peer), absl::Seconds(10));
      if (secured.ok()) {
        session.OnTlsStarted();
      } else {
        session.OnLost(base::ToString(secured));
      }
    } else if (std::holds_alternative<smtp::Ready>(action)) {
      const net::TlsInfo info = (*stream)->tls_info();
      result = "ready " + (info.version.empty() ? "plain" : info.version) + " " +
               std::string(net::PeerVerdictName(info.verdict));
      session.Quit();
    } else if (const auto* failed = std::get_if<smtp::Failed>(&action)) {
      result = "failed " + std::string(net::PeerVerdictName((*stream)->tls_info().verdict)) + ": " +
               failed->failure.what;
    } else {
      break;
    }
  }
  co_return result;
}

base::Task<std::string> Describe(dns::Resolver* resolver, const tls_policy::StsFetcher* fetcher,
                                 std::string domain) {
  const tls_policy::RouteQuery query{domain, static_cast<uint16_t>(absl::GetFlag(FLAGS_port)),
                                     false};
  const auto step = [query](const base::DnsAnswers& answers) {
    return tls_policy::FindRoute(query, answers);
  };
  const Route route = co_await dns::Drive(resolver, step);
  const tls_policy::StsState sts = co_await FindSts(resolver, fetcher, domain);
  const std::vector<HostDecision> decisions = tls_policy::Decide(domain, route, sts);
  std::string out = "{\"domain\": \"" + domain + "\", \"outcome\": \"";
  out += Name(route.outcome);
  out += "\", \"sts\": \"";
  if (sts.policy) out += mtasts::ModeName(sts.policy->policy.mode);
  if (sts.failure != tls_policy::TlsResult::kNone) {
    out += "failed " + std::to_string(static_cast<int>(sts.failure));
  }
  out += "\", \"hosts\": [";
  for (size_t i = 0; i < route.hosts.size(); ++i) {
    std::string session;
    const bool usable = decisions[i].requirement != Requirement::kUnusable;
    if (usable && absl::GetFlag(FLAGS_connect)) {
      session = co_await TrySession(route.hosts[i], decisions[i].requirement);
    }
    out += i == 0 ? "" : ", ";
    out += "{\"name\": \"" + route.hosts[i].name + "\", \"requirement\": \"";
    out += Name(decisions[i].requirement);
    out += "\", \"tlsa\": " + std::to_string(route.hosts[i].tlsa.size()) + ", \"session\": \"" +
           session + "\"}";
  }
  co_return out + "]}";
}

int Run(const std::vector<char*>& domains) {
  dns::CaresOptions options;
  auto server = dns::ParseServer(absl::GetFlag(FLAGS_dns));
  if (!server.ok()) return 2;
  server->trusted = true;
  options.servers = {*server};
  auto resolver = dns::CaresResolver::Create(options);
  if (!resolver.ok()) return 2;
  auto fetcher =
      tls_policy::StsFetcher::Create({.port = static_cast<uint16_t>(absl::GetFlag(FLAGS_sts_port)),
                                      .ca_file = absl::GetFlag(FLAGS_ca),
                                      .timeout = absl::Seconds(10)},
                                     resolver->get());
  if (!fetcher.ok()) return 2;
  net::Reactor reactor;
  for (size_t i = 1; i < domains.size(); ++i) {
    std::printf(
        "%s\n",
        reactor.RunUntilDone(Describe(resolver->get(), fetcher->get(), domains[i])).c_str());
  }
  return 0;
}

}  // namespace
}  // namespace godwit

int main(int argc, char** argv) { return godwit::Run(absl::ParseCommandLine(argc, argv)); }
