#include "libs/jmap/submission.h"

#include <openssl/sha.h>

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/jmap/id.h"

namespace godwit::jmap {
namespace {

constexpr size_t kMaxAddress = 254;  // RFC 5321 §4.5.3.1.3, without the brackets
constexpr size_t kIdBytes = 12;

std::string Digest(std::string_view text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(),
         reinterpret_cast<uint8_t*>(digest.data()));
  return base::HexEncode(digest.substr(0, kIdBytes));
}

void AddAddresses(const mime::AddressList& list, std::vector<std::string>* out) {
  for (const mime::Address& address : list) {
    std::string spec = address.Spec();
    if (address.kind != mime::Address::Kind::kMailbox || spec.empty()) continue;
    const bool there = std::any_of(out->begin(), out->end(), [&](const std::string& each) {
      return base::EqualsIgnoreCase(each, spec);
    });
    if (!there) out->push_back(std::move(spec));
  }
}

// §7: {"email", "parameters"}; no parameter is offered.
std::optional<std::string> EnvelopeAddress(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  const json::value* parameters = Find(*object, "parameters");
  const json::object* given = parameters == nullptr ? nullptr : parameters->if_object();
  if (given != nullptr && !given->empty()) return std::nullopt;
  const auto email = FindString(*object, "email");
  if (!email || !IsSendable(*email)) return std::nullopt;
  return email;
}

bool ReadEnvelope(const json::object& envelope, SubmissionRequest* request) {
  const json::value* from = Find(envelope, "mailFrom");
  const json::value* to = Find(envelope, "rcptTo");
  if (from == nullptr || to == nullptr || !to->is_array()) return false;
  request->mail_from = EnvelopeAddress(*from);
  if (!request->mail_from) return false;
  request->rcpt_to.emplace();
  for (const json::value& each : to->get_array()) {
    const auto address = EnvelopeAddress(each);
    if (!address) return false;
    request->rcpt_to->push_back(*address);
  }
  return true;
}

}  // namespace

std::string IdentityId(std::string_view address) { return "i" + Digest(base::Lower(address)); }

std::string IdentityState(const std::vector<Identity>& identities) {
  std::string all;
  for (const Identity& identity : identities) all += identity.address + "\n";
  return Digest(all);
}

json::object IdentityToJson(const Identity& identity) {
  return {{"id", identity.id},   {"name", ""},        {"email", identity.address},
          {"replyTo", nullptr},  {"bcc", nullptr},    {"textSignature", ""},
          {"htmlSignature", ""}, {"mayDelete", false}};
}

std::variant<SubmissionRequest, SetError> ReadSubmission(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return SetError{"invalidProperties"};
  SubmissionRequest request;
  SetError error{"invalidProperties"};
  for (const auto& member : *object) {
    const std::string_view name(member.key().data(), member.key().size());
    const json::value& given = member.value();
    bool good = false;
    if (name == "identityId" && given.is_string()) {
      request.identity_id = View(given.get_string());
      good = IsId(request.identity_id);
    } else if (name == "emailId" && given.is_string()) {
      request.email_id = View(given.get_string());
      good = !request.email_id.empty();
    } else if (name == "envelope") {
      good = given.is_null() || (given.is_object() && ReadEnvelope(given.get_object(), &request));
    }
    if (!good) error.properties.emplace_back(name);
  }
  if (request.identity_id.empty()) error.properties.emplace_back("identityId");
  if (request.email_id.empty()) error.properties.emplace_back("emailId");
  if (!error.properties.empty()) return error;
  return request;
}

std::vector<std::string> RecipientsOf(const mime::Envelope& envelope) {
  std::vector<std::string> recipients;
  AddAddresses(envelope.to, &recipients);
  AddAddresses(envelope.cc, &recipients);
  AddAddresses(envelope.bcc, &recipients);
  return recipients;
}

bool IsSendable(std::string_view address) {
  const size_t at = address.rfind('@');
  return at != std::string_view::npos && at > 0 && at + 1 < address.size() &&
         address.size() <= kMaxAddress && base::IsUtf8(address) &&
         std::none_of(address.begin(), address.end(),
                      [](char c) {
                        return static_cast<unsigned char>(c) < 32 || c == 127 || c == '<' ||
                               c == '>';
                      }) &&
         address.substr(at).find(' ') == std::string_view::npos;
}

}  // namespace godwit::jmap
