#include "libs/spf/record.h"

#include <array>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/spf/macro.h"

namespace godwit::spf {
namespace {

constexpr std::string_view kVersion = "v=spf1";

struct MechanismName {
  std::string_view name;
  MechanismKind kind;
};
constexpr std::array<MechanismName, 8> kMechanisms = {{{"all", MechanismKind::kAll},
                                                       {"include", MechanismKind::kInclude},
                                                       {"a", MechanismKind::kA},
                                                       {"mx", MechanismKind::kMx},
                                                       {"ptr", MechanismKind::kPtr},
                                                       {"ip4", MechanismKind::kIp4},
                                                       {"ip6", MechanismKind::kIp6},
                                                       {"exists", MechanismKind::kExists}}};

absl::Status Bad(std::string_view term, std::string_view why) {
  return base::InvalidArgument(std::string(why) + " in \"" + std::string(term.substr(0, 100)) +
                               "\"");
}

// RFC 7208 §5.6: a number without leading zeros, up to `max`.
std::optional<int> ParsePrefix(std::string_view digits, int max) {
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  const auto value = base::ParseDecimal(digits);
  if (!value || *value > static_cast<uint64_t>(max)) return std::nullopt;
  return static_cast<int>(*value);
}

// Cuts "/digits" from the end of `*text`; "" when it does not end so.
std::string_view TakeSlashDigits(std::string_view* text) {
  size_t begin = text->size();
  while (begin > 0 && base::IsDigit((*text)[begin - 1])) --begin;
  if (begin == text->size() || begin == 0 || (*text)[begin - 1] != '/') return {};
  const std::string_view digits = text->substr(begin);
  text->remove_suffix(digits.size() + 1);
  return digits;
}

// §5.6 dual-cidr-length: "/24", "//64" or "/24//64" at the end of `*text`.
bool TakeDualPrefix(std::string_view* text, Mechanism* mechanism) {
  std::string_view digits = TakeSlashDigits(text);
  if (digits.empty()) return true;
  if (text->ends_with('/')) {
    const auto prefix = ParsePrefix(digits, 128);
    if (!prefix) return false;
    mechanism->prefix_v6 = *prefix;
    text->remove_suffix(1);
    digits = TakeSlashDigits(text);
    if (digits.empty()) return true;
  }
  const auto prefix = ParsePrefix(digits, 32);
  if (!prefix) return false;
  mechanism->prefix_v4 = *prefix;
  return true;
}

// ":" domain-spec, checked.
absl::Status ReadDomainSpec(std::string_view argument, Mechanism* mechanism) {
  GODWIT_RETURN_IF_ERROR(CheckMacroString(argument, MacroContext::kDomainSpec));
  mechanism->domain_spec = std::string(argument);
  return absl::OkStatus();
}

absl::Status ReadNetwork(std::string_view argument, bool v4, Mechanism* mechanism) {
  const size_t slash = argument.find('/');
  const auto address = base::IpAddress::Parse(argument.substr(0, slash));
  if (!address || address->is_v4() != v4) return base::InvalidArgument("bad address");
  mechanism->network = *address;
  if (slash == argument.npos) return absl::OkStatus();
  const auto prefix = ParsePrefix(argument.substr(slash + 1), v4 ? 32 : 128);
  if (!prefix) return base::InvalidArgument("bad prefix length");
  (v4 ? mechanism->prefix_v4 : mechanism->prefix_v6) = *prefix;
  return absl::OkStatus();
}

// `rest` is what stands behind the mechanism's name: "", ":...", "/..." .
absl::Status ReadArgument(std::string_view rest, Mechanism* mechanism) {
  const MechanismKind kind = mechanism->kind;
  if (kind == MechanismKind::kAll) {
    return rest.empty() ? absl::OkStatus() : base::InvalidArgument("all has no argument");
  }
  if (kind == MechanismKind::kA || kind == MechanismKind::kMx) {
    if (!TakeDualPrefix(&rest, mechanism)) return base::InvalidArgument("bad prefix length");
  }
  const bool optional =
      kind == MechanismKind::kA || kind == MechanismKind::kMx || kind == MechanismKind::kPtr;
  if (rest.empty() && optional) return absl::OkStatus();
  if (!rest.starts_with(':') || rest.size() == 1) return base::InvalidArgument("no argument");
  rest.remove_prefix(1);
  if (kind == MechanismKind::kIp4) return ReadNetwork(rest, true, mechanism);
  if (kind == MechanismKind::kIp6) return ReadNetwork(rest, false, mechanism);
  return ReadDomainSpec(rest, mechanism);
}

absl::StatusOr<Mechanism> ParseMechanism(std::string_view term) {
  Mechanism mechanism;
  mechanism.text = std::string(term);
  std::string_view rest = term;
  if (std::string_view("+-?~").find(rest[0]) != std::string_view::npos) {
    mechanism.qualifier = static_cast<Qualifier>(rest[0]);
    rest.remove_prefix(1);
  }
  const size_t end = std::min(rest.find_first_of(":/"), rest.size());
  const std::string_view name = rest.substr(0, end);
  for (const MechanismName& known : kMechanisms) {
    if (!base::EqualsIgnoreCase(known.name, name)) continue;
    mechanism.kind = known.kind;
    const absl::Status status = ReadArgument(rest.substr(end), &mechanism);
    if (!status.ok()) return Bad(term, base::Message(status));
    return mechanism;
  }
  return Bad(term, "unknown mechanism");
}

// §4.6.1: name "=" value, the name ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ). npos when `term` is
// no modifier.
size_t ModifierNameEnd(std::string_view term) {
  if (!base::IsAlpha(term[0])) return term.npos;
  for (size_t i = 1; i < term.size(); ++i) {
    if (term[i] == '=') return i;
    if (!base::IsAlnum(term[i]) &&
        std::string_view("-_.").find(term[i]) == std::string_view::npos) {
      return term.npos;
    }
  }
  return term.npos;
}

absl::Status ReadModifier(std::string_view term, size_t name_end, Record* record) {
  const std::string_view name = term.substr(0, name_end);
  const std::string_view value = term.substr(name_end + 1);
  const bool redirect = base::EqualsIgnoreCase(name, "redirect");
  const bool exp = base::EqualsIgnoreCase(name, "exp");
  if (!redirect && !exp) {
    // §6: unknown modifiers are ignored, but their syntax holds.
    const absl::Status status = CheckMacroString(value, MacroContext::kMacroString);
    return status.ok() ? status : Bad(term, base::Message(status));
  }
  const absl::Status status = CheckMacroString(value, MacroContext::kDomainSpec);
  if (!status.ok()) return Bad(term, base::Message(status));
  std::optional<std::string>& target = redirect ? record->redirect : record->exp;
  if (target) return Bad(term, "a second modifier of this name");  // §6
  target = std::string(value);
  return absl::OkStatus();
}

}  // namespace

bool IsSpfRecord(std::string_view text) {
  return base::StartsWithIgnoreCase(text, kVersion) &&
         (text.size() == kVersion.size() || text[kVersion.size()] == ' ');
}

absl::StatusOr<Record> ParseRecord(std::string_view text) {
  Record record;
  text.remove_prefix(std::min(kVersion.size(), text.size()));
  for (const std::string_view term : base::Split(text, ' ')) {
    if (term.empty()) continue;
    const size_t name_end = ModifierNameEnd(term);
    if (name_end != term.npos) {
      GODWIT_RETURN_IF_ERROR(ReadModifier(term, name_end, &record));
      continue;
    }
    GODWIT_ASSIGN_OR_RETURN(Mechanism mechanism, ParseMechanism(term));
    record.mechanisms.push_back(std::move(mechanism));
  }
  return record;
}

}  // namespace godwit::spf
