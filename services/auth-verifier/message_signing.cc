#include "services/auth-verifier/message_signing.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/dmarc/author.h"
#include "libs/idna/domain.h"
#include "libs/mime/header.h"

namespace godwit::auth_verifier {
namespace {

dkim::SignOptions SignerOptions(const SigningOptions& options, const base::Clock* clock,
                                std::string domain, absl::Time leaves) {
  dkim::SignOptions signer;
  signer.domain = std::move(domain);
  signer.max_header_bytes = options.header_bytes;
  signer.timestamp = clock->Now();
  if (options.lifetime > absl::ZeroDuration()) {
    signer.expiration = std::max(*signer.timestamp, leaves) + options.lifetime;
  }
  return signer;
}

bool HasBareLineEnd(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return true;
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::string> AddressDomain(std::string_view address) {
  const size_t at = address.rfind('@');
  if (at == std::string_view::npos || at == 0) return base::InvalidArgument("not an address");
  const auto domain = idna::ToAscii(address.substr(at + 1));
  if (!domain) return base::InvalidArgument("not the address of a domain");
  return *domain;
}

absl::Status CheckLineEnds(std::string_view header) {
  if (HasBareLineEnd(header)) return base::InvalidArgument("bare CR or LF in the header");
  if (header.find('\0') != header.npos) return base::InvalidArgument("NUL in the header");
  return absl::OkStatus();
}

absl::Status CheckHeader(const dkim::HeaderBlock& header, std::string_view domain) {
  GODWIT_RETURN_IF_ERROR(CheckLineEnds(header.bytes()));
  for (size_t i = 0; i < header.size(); ++i) {
    // RFC 5322 §2.2: another server may take a line without a name for the end of the header.
    if (!mime::IsFieldName(header.name(i))) return base::InvalidArgument("a line that is no field");
  }
  const std::vector<size_t> from = header.Find("From");
  if (from.size() != 1) return base::InvalidArgument("not exactly one From field");
  const auto authors = dmarc::FromDomains(header.value(from[0]));
  if (!authors.ok()) return base::Annotate(authors.status(), "From");
  if (std::find(authors->begin(), authors->end(), domain) == authors->end()) {
    return base::InvalidArgument("From does not name the domain to sign for");
  }
  return absl::OkStatus();
}

MessageSigning::MessageSigning(const SigningOptions& options, const base::Clock* clock,
                               std::string domain, absl::Time leaves)
    : domain_(std::move(domain)), signer_(SignerOptions(options, clock, domain_, leaves)) {}

absl::StatusOr<std::string> MessageSigning::Finish(const std::vector<dkim::SigningKey>& keys) {
  signer_.End();
  if (signer_.header_too_large()) return base::OutOfRange("the header is too large");
  GODWIT_RETURN_IF_ERROR(CheckHeader(signer_.header(), domain_));
  return signer_.Finish(keys);
}

}  // namespace godwit::auth_verifier
