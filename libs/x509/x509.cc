#include "libs/x509/x509.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/ip_address.h"
#include "libs/base/status.h"

namespace godwit::x509 {
namespace {

// RFC 5280 §4.1.2.2: positive and at most 20 octets; what can't be guessed has 64 bits and more.
constexpr size_t kSerialOctets = 16;
// RFC 5280 appendix A.1: ub-common-name and ub-organization-name.
constexpr size_t kLongestName = 64;
constexpr size_t kLongestDnsName = 253;

absl::Status Failed(std::string_view what) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  std::string text(what);
  text += ": ";
  text += reason != nullptr ? reason : "unknown reason";
  return base::InvalidArgument(text);
}

bssl::UniquePtr<BIO> Reading(std::string_view text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Contents(BIO* bio) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!BIO_mem_contents(bio, &data, &size)) return "";
  return {reinterpret_cast<const char*>(data), size};
}

// What we write never asks for a password.
int NoPassword(char*, int, int, void*) { return -1; }

absl::StatusOr<bssl::UniquePtr<X509>> ParseCertificate(std::string_view pem) {
  const auto bio = Reading(pem);
  bssl::UniquePtr<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  if (!certificate) return Failed("no certificate in PEM form");
  return certificate;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ParseKey(std::string_view pem) {
  const auto bio = Reading(pem);
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (!key) return Failed("no private key in PEM form");
  return key;
}

absl::StatusOr<std::string> ToPem(X509* certificate) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (!PEM_write_bio_X509(bio.get(), certificate)) return Failed("can not write a certificate");
  return Contents(bio.get());
}

bool AddText(X509_NAME* name, const char* field, std::string_view value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const uint8_t*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

// `value` is our own constant text.
bool AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, const_cast<char*>(value)));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool IsDnsName(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  return !name.empty() && name.size() <= kLongestDnsName && name.front() != '.' &&
         name.back() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
           return base::IsAlnum(c) || c == '-' || c == '.' || c == '_';
         });
}

bssl::UniquePtr<GENERAL_NAME> ToGeneralName(const std::string& name) {
  const auto address = base::IpAddress::Parse(name);
  const std::string_view value = address ? address->bytes() : std::string_view(name);
  bssl::UniquePtr<GENERAL_NAME> made(GENERAL_NAME_new());
  bssl::UniquePtr<ASN1_STRING> text(
      ASN1_STRING_type_new(address ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING));
  if (!made || !text ||
      !ASN1_STRING_set(text.get(), value.data(), static_cast<int>(value.size()))) {
    return nullptr;
  }
  GENERAL_NAME_set0_value(made.get(), address ? GEN_IPADD : GEN_DNS, text.release());
  return made;
}

// RFC 5280 §4.2.1.6.
absl::Status AddAlternativeNames(X509* certificate, const std::vector<std::string>& names) {
  bssl::UniquePtr<GENERAL_NAMES> all(sk_GENERAL_NAME_new_null());
  for (const std::string& name : names) {
    if (!base::IpAddress::Parse(name) && !IsDnsName(name)) {
      return base::InvalidArgument("\"" + name + "\" is neither a DNS name nor an address");
    }
    bssl::UniquePtr<GENERAL_NAME> made = ToGeneralName(name);
    if (!made || !bssl::PushToStack(all.get(), std::move(made))) return Failed(name);
  }
  if (!X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, 0)) {
    return Failed("subject alternative names");
  }
  return absl::OkStatus();
}

absl::Status SetSerial(X509* certificate, base::RandomSource* random) {
  std::string bytes = random->Bytes(kSerialOctets);
  // Positive, and of full length.
  bytes[0] = static_cast<char>((bytes[0] & 0x3f) | 0x40);
  bssl::UniquePtr<BIGNUM> number(
      BN_bin2bn(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), nullptr));
  bssl::UniquePtr<ASN1_INTEGER> serial(number ? BN_to_ASN1_INTEGER(number.get(), nullptr)
                                              : nullptr);
  if (!serial || !X509_set_serialNumber(certificate, serial.get())) return Failed("serial number");
  return absl::OkStatus();
}

