#include "libs/mailauth/trusted_chain.h"

#include <algorithm>
#include <string_view>

#include "libs/authres/authres.h"
#include "libs/idna/domain.h"

namespace godwit::mailauth {
namespace {

// The domain of "a@b.example", "@b.example" or "b.example", as A-labels; "" when it is none.
std::string DomainOf(std::string_view value) {
  return idna::ToAscii(value.substr(value.rfind('@') + 1)).value_or("");
}

bool IsAligned(const std::string& domain, dmarc::Alignment mode, const dmarc::Result& dmarc) {
  if (domain.empty()) return false;
  if (domain == dmarc.author_domain) return true;
  return mode == dmarc::Alignment::kRelaxed && !dmarc.organizational_domain.empty() &&
         idna::IsSameOrBelow(domain, dmarc.organizational_domain);
}

bool IsGood(const authres::MethodResult& result, const dmarc::Result& dmarc) {
  if (result.result != "pass") return false;
  for (const authres::Property& property : result.properties) {
    const std::string name = property.ptype + "." + property.name;
    const std::string domain = DomainOf(property.value);
    if (result.method == "dmarc" && name == "header.from" && domain == dmarc.author_domain) {
      return true;
    }
    const bool dkim = result.method == "dkim" && (name == "header.d" || name == "header.i");
    if (dkim && IsAligned(domain, dmarc.parsed.dkim, dmarc)) return true;
    const bool spf = result.method == "spf" && name == "smtp.mailfrom";
    if (spf && IsAligned(domain, dmarc.parsed.spf, dmarc)) return true;
  }
  return false;
}

bool HasGood(std::string_view results, const dmarc::Result& dmarc) {
  const auto field = authres::Parse(results);
  if (!field.ok()) return false;
  return std::any_of(field->results.begin(), field->results.end(),
                     [&](const authres::MethodResult& result) { return IsGood(result, dmarc); });
}

// Newest first, as RFC 8617 §7.2.2 shows it; what an aggregate report can hold.
std::string Comment(const arc::Result& arc) {
  constexpr size_t kMaxComment = 500;
  std::string text = "arc=pass";
  for (size_t i = arc.sealers.size(); i > 0; --i) {
    const std::string seal = "as[" + std::to_string(i) + "]";
    const std::string piece =
        " " + seal + ".d=" + arc.sealers[i - 1] + " " + seal + ".s=" + arc.selectors[i - 1];
    if (text.size() + piece.size() > kMaxComment) break;
    text += piece;
  }
  return text;
}

}  // namespace

PolicyOverride TrustedForwarder(const arc::Result& arc, const std::vector<std::string>& trusted,
                                const dmarc::Result& dmarc) {
  if (arc.code != arc::ResultCode::kPass || dmarc.author_domain.empty()) return {};
  for (size_t i = arc.sealers.size(); i > 0; --i) {
    if (std::find(trusted.begin(), trusted.end(), arc.sealers[i - 1]) == trusted.end()) return {};
    if (HasGood(arc.results[i - 1], dmarc)) return {"trusted_forwarder", Comment(arc)};
  }
  return {};
}

}  // namespace godwit::mailauth
