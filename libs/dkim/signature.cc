#include "libs/dkim/signature.h"

#include <algorithm>
#include <limits>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/dkim/tag_list.h"
#include "libs/idna/domain.h"

namespace godwit::dkim {
namespace {

constexpr int kMaxInstance = 50;  // RFC 8617 §4.2.1

// Without FWS anywhere: tag values that are lists may have it around every ":".
std::string WithoutWhiteSpace(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (!base::IsWsp(c) && c != '\r' && c != '\n') result.push_back(c);
  }
  return result;
}

absl::Status Missing(std::string_view tag) {
  return base::InvalidArgument("no " + std::string(tag) + "= tag");
}

absl::Status Bad(std::string_view tag) {
  return base::InvalidArgument("bad value of " + std::string(tag) + "=");
}

Algorithm AlgorithmByName(std::string_view name) {
  if (name == "rsa-sha256") return Algorithm::kRsaSha256;
  if (name == "ed25519-sha256") return Algorithm::kEd25519Sha256;
  if (name == "rsa-sha1") return Algorithm::kRsaSha1;
  return Algorithm::kUnknown;
}

std::optional<Canonicalization> CanonicalizationByName(std::string_view name) {
  if (name == "simple") return Canonicalization::kSimple;
  if (name == "relaxed") return Canonicalization::kRelaxed;
  return std::nullopt;
}

absl::Status ReadCanonicalization(const Tag* tag, Signature* signature) {
  if (tag == nullptr) return absl::OkStatus();
  const std::string text = WithoutWhiteSpace(tag->value);
  const size_t slash = text.find('/');
  const auto header = CanonicalizationByName(text.substr(0, slash));
  // RFC 6376 §3.5: without a second name the body is "simple".
  const auto body = slash == text.npos ? Canonicalization::kSimple
                                       : CanonicalizationByName(text.substr(slash + 1));
  if (!header || !body) return Bad("c");
  signature->header_canonicalization = *header;
  signature->body_canonicalization = *body;
  return absl::OkStatus();
}

absl::Status ReadDomain(const TagList& tags, std::string_view name, std::string* out) {
  const Tag* tag = tags.Find(name);
  if (tag == nullptr) return Missing(name);
  // RFC 8616 §4: U-labels may stand in d= and s=.
  std::optional<std::string> ascii = idna::ToAscii(tag->value);
  if (!ascii || ascii->find_first_of(" \t\r\n:/@") != ascii->npos) return Bad(name);
  *out = *std::move(ascii);
  return absl::OkStatus();
}

absl::Status ReadSignedFields(const TagList& tags, Signature* signature) {
  const Tag* tag = tags.Find("h");
  if (tag == nullptr) return Missing("h");
  for (const std::string_view piece : base::Split(tag->value, ':')) {
    const std::string_view name = base::Trim(piece);
    // RFC 5322 §2.2: a field name has printable ASCII but no colon.
    if (name.empty() || name.find_first_of(" \t\r\n") != name.npos) return Bad("h");
    signature->signed_fields.emplace_back(name);
  }
  return absl::OkStatus();
}

int HexDigit(char c) {
  if (base::IsDigit(c)) return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// RFC 6376 §2.11.
std::optional<std::string> DecodeQuotedPrintable(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      result.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    result.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return result;
}

absl::Status ReadIdentity(const Tag* tag, Signature* signature) {
  signature->identity = "@" + signature->domain;
  signature->identity_domain = signature->domain;
  if (tag == nullptr) return absl::OkStatus();
  const auto decoded = DecodeQuotedPrintable(WithoutWhiteSpace(tag->value));
  if (!decoded) return Bad("i");
  const size_t at = decoded->rfind('@');
  if (at == decoded->npos) return Bad("i");
  const auto domain = idna::ToAscii(std::string_view(*decoded).substr(at + 1));
  if (!domain) return Bad("i");
  signature->identity = *decoded;
  signature->identity_domain = *domain;
  return absl::OkStatus();
}

// RFC 6376 §3.5: t= and x= have at most 12 digits; l= up to 76, of which we keep 64 bits.
absl::Status ReadTime(const TagList& tags, std::string_view name, std::optional<absl::Time>* out) {
  const Tag* tag = tags.Find(name);
  if (tag == nullptr) return absl::OkStatus();
  const auto seconds = tag->value.size() > 12 ? std::nullopt : base::ParseDecimal(tag->value);
  if (!seconds) return Bad(name);
  *out = absl::FromUnixSeconds(static_cast<int64_t>(*seconds));
  return absl::OkStatus();
}

absl::Status ReadLength(const Tag* tag, Signature* signature) {
  if (tag == nullptr) return absl::OkStatus();
  const bool digits = !tag->value.empty() && tag->value.size() <= 76 &&
                      std::all_of(tag->value.begin(), tag->value.end(), base::IsDigit);
  if (!digits) return Bad("l");
  // More than fits in 64 bits is more than any message has.
  signature->body_length =
      base::ParseDecimal(tag->value).value_or(std::numeric_limits<uint64_t>::max());
  return absl::OkStatus();
}

absl::Status ReadQueryMethods(const Tag* tag, Signature* signature) {
  if (tag == nullptr) return absl::OkStatus();
  signature->dns_txt = false;
  for (const std::string_view piece : base::Split(tag->value, ':')) {
    const std::string_view method = base::Trim(piece);
    if (method.empty()) return Bad("q");
    signature->dns_txt = signature->dns_txt || base::EqualsIgnoreCase(method, "dns/txt");
  }
  return absl::OkStatus();
}

absl::Status ReadHashes(const TagList& tags, Signature* signature) {
  if (tags.Find("b") == nullptr) return Missing("b");
  if (tags.Find("bh") == nullptr) return Missing("bh");
  auto signature_bytes = DecodeBase64String(tags.Value("b"));
  if (!signature_bytes.ok() || signature_bytes->empty()) return Bad("b");
  auto body_hash = DecodeBase64String(tags.Value("bh"));
  if (!body_hash.ok() || body_hash->empty()) return Bad("bh");
  signature->signature = *std::move(signature_bytes);
  signature->b_text = WithoutWhiteSpace(tags.Value("b"));
  signature->body_hash = *std::move(body_hash);
  return absl::OkStatus();
}

// What only one of the two forms has.
absl::Status ReadFormTags(const TagList& tags, SignatureForm form, Signature* signature) {
  if (form == SignatureForm::kDkim) {
    if (tags.Find("v") == nullptr) return Missing("v");
    // RFC 6376 §3.5: a string comparison.
    if (tags.Value("v") != "1") return Bad("v");
    return ReadIdentity(tags.Find("i"), signature);
  }
  // RFC 8617 §4.1.2: no v=, and i= is the instance.
  if (tags.Find("i") == nullptr) return Missing("i");
  const auto instance = base::ParseDecimal(tags.Value("i"));
  if (!instance || *instance < 1 || *instance > kMaxInstance) return Bad("i");
  signature->instance = static_cast<int>(*instance);
  signature->identity = "@" + signature->domain;
  signature->identity_domain = signature->domain;
  return absl::OkStatus();
}

absl::Status CheckTimes(const Signature& signature) {
  // RFC 6376 §3.5: x= must be greater than t= when both are there.
  if (signature.timestamp && signature.expiration &&
      *signature.expiration <= *signature.timestamp) {
    return base::InvalidArgument("x= is not after t=");
  }
  return absl::OkStatus();
}

}  // namespace

bool Signature::Signs(std::string_view field_name) const {
  return std::any_of(signed_fields.begin(), signed_fields.end(), [&](const std::string& name) {
    return base::EqualsIgnoreCase(name, field_name);
  });
}

absl::StatusOr<std::string> DecodeBase64String(std::string_view text) {
  return base::Base64Decode(WithoutWhiteSpace(text));
}

absl::StatusOr<Signature> ParseSignature(std::string_view value, SignatureForm form) {
  GODWIT_ASSIGN_OR_RETURN(const TagList tags, TagList::Parse(value));
  Signature signature;
  const Tag* algorithm = tags.Find("a");
  if (algorithm == nullptr) return Missing("a");
  signature.algorithm_text = std::string(algorithm->value.substr(0, 64));
  signature.algorithm = AlgorithmByName(base::Lower(algorithm->value));
  GODWIT_RETURN_IF_ERROR(ReadDomain(tags, "d", &signature.domain));
  GODWIT_RETURN_IF_ERROR(ReadDomain(tags, "s", &signature.selector));
  GODWIT_RETURN_IF_ERROR(ReadFormTags(tags, form, &signature));
  GODWIT_RETURN_IF_ERROR(ReadHashes(tags, &signature));
  GODWIT_RETURN_IF_ERROR(ReadSignedFields(tags, &signature));
  GODWIT_RETURN_IF_ERROR(ReadCanonicalization(tags.Find("c"), &signature));
  GODWIT_RETURN_IF_ERROR(ReadLength(tags.Find("l"), &signature));
  GODWIT_RETURN_IF_ERROR(ReadQueryMethods(tags.Find("q"), &signature));
  GODWIT_RETURN_IF_ERROR(ReadTime(tags, "t", &signature.timestamp));
  GODWIT_RETURN_IF_ERROR(ReadTime(tags, "x", &signature.expiration));
  GODWIT_RETURN_IF_ERROR(CheckTimes(signature));
  return signature;
}

std::string WithoutSignatureValue(std::string_view raw) {
  if (raw.ends_with("\r\n")) raw.remove_suffix(2);
  const size_t colon = raw.find(':');
  const size_t offset = colon == raw.npos ? raw.size() : colon + 1;
  const auto tags = TagList::Parse(raw.substr(offset));
  const Tag* tag = tags.ok() ? tags->Find("b") : nullptr;
  if (tag == nullptr) return std::string(raw);
  std::string result(raw.substr(0, offset + tag->begin));
  result += raw.substr(offset + tag->end);
  return result;
}

}  // namespace godwit::dkim