// Version 3 with serial number, dates and key; neither names nor extensions.
absl::StatusOr<bssl::UniquePtr<X509>> Begin(absl::Time not_before, absl::Time not_after,
                                            EVP_PKEY* key, base::RandomSource* random) {
  if (not_after <= not_before) return base::InvalidArgument("it ends before it begins");
  bssl::UniquePtr<X509> made(X509_new());
  GODWIT_RETURN_IF_ERROR(SetSerial(made.get(), random));
  // RFC 5280 §4.1.2.5: UTCTime through 2049, which ASN1_TIME_set sees to.
  if (!X509_set_version(made.get(), X509_VERSION_3) ||
      !ASN1_TIME_set(X509_getm_notBefore(made.get()), absl::ToTimeT(not_before)) ||
      !ASN1_TIME_set(X509_getm_notAfter(made.get()), absl::ToTimeT(not_after)) ||
      !X509_set_pubkey(made.get(), key)) {
    return Failed("a new certificate");
  }
  return made;
}

// RFC 5280 §4.1.2.5: seconds since 1970 of a time that parsed.
absl::Time ToTime(const ASN1_TIME* time) {
  bssl::UniquePtr<ASN1_TIME> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (!ASN1_TIME_diff(&days, &seconds, epoch.get(), time)) return absl::UnixEpoch();
  return absl::UnixEpoch() + absl::Hours(24) * days + absl::Seconds(seconds);
}

std::vector<std::string> NamesOf(X509* certificate) {
  std::vector<std::string> names;
  bssl::UniquePtr<GENERAL_NAMES> all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!all) return names;
  for (const GENERAL_NAME* each : all.get()) {
    if (each->type != GEN_DNS && each->type != GEN_IPADD) continue;
    const ASN1_STRING* value = each->type == GEN_DNS ? each->d.dNSName : each->d.iPAddress;
    const std::string_view bytes(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                                 static_cast<size_t>(ASN1_STRING_length(value)));
    if (each->type == GEN_DNS) {
      names.emplace_back(bytes);
    } else if (const auto address = base::IpAddress::FromBytes(bytes)) {
      names.push_back(address->ToString());
    }
  }
  return names;
}

std::string SerialOf(const X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  return base::HexEncode(
      std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
                       static_cast<size_t>(ASN1_STRING_length(serial))));
}

std::string PublicKeySha256(X509* certificate) {
  bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(certificate));
  uint8_t* der = nullptr;
  const int size = key ? i2d_PUBKEY(key.get(), &der) : -1;
  if (size < 0) return "";
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<size_t>(size), digest);
  OPENSSL_free(der);
  return {reinterpret_cast<const char*>(digest), sizeof digest};
}

std::string CommonNameOf(X509* certificate) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return "";
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

}  // namespace

absl::StatusOr<base::Secret> NewKey() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (!ec || !EC_KEY_generate_key(ec.get()) || !EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) ||
      !PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr)) {
    return Failed("a new key");
  }
  std::string pem = Contents(bio.get());
  base::Secret secret(pem);
  OPENSSL_cleanse(pem.data(), pem.size());
  return secret;
}

absl::StatusOr<Authority> NewAuthority(const AuthorityOptions& options,
                                       base::RandomSource* random) {
  if (options.common_name.empty() || options.common_name.size() > kLongestName ||
      options.organization.size() > kLongestName) {
    return base::InvalidArgument("an authority's name has 1 to 64 octets");
  }
  Authority authority;
  GODWIT_ASSIGN_OR_RETURN(authority.key_pem, NewKey());
  GODWIT_ASSIGN_OR_RETURN(const auto key, ParseKey(authority.key_pem.Reveal()));
  GODWIT_ASSIGN_OR_RETURN(const auto made,
                          Begin(options.not_before, options.not_after, key.get(), random));
  X509_NAME* subject = X509_get_subject_name(made.get());
  const bool named =
      (options.organization.empty() || AddText(subject, "O", options.organization)) &&
      AddText(subject, "CN", options.common_name) && X509_set_issuer_name(made.get(), subject);
  // RFC 5280 §4.2.1.9 and §4.2.1.3: it signs certificates, and none of another authority.
  if (!named ||
      !AddExtension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(made.get(), made.get(), NID_subject_key_identifier, "hash") ||
      !X509_sign(made.get(), key.get(), EVP_sha256())) {
    return Failed("a new authority");
  }
  GODWIT_ASSIGN_OR_RETURN(authority.certificate_pem, ToPem(made.get()));
  return authority;
}

