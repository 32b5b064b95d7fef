#include "libs/dkim/sign.h"

#include <utility>

#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/dkim/tag_folder.h"
#include "libs/dkim/verify.h"
#include "libs/idna/domain.h"

namespace godwit::dkim {

Signer::Signer(SignOptions options)
    : options_(std::move(options)),
      stream_(options_.max_header_bytes, [this](const HeaderBlock&, BodyHashes& body) {
        body_hash_ = body.Request(options_.body_canonicalization, std::nullopt);
      }) {}

std::vector<std::string> Signer::FieldNames() const {
  if (!options_.exact_fields.empty()) return options_.exact_fields;
  std::vector<std::string> names;
  for (const std::string& name : options_.headers) {
    names.insert(names.end(), stream_.header().Find(name).size(), name);
  }
  names.insert(names.end(), options_.oversign.begin(), options_.oversign.end());
  return names;
}

std::string Signer::UnsignedField(const SigningKey& key,
                                  const std::vector<std::string>& names) const {
  TagFolder field("DKIM-Signature: v=1;");
  field.Tag("a=" + std::string(AlgorithmName(key.key.type())));
  field.Tag("c=" + std::string(CanonicalizationName(options_.header_canonicalization)) + "/" +
            std::string(CanonicalizationName(options_.body_canonicalization)));
  field.Tag("d=" + options_.domain);
  field.Tag("s=" + key.selector);
  if (options_.timestamp) {
    field.Tag("t=" + std::to_string(absl::ToUnixSeconds(*options_.timestamp)));
  }
  if (options_.expiration) {
    field.Tag("x=" + std::to_string(absl::ToUnixSeconds(*options_.expiration)));
  }
  std::vector<std::string> list;
  for (const std::string& name : names) list.push_back((list.empty() ? "" : ":") + name);
  field.Pieces("h=", list);
  field.Append(";");
  field.Tag("bh=" + base::Base64Encode(stream_.body().Get(body_hash_).sha256));
  field.Pieces("b=", {});
  return field.text();
}

absl::Status Signer::Check(const std::vector<SigningKey>& keys) const {
  if (!idna::IsDnsName(options_.domain)) return base::InvalidArgument("domain is no A-label name");
  if (keys.empty()) return base::InvalidArgument("no key to sign with");
  for (const SigningKey& key : keys) {
    if (!idna::IsDnsName(key.selector)) {
      return base::InvalidArgument("selector is no A-label name");
    }
  }
  if (stream_.header_too_large()) return base::ResourceExhausted("header too large to sign");
  // RFC 6376 §5.4: From must be signed. Two of them are no message (RFC 5322 §3.6).
  if (stream_.header().Find("From").size() != 1) {
    return base::FailedPrecondition("a message to sign has one From field");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Signer::Finish(const std::vector<SigningKey>& keys) {
  stream_.End();
  GODWIT_RETURN_IF_ERROR(Check(keys));
  Signature signature;
  signature.header_canonicalization = options_.header_canonicalization;
  signature.signed_fields = FieldNames();
  if (!signature.Signs("From")) return base::InvalidArgument("From must be signed");
  std::string fields;
  for (const SigningKey& key : keys) {
    std::string field = UnsignedField(key, signature.signed_fields);
    const std::string data = SignedHeaderData(stream_.header(), signature, field);
    GODWIT_ASSIGN_OR_RETURN(const std::string bytes, key.key.Sign(data));
    fields += AppendSignatureValue(std::move(field), bytes);
  }
  return fields;
}

}  // namespace godwit::dkim
