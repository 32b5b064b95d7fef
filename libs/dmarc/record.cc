#include "libs/dmarc/record.h"

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::dmarc {
namespace {

constexpr size_t kMaxUris = 10;

struct Tag {
  std::string name;  // lower case
  std::string_view value;
};

// RFC 9989 §4.8; what is no tag is left out (§4.7: syntax errors are discarded).
std::vector<Tag> Tags(std::string_view text) {
  std::vector<Tag> tags;
  for (const std::string_view piece : base::Split(text, ';')) {
    const size_t equals = piece.find('=');
    if (equals == piece.npos) continue;
    std::string name = base::Lower(base::Trim(piece.substr(0, equals)));
    const bool known =
        std::any_of(tags.begin(), tags.end(), [&](const Tag& tag) { return tag.name == name; });
    if (!known) tags.push_back({std::move(name), base::Trim(piece.substr(equals + 1))});
  }
  return tags;
}

std::optional<Policy> PolicyByName(std::string_view name) {
  for (const Policy policy : {Policy::kNone, Policy::kQuarantine, Policy::kReject}) {
    if (base::EqualsIgnoreCase(PolicyName(policy), name)) return policy;
  }
  return std::nullopt;
}

// A URI with a scheme (RFC 3986 §3.1) and something behind it.
bool IsUri(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos || colon == 0 || colon + 1 == text.size()) return false;
  return base::IsAlpha(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::vector<std::string> ReadUris(std::string_view value) {
  std::vector<std::string> uris;
  for (const std::string_view piece : base::Split(value, ',')) {
    const std::string_view uri = base::Trim(piece);
    if (IsUri(uri) && uris.size() < kMaxUris) uris.emplace_back(uri);
  }
  return uris;
}

// The tags whose errors only leave the default.
void ReadPlainTag(const Tag& tag, Record* record) {
  const std::string value = base::Lower(tag.value);
  const auto number = base::ParseDecimal(tag.value);
  if (tag.name == "adkim" && value == "s") record->dkim = Alignment::kStrict;
  if (tag.name == "aspf" && value == "s") record->spf = Alignment::kStrict;
  if (tag.name == "t") record->testing = value == "y";
  if (tag.name == "psd" && value == "y") record->public_suffix = PublicSuffix::kYes;
  if (tag.name == "psd" && value == "n") record->public_suffix = PublicSuffix::kNo;
  if (tag.name == "fo") record->failure_options = value;
  if (tag.name == "rua") record->rua = ReadUris(tag.value);
  if (tag.name == "ruf") record->ruf = ReadUris(tag.value);
  if (tag.name == "pct" && number && *number <= 100) record->percent = static_cast<int>(*number);
  if (tag.name == "ri" && number && *number <= 0xffffffffU) {
    record->report_interval = static_cast<uint32_t>(*number);
  }
}

// False when one of p=, sp= and np= is there and no policy.
bool ReadPolicies(const std::vector<Tag>& tags, Record* record) {
  bool good = true;
  for (const Tag& tag : tags) {
    if (tag.name != "p" && tag.name != "sp" && tag.name != "np") continue;
    const std::optional<Policy> policy = PolicyByName(tag.value);
    good = good && policy.has_value();
    if (tag.name == "p") record->policy = policy.value_or(Policy::kNone);
    if (tag.name == "sp") record->subdomain_policy = policy;
    if (tag.name == "np") record->missing_policy = policy;
  }
  return good;
}

}  // namespace

std::string_view PolicyName(Policy policy) {
  switch (policy) {
    case Policy::kNone: return "none";
    case Policy::kQuarantine: return "quarantine";
    case Policy::kReject: return "reject";
  }
  return "none";
}

bool IsDmarcRecord(std::string_view text) {
  // RFC 9989 §4.7: v= is the first tag, and its value matches with case.
  const std::string_view first = text.substr(0, text.find(';'));
  const size_t equals = first.find('=');
  return equals != first.npos && base::EqualsIgnoreCase(base::Trim(first.substr(0, equals)), "v") &&
         base::Trim(first.substr(equals + 1)) == "DMARC1";
}

std::optional<Record> ParseRecord(std::string_view text) {
  if (!IsDmarcRecord(text)) return std::nullopt;
  Record record;
  record.text = std::string(text);
  const std::vector<Tag> tags = Tags(text);
  for (const Tag& tag : tags) ReadPlainTag(tag, &record);
  if (ReadPolicies(tags, &record)) return record;  // without p= it counts as p=none (§4.7)
  // §4.10.1.
  if (record.rua.empty()) return std::nullopt;
  record.policy = Policy::kNone;
  record.subdomain_policy.reset();
  record.missing_policy.reset();
  return record;
}

}  // namespace godwit::dmarc