absl::StatusOr<std::string> Issue(const Authority& authority, const base::Secret& key_pem,
                                  const LeafOptions& options, base::RandomSource* random) {
  if (options.names.empty()) return base::InvalidArgument("a certificate needs a name");
  GODWIT_ASSIGN_OR_RETURN(const auto issuer, ParseCertificate(authority.certificate_pem));
  GODWIT_ASSIGN_OR_RETURN(const auto issuer_key, ParseKey(authority.key_pem.Reveal()));
  GODWIT_ASSIGN_OR_RETURN(const auto key, ParseKey(key_pem.Reveal()));
  GODWIT_ASSIGN_OR_RETURN(const auto leaf,
                          Begin(options.not_before, options.not_after, key.get(), random));
  // A longer name than a CN may have stands in the alternative names only.
  const std::string& first = options.names.front();
  if ((first.size() <= kLongestName && !AddText(X509_get_subject_name(leaf.get()), "CN", first)) ||
      !X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer.get()))) {
    return Failed(first);
  }
  GODWIT_RETURN_IF_ERROR(AddAlternativeNames(leaf.get(), options.names));
  if (!AddExtension(leaf.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(leaf.get(), issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(leaf.get(), issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth") ||
      !AddExtension(leaf.get(), issuer.get(), NID_subject_key_identifier, "hash") ||
      !AddExtension(leaf.get(), issuer.get(), NID_authority_key_identifier, "keyid") ||
      !X509_sign(leaf.get(), issuer_key.get(), EVP_sha256())) {
    return Failed("a certificate for " + first);
  }
  return ToPem(leaf.get());
}

absl::StatusOr<Description> Describe(std::string_view pem) {
  GODWIT_ASSIGN_OR_RETURN(const auto certificate, ParseCertificate(pem));
  Description description;
  description.common_name = CommonNameOf(certificate.get());
  description.names = NamesOf(certificate.get());
  description.serial = SerialOf(certificate.get());
  description.not_before = ToTime(X509_get0_notBefore(certificate.get()));
  description.not_after = ToTime(X509_get0_notAfter(certificate.get()));
  description.is_authority = X509_check_ca(certificate.get()) == 1;
  description.public_key_sha256 = PublicKeySha256(certificate.get());
  return description;
}

absl::Status CheckIssuer(std::string_view leaf_pem, std::string_view authority_pem) {
  GODWIT_ASSIGN_OR_RETURN(const auto leaf, ParseCertificate(leaf_pem));
  GODWIT_ASSIGN_OR_RETURN(const auto authority, ParseCertificate(authority_pem));
  bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(authority.get()));
  const bool ok = key && X509_check_issued(authority.get(), leaf.get()) == X509_V_OK &&
                  X509_verify(leaf.get(), key.get()) == 1;
  return ok ? absl::OkStatus() : Failed("the certificate is not of this authority");
}

absl::Status CheckKey(std::string_view certificate_pem, std::string_view key_pem) {
  GODWIT_ASSIGN_OR_RETURN(const auto certificate, ParseCertificate(certificate_pem));
  GODWIT_ASSIGN_OR_RETURN(const auto key, ParseKey(key_pem));
  if (X509_check_private_key(certificate.get(), key.get()) == 1) return absl::OkStatus();
  return Failed("the key is not of this certificate");
}

}  // namespace godwit::x509
