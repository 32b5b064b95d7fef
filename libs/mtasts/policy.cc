#include "libs/mtasts/policy.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"

namespace godwit::mtasts {
namespace {

// RFC 8461 §3.1 sts-id: 1 to 32 letters and digits.
bool IsId(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), base::IsAlnum);
}

// "key=value", white space around "=" allowed; nullopt when it has another form.
std::optional<std::pair<std::string_view, std::string_view>> SplitField(std::string_view field,
                                                                        char separator) {
  const size_t at = field.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  return std::pair(base::Trim(field.substr(0, at)), base::Trim(field.substr(at + 1)));
}

std::optional<std::string> ReadOne(std::string_view text) {
  std::optional<std::string> id;
  bool first = true;
  for (std::string_view piece : base::Split(text, ';')) {
    piece = base::Trim(piece);
    if (piece.empty()) continue;
    const auto field = SplitField(piece, '=');
    if (!field) return std::nullopt;
    if (first && (field->first != "v" || field->second != "STSv1")) return std::nullopt;
    first = false;
    if (field->first != "id" || id) continue;
    if (!IsId(field->second)) return std::nullopt;
    id = field->second;
  }
  return id;
}

// RFC 8461 §3.1: records that do not begin so are not ours to judge.
bool IsSts(std::string_view text) {
  const auto field = SplitField(text.substr(0, text.find(';')), '=');
  return field && field->first == "v" && field->second == "STSv1";
}

bool IsPattern(std::string_view text) {
  if (text.starts_with("*.")) text.remove_prefix(2);
  return idna::IsHostName(text);
}

// RFC 8461 §3.2 sts-policy-field names: letters, digits, "_", "-", ".".
bool IsKey(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
    return base::IsAlnum(c) || c == '_' || c == '-' || c == '.';
  });
}

struct Fields {
  std::optional<std::string_view> version;
  std::optional<std::string_view> mode;
  std::optional<std::string_view> max_age;
  std::vector<std::string> mx;
};

absl::Status ReadLine(std::string_view line, Fields* fields) {
  const auto field = SplitField(line, ':');
  if (!field || !IsKey(field->first)) return base::InvalidArgument("a line is no \"key: value\"");
  const auto& [key, value] = *field;
  // §3.2: but for mx, all entries after the first are ignored.
  const auto set = [&value = value](std::optional<std::string_view>* to) {
    if (!*to) *to = value;
  };
  if (key == "version") set(&fields->version);
  if (key == "mode") set(&fields->mode);
  if (key == "max_age") set(&fields->max_age);
  if (key != "mx") return absl::OkStatus();
  const std::string pattern = base::Lower(value);
  if (!IsPattern(pattern)) return base::InvalidArgument("an mx is no host name or pattern");
  if (fields->mx.size() >= kMostPatterns) return base::InvalidArgument("too many mx");
  fields->mx.push_back(pattern);
  return absl::OkStatus();
}

absl::StatusOr<Policy> Build(const Fields& fields) {
  if (fields.version != "STSv1") return base::InvalidArgument("no version: STSv1");
  const auto mode = ParseMode(fields.mode.value_or(""));
  if (!mode) return base::InvalidArgument("no mode, or an unknown one");
  const std::string_view age = fields.max_age.value_or("");
  const auto seconds = age.size() <= 10 ? base::ParseDecimal(age) : std::nullopt;
  if (!seconds) return base::InvalidArgument("no max_age, or no number");
  if (fields.mx.empty() && *mode != Mode::kNone) return base::InvalidArgument("no mx");
  Policy policy;
  policy.mode = *mode;
  policy.mx = fields.mx;
  policy.max_age = std::min(absl::Seconds(static_cast<int64_t>(*seconds)), kMostMaxAge);
  return policy;
}

}  // namespace

std::optional<std::string> ReadRecord(const std::vector<std::string>& texts) {
  std::optional<std::string_view> only;
  for (const std::string& text : texts) {
    if (!IsSts(text)) continue;
    if (only) return std::nullopt;
    only = text;
  }
  return only ? ReadOne(*only) : std::nullopt;
}

std::string_view ModeName(Mode mode) {
  switch (mode) {
    case Mode::kNone: return "none";
    case Mode::kTesting: return "testing";
    case Mode::kEnforce: return "enforce";
  }
  return "";
}

std::optional<Mode> ParseMode(std::string_view text) {
  for (const Mode mode : {Mode::kNone, Mode::kTesting, Mode::kEnforce}) {
    if (text == ModeName(mode)) return mode;
  }
  return std::nullopt;
}

absl::StatusOr<Policy> ParsePolicy(std::string_view body) {
  if (body.size() > kMostPolicyBytes) return base::InvalidArgument("the policy is too large");
  Fields fields;
  for (std::string_view line : base::Split(body, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    // A final line end leaves an empty piece; empty lines in between are common and harmless.
    if (base::Trim(line).empty()) continue;
    GODWIT_RETURN_IF_ERROR(ReadLine(line, &fields));
  }
  return Build(fields);
}

std::string WritePolicy(const Policy& policy) {
  std::string out = "version: STSv1\r\nmode: ";
  out += ModeName(policy.mode);
  out += "\r\n";
  for (const std::string& each : policy.mx) out += "mx: " + each + "\r\n";
  return out + "max_age: " + std::to_string(absl::ToInt64Seconds(policy.max_age)) + "\r\n";
}

bool Matches(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return base::EqualsIgnoreCase(pattern, host);
  // §4.1: the wildcard is one label, neither none nor two.
  const size_t dot = host.find('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  return base::EqualsIgnoreCase(pattern.substr(2), host.substr(dot + 1));
}

bool MatchesAny(const std::vector<std::string>& patterns, std::string_view host) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [host](const std::string& pattern) { return Matches(pattern, host); });
}

}  // namespace godwit::mtasts
