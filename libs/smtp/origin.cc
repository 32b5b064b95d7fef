#include "libs/smtp/origin.h"

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"
#include "libs/smtp/xtext.h"

namespace godwit::smtp {
namespace {

constexpr std::pair<OriginKind, std::string_view> kKinds[] = {
    {OriginKind::kSubmission, "submission"},
    {OriginKind::kForward, "forward"},
    {OriginKind::kDsn, "dsn"},
    {OriginKind::kReport, "report"},
};

bool SetKind(std::string_view name, Origin* origin) {
  for (const auto& [kind, kind_name] : kKinds) {
    if (name == kind_name) {
      origin->kind = kind;
      return true;
    }
  }
  return false;
}

bool SetAccount(const std::string& value, Origin* origin) {
  const auto number = base::ParseDecimal(value);
  if (origin->account != 0 || !number || *number == 0 || *number > INT64_MAX) return false;
  origin->account = static_cast<int64_t>(*number);
  return true;
}

bool SetField(std::string_view field, Origin* origin) {
  const size_t colon = field.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = field.substr(0, colon);
  const auto value = XtextDecode(field.substr(colon + 1));
  if (!value || value->empty()) return false;
  if (name == "account") return SetAccount(*value, origin);
  if (name == "client") {
    if (!origin->client.empty() || !base::IpAddress::Parse(*value)) return false;
    origin->client = *value;
    return true;
  }
  if (name == "user" && origin->user.empty()) {
    origin->user = *value;
    return true;
  }
  return false;
}

// A ";" in a value would end it early; XtextEncode leaves it alone.
void AppendField(std::string_view name, std::string_view value, std::string* out) {
  *out += ';';
  *out += name;
  *out += ':';
  for (char c : XtextEncode(value)) {
    if (c == ';') {
      *out += "+3B";
    } else {
      *out += c;
    }
  }
}

}  // namespace

std::optional<Origin> ParseOrigin(std::string_view value) {
  const auto fields = base::Split(value, ';');
  Origin origin;
  if (!SetKind(fields[0], &origin)) return std::nullopt;
  for (size_t i = 1; i < fields.size(); ++i) {
    if (!SetField(fields[i], &origin)) return std::nullopt;
  }
  return origin;
}

std::string WriteOrigin(const Origin& origin) {
  std::string out(OriginKindName(origin.kind));
  if (origin.account != 0) AppendField("account", std::to_string(origin.account), &out);
  if (!origin.client.empty()) AppendField("client", origin.client, &out);
  if (!origin.user.empty()) AppendField("user", origin.user, &out);
  return out;
}

std::string_view OriginKindName(OriginKind kind) {
  for (const auto& [row_kind, name] : kKinds) {
    if (row_kind == kind) return name;
  }
  return "";
}

}  // namespace godwit::smtp
