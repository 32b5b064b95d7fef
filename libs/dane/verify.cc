#include "libs/dane/verify.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "libs/dane/tlsa.h"

namespace godwit::dane {
namespace {

constexpr size_t kMostCertificates = 10;
constexpr size_t kMostRecords = 20;

bssl::UniquePtr<X509> Parse(std::string_view der) {
  const auto* data = reinterpret_cast<const uint8_t*>(der.data());
  bssl::UniquePtr<X509> parsed(d2i_X509(nullptr, &data, static_cast<long>(der.size())));
  ERR_clear_error();
  return parsed;
}

VerdictCode CodeOf(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return VerdictCode::kExpired;
    case X509_V_ERR_HOSTNAME_MISMATCH: return VerdictCode::kHostMismatch;
    default: return VerdictCode::kUntrusted;
  }
}

void SetNames(const std::vector<std::string>& names, X509_VERIFY_PARAM* param) {
  // RFC 7672 §3.2.3: "*" stands for a whole first label. The subject's name counts only where there
  // is no DNS name, which is the library's way.
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  for (const std::string& name : names) {
    X509_VERIFY_PARAM_add1_host(param, name.data(), name.size());
  }
}

// The chain from its first certificate to `anchor`, which is believed (RFC 7671 §5.2).
Verdict VerifyTo(X509* anchor, const std::vector<bssl::UniquePtr<X509>>& chain,
                 const std::vector<std::string>& names, absl::Time now) {
  bssl::UniquePtr<X509_STORE> store(X509_STORE_new());
  bssl::UniquePtr<STACK_OF(X509)> untrusted(sk_X509_new_null());
  bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  Verdict verdict{VerdictCode::kUntrusted, "", "no memory"};
  if (!store || !untrusted || !context || !X509_STORE_add_cert(store.get(), anchor)) return verdict;
  for (size_t i = 1; i < chain.size(); ++i) {
    bssl::PushToStack(untrusted.get(), bssl::UpRef(chain[i]));
  }
  if (!X509_STORE_CTX_init(context.get(), store.get(), chain[0].get(), untrusted.get())) {
    return verdict;
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
  // The anchor may be an intermediate authority.
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(absl::ToUnixSeconds(now)));
  SetNames(names, param);
  const bool ok = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (ok) return {VerdictCode::kMatched, "", ""};
  return {CodeOf(error), "", X509_verify_cert_error_string(error)};
}

// RFC 7671 §5.2: an authority above the first certificate, or the record itself where it holds the
// whole certificate.
Verdict TryAnchor(const base::DnsTlsa& record, const Reference& reference,
                  const std::vector<std::string>& chain,
                  const std::vector<bssl::UniquePtr<X509>>& parsed, absl::Time now) {
  Verdict best;
  for (size_t i = 1; i < parsed.size(); ++i) {
    if (!Matches(record, chain[i])) continue;
    best = VerifyTo(parsed[i].get(), parsed, reference.names, now);
    if (best.code == VerdictCode::kMatched) return best;
  }
  const bool whole = record.selector == kCert && record.matching == kFull;
  if (best.code == VerdictCode::kNoMatch && whole && record.data != chain[0]) {
    const auto anchor = Parse(record.data);
    if (!anchor) return best;
    Verdict verdict = VerifyTo(anchor.get(), parsed, reference.names, now);
    // Without the certificate in the chain, an anchor that leads nowhere is just another record.
    if (verdict.code != VerdictCode::kUntrusted) best = std::move(verdict);
  }
  return best;
}

}  // namespace

std::string_view VerdictName(VerdictCode code) {
  switch (code) {
    case VerdictCode::kMatched: return "matched";
    case VerdictCode::kNoMatch: return "no-match";
    case VerdictCode::kExpired: return "expired";
    case VerdictCode::kHostMismatch: return "host-mismatch";
    case VerdictCode::kUntrusted: return "untrusted";
    case VerdictCode::kNoUsableRecord: return "no-usable-record";
    case VerdictCode::kBadCertificate: return "bad-certificate";
  }
  return "";
}

Verdict Verify(const Reference& reference, const std::vector<std::string>& chain, absl::Time now) {
  std::vector<base::DnsTlsa> records = Usable(reference.records);
  if (records.size() > kMostRecords) records.resize(kMostRecords);
  if (records.empty()) return {VerdictCode::kNoUsableRecord, "", "no usable TLSA record"};
  std::vector<bssl::UniquePtr<X509>> parsed;
  for (const std::string& der : chain) {
    auto certificate = parsed.size() < kMostCertificates ? Parse(der) : nullptr;
    if (!certificate) break;
    parsed.push_back(std::move(certificate));
  }
  if (parsed.empty()) return {VerdictCode::kBadCertificate, "", "no certificate that parses"};

  // RFC 7671 §5.1: for usage 3 neither names nor dates nor the rest of the chain count.
  for (const base::DnsTlsa& record : records) {
    if (record.usage != kDaneEe || !Matches(record, chain[0])) continue;
    return {VerdictCode::kMatched, ToString(record), ""};
  }
  Verdict best{VerdictCode::kNoMatch, "", "no TLSA record matches the certificates"};
  for (const base::DnsTlsa& record : records) {
    if (record.usage != kDaneTa) continue;
    Verdict verdict = TryAnchor(record, reference, chain, parsed, now);
    if (verdict.code == VerdictCode::kNoMatch) continue;
    best = std::move(verdict);
    best.record = ToString(record);
    if (best.code == VerdictCode::kMatched) return best;
  }
  return best;
}

}  // namespace godwit::dane
