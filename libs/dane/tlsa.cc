#include "libs/dane/tlsa.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>

#include "libs/base/encoding.h"

namespace godwit::dane {
namespace {

CBS ToCbs(std::string_view bytes) {
  CBS cbs;
  CBS_init(&cbs, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return cbs;
}

std::string_view ToView(const CBS& cbs) {
  return {reinterpret_cast<const char*>(CBS_data(&cbs)), CBS_len(&cbs)};
}

std::string Digest(uint8_t matching, std::string_view bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  uint8_t digest[SHA512_DIGEST_LENGTH];
  if (matching == kSha256) {
    SHA256(data, bytes.size(), digest);
    return std::string(reinterpret_cast<const char*>(digest), SHA256_DIGEST_LENGTH);
  }
  SHA512(data, bytes.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), SHA512_DIGEST_LENGTH);
}

bool IsCertificate(std::string_view der) {
  const auto* data = reinterpret_cast<const uint8_t*>(der.data());
  const uint8_t* const end = data + der.size();
  bssl::UniquePtr<X509> parsed(d2i_X509(nullptr, &data, static_cast<long>(der.size())));
  return parsed != nullptr && data == end;
}

bool IsPublicKey(std::string_view der) {
  CBS cbs = ToCbs(der);
  bssl::UniquePtr<EVP_PKEY> key(EVP_parse_public_key(&cbs));
  return key != nullptr && CBS_len(&cbs) == 0;
}

}  // namespace

bool IsUsable(const base::DnsTlsa& record) {
  // RFC 7672 §3.1.3: PKIX-TA(0) and PKIX-EE(1) say nothing about a mail server.
  if (record.usage != kDaneTa && record.usage != kDaneEe) return false;
  if (record.selector != kCert && record.selector != kSpki) return false;
  switch (record.matching) {
    case kFull:
      return record.selector == kCert ? IsCertificate(record.data) : IsPublicKey(record.data);
    case kSha256: return record.data.size() == SHA256_DIGEST_LENGTH;
    case kSha512: return record.data.size() == SHA512_DIGEST_LENGTH;
    default: return false;
  }
}

std::vector<base::DnsTlsa> Usable(const std::vector<base::DnsTlsa>& records) {
  std::vector<base::DnsTlsa> usable;
  std::copy_if(records.begin(), records.end(), std::back_inserter(usable), IsUsable);
  const auto outdone = [all = usable](const base::DnsTlsa& record) {
    return record.matching == kSha256 &&
           std::any_of(all.begin(), all.end(), [&](const base::DnsTlsa& other) {
             return other.usage == record.usage && other.selector == record.selector &&
                    other.matching == kSha512;
           });
  };
  usable.erase(std::remove_if(usable.begin(), usable.end(), outdone), usable.end());
  return usable;
}

std::string_view PublicKeyInfo(std::string_view certificate_der) {
  CBS outer = ToCbs(certificate_der);
  CBS certificate;
  CBS tbs;
  CBS key;
  // RFC 5280 §4.1: TBSCertificate is version [0], serialNumber, signature, issuer, validity,
  // subject, subjectPublicKeyInfo, ...
  const bool ok = CBS_get_asn1(&outer, &certificate, CBS_ASN1_SEQUENCE) && CBS_len(&outer) == 0 &&
                  CBS_get_asn1(&certificate, &tbs, CBS_ASN1_SEQUENCE) &&
                  CBS_get_optional_asn1(&tbs, nullptr, nullptr,
                                        CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED) &&
                  CBS_get_asn1(&tbs, nullptr, CBS_ASN1_INTEGER) &&
                  CBS_get_asn1(&tbs, nullptr, CBS_ASN1_SEQUENCE) &&
                  CBS_get_asn1(&tbs, nullptr, CBS_ASN1_SEQUENCE) &&
                  CBS_get_asn1(&tbs, nullptr, CBS_ASN1_SEQUENCE) &&
                  CBS_get_asn1(&tbs, nullptr, CBS_ASN1_SEQUENCE) &&
                  CBS_get_asn1_element(&tbs, &key, CBS_ASN1_SEQUENCE);
  return ok ? ToView(key) : std::string_view();
}

bool Matches(const base::DnsTlsa& record, std::string_view certificate_der) {
  std::string_view selected = certificate_der;
  if (record.selector == kSpki) selected = PublicKeyInfo(certificate_der);
  if (selected.empty() || record.selector > kSpki || record.matching > kSha512) return false;
  if (record.matching == kFull) return selected == record.data;
  return Digest(record.matching, selected) == record.data;
}

std::string ToString(const base::DnsTlsa& record) {
  return std::to_string(record.usage) + " " + std::to_string(record.selector) + " " +
         std::to_string(record.matching) + " " + base::HexEncode(record.data);
}

}  // namespace godwit::dane
