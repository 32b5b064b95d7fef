#include "services/tls-policy/sts_fetch.h"

#include <utility>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dns/drive.h"
#include "libs/net/reactor.h"

namespace godwit::tls_policy {
namespace {

// Addresses that are tried, one after the other.
constexpr size_t kMostTries = 4;

StsFailure FailureOf(const absl::Status& status) {
  // net::Fetch: FailedPrecondition is TLS, the certificate above all.
  const bool tls = status.code() == absl::StatusCode::kFailedPrecondition;
  const bool size = status.code() == absl::StatusCode::kResourceExhausted;
  StsFailure failure;
  if (tls) failure.result = TlsResult::kStsWebPkiInvalid;
  if (size) failure.result = TlsResult::kStsPolicyInvalid;
  failure.reason = base::ToString(status);
  return failure;
}

bool IsPlainText(std::string_view content_type) {
  return base::EqualsIgnoreCase(base::Trim(content_type.substr(0, content_type.find(';'))),
                                "text/plain");
}

}  // namespace

StsFetched ReadStsResponse(const net::HttpResponse& response) {
  // RFC 8461 §3.3: 200 and nothing else; redirects are not followed.
  if (response.status != 200) {
    return StsFailure{TlsResult::kStsFetchError, "HTTP status " + std::to_string(response.status)};
  }
  // §3.2: text/plain, so that what users can put on a web server is no policy.
  if (!IsPlainText(response.field("Content-Type"))) {
    return StsFailure{TlsResult::kStsPolicyInvalid, "the policy is not text/plain"};
  }
  auto policy = mtasts::ParsePolicy(response.body);
  if (!policy.ok()) {
    return StsFailure{TlsResult::kStsPolicyInvalid, base::ToString(policy.status())};
  }
  return *std::move(policy);
}

absl::StatusOr<std::unique_ptr<StsFetcher>> StsFetcher::Create(StsFetchOptions options,
                                                               dns::Resolver* resolver) {
  net::TlsClientOptions tls_options;
  tls_options.verification = net::ServerVerification::kHostName;
  if (!options.ca_file.empty()) tls_options.ca_file = options.ca_file;
  GODWIT_ASSIGN_OR_RETURN(auto tls, net::TlsContext::NewClient(std::move(tls_options)));
  return std::unique_ptr<StsFetcher>(new StsFetcher(std::move(options), std::move(tls), resolver));
}

base::Task<StsFetched> StsFetcher::Fetch(std::string domain) const {
  const std::string host = "mta-sts." + domain;
  std::vector<base::DnsQuestion> questions = {{host, base::DnsType::kA},
                                              {host, base::DnsType::kAaaa}};
  const std::vector<base::DnsAnswer> answers =
      co_await dns::ResolveAll(resolver_, std::move(questions));
  std::vector<base::IpAddress> addresses;
  for (const auto& answer : answers) {
    addresses.insert(addresses.end(), answer.addresses.begin(), answer.addresses.end());
  }
  if (addresses.empty()) {
    co_return StsFailure{TlsResult::kStsFetchError, "no address of " + host};
  }
  if (addresses.size() > kMostTries) addresses.resize(kMostTries);
  StsFailure last;
  const absl::Duration end = net::Reactor::Current()->Now() + options_.timeout;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const base::IpAddress& address = addresses[i];
    // What an address leaves over is shared by those behind it.
    const absl::Duration left = end - net::Reactor::Current()->Now();
    if (left <= absl::ZeroDuration()) break;
    net::FetchOptions fetch;
    fetch.url = "https://" + host;
    if (options_.port != 443) fetch.url += ":" + std::to_string(options_.port);
    fetch.url += "/.well-known/mta-sts.txt";
    fetch.to = {address, options_.port};
    fetch.tls = tls_;
    fetch.timeout = left / static_cast<int64_t>(addresses.size() - i);
    fetch.limits.body_bytes = mtasts::kMostPolicyBytes;
    const auto response = co_await net::Fetch(std::move(fetch));
    if (response.ok()) co_return ReadStsResponse(*response);
    last = FailureOf(response.status());
    // What the certificate of one address says, another of the same name will not better.
    if (!base::IsRetryable(response.status())) break;
  }
  co_return last;
}

}  // namespace godwit::tls_policy
