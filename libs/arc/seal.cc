#include "libs/arc/seal.h"

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/dkim/tag_folder.h"
#include "libs/dkim/verify.h"

namespace godwit::arc {
namespace {

constexpr int kMaxInstance = 50;
constexpr auto kForm = dkim::Canonicalization::kRelaxed;

std::string_view ValidationName(ResultCode code) {
  switch (code) {
    case ResultCode::kNone: return "none";
    case ResultCode::kPass: return "pass";
    default: return "fail";
  }
}

// §4.1.2: fields of ARC are covered by the seal, and Authentication-Results are replaced by it.
bool MaySign(std::string_view name) {
  const std::string lower = base::Lower(name);
  return !lower.starts_with("arc-") && lower != "authentication-results";
}

}  // namespace

void Sealer::OnHeader(const dkim::HeaderBlock&, dkim::BodyHashes& body) {
  body_hash_ = body.Request(kForm, std::nullopt);
}

std::string Sealer::CommonTags(int instance) const {
  const bool rsa = options_.key.type() == dkim::KeyType::kRsa;
  std::string text = " i=" + std::to_string(instance) + "; a=";
  text += rsa ? "rsa-sha256;" : "ed25519-sha256;";
  if (options_.timestamp) {
    text += " t=" + std::to_string(absl::ToUnixSeconds(*options_.timestamp)) + ";";
  }
  return text;
}

std::vector<std::string> Sealer::FieldNames(const dkim::HeaderBlock& header) const {
  if (!options_.exact_fields.empty()) return options_.exact_fields;
  std::vector<std::string> names;
  for (const std::string& name : options_.headers) {
    names.insert(names.end(), header.Find(name).size(), name);
  }
  return names;
}

absl::StatusOr<std::string> Sealer::MessageSignature(const dkim::MessageStream& message,
                                                     int instance) const {
  dkim::Signature signature;
  signature.header_canonicalization = kForm;
  signature.signed_fields = FieldNames(message.header());
  std::vector<std::string> list;
  for (const std::string& name : signature.signed_fields) {
    if (!MaySign(name)) return base::InvalidArgument(name + " can't be signed for ARC");
    list.push_back((list.empty() ? "" : ":") + name);
  }
  dkim::TagFolder field("ARC-Message-Signature:" + CommonTags(instance));
  field.Tag("c=relaxed/relaxed");
  field.Tag("d=" + options_.domain);
  field.Tag("s=" + options_.selector);
  field.Pieces("h=", list);
  field.Append(";");
  field.Tag("bh=" + base::Base64Encode(message.body().Get(body_hash_).sha256));
  field.Pieces("b=", {});
  GODWIT_ASSIGN_OR_RETURN(const std::string bytes, options_.key.Sign(dkim::SignedHeaderData(
                                                       message.header(), signature, field.text())));
  return dkim::AppendSignatureValue(field.text(), bytes);
}

absl::StatusOr<std::string> Sealer::Seal(const dkim::MessageStream& message,
                                         const ChainChecker& chain, const Result& result,
                                         std::string_view authentication_results) const {
  const int instance = result.instances + 1;
  if (chain.ended()) return base::FailedPrecondition("the chain ended with cv=fail");
  if (instance > kMaxInstance) return base::FailedPrecondition("the chain has 50 sets");
  if (result.code == ResultCode::kTempError) {
    return base::FailedPrecondition("the chain can't be verified now");
  }
  std::string results = "ARC-Authentication-Results: i=" + std::to_string(instance) + "; ";
  results += authentication_results;
  results += "\r\n";
  GODWIT_ASSIGN_OR_RETURN(const std::string signature, MessageSignature(message, instance));
  dkim::TagFolder seal("ARC-Seal:" + CommonTags(instance));
  seal.Tag("cv=" + std::string(ValidationName(result.code)));
  seal.Tag("d=" + options_.domain);
  seal.Tag("s=" + options_.selector);
  seal.Pieces("b=", {});
  // §5.1.2: with cv=fail the seal covers this set alone.
  std::string data;
  if (result.code == ResultCode::kPass) data = chain.CanonicalSets(message.header());
  dkim::AppendCanonicalField(kForm, results, &data);
  data += "\r\n";
  dkim::AppendCanonicalField(kForm, signature, &data);
  data += "\r\n";
  dkim::AppendCanonicalField(kForm, seal.text(), &data);
  GODWIT_ASSIGN_OR_RETURN(const std::string bytes, options_.key.Sign(data));
  return dkim::AppendSignatureValue(seal.text(), bytes) + signature + results;
}

}  // namespace godwit::arc
