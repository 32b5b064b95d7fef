#include "libs/tlsrpt/record.h"

#include <algorithm>
#include <iterator>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::tlsrpt {
namespace {

constexpr std::string_view kVersion = "v=TLSRPTv1";
constexpr size_t kMostUris = 10;

std::string_view TrimWsp(std::string_view text) {
  while (!text.empty() && base::IsWsp(text.front())) text.remove_prefix(1);
  while (!text.empty() && base::IsWsp(text.back())) text.remove_suffix(1);
  return text;
}

// RFC 8460 §3, tlsrpt-ext-name.
bool IsFieldName(std::string_view name) {
  return !name.empty() && name.size() <= 32 && base::IsAlnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return base::IsAlnum(c) || c == '_' || c == '-' || c == '.'; });
}

bool IsKnownUri(std::string_view uri) {
  const bool printable =
      std::all_of(uri.begin(), uri.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return printable && (base::StartsWithIgnoreCase(uri, "mailto:") ||
                       base::StartsWithIgnoreCase(uri, "https://"));
}

void AddUris(std::string_view value, Record* record) {
  for (const std::string_view piece : base::Split(value, ',')) {
    const std::string_view uri = TrimWsp(piece);
    if (IsKnownUri(uri) && record->rua.size() < kMostUris) record->rua.emplace_back(uri);
  }
}

// The version ends with the field delimiter, white space before it or not.
bool HasVersion(std::string_view text) {
  if (!text.starts_with(kVersion)) return false;
  text = TrimWsp(text.substr(kVersion.size()));
  return text.starts_with(';');
}

}  // namespace

std::string RecordName(std::string_view domain) { return "_smtp._tls." + std::string(domain); }

absl::StatusOr<Record> ParseRecord(std::string_view text) {
  if (!HasVersion(text)) return base::InvalidArgument("it does not begin with v=TLSRPTv1;");
  Record record;
  bool has_rua = false;
  std::vector<std::string_view> fields = base::Split(text, ';');
  fields.erase(fields.begin());
  if (TrimWsp(fields.back()).empty()) fields.pop_back();
  for (const std::string_view piece : fields) {
    const std::string_view field = TrimWsp(piece);
    const size_t equals = field.find('=');
    if (equals == field.npos || !IsFieldName(field.substr(0, equals))) {
      return base::InvalidArgument("a field of it is no name=value");
    }
    if (field.substr(0, equals) != "rua") continue;
    if (has_rua) return base::InvalidArgument("rua= comes twice");
    has_rua = true;
    AddUris(field.substr(equals + 1), &record);
  }
  if (!has_rua) return base::InvalidArgument("it has no rua=");
  if (record.rua.empty()) return base::InvalidArgument("rua= has no mailto: or https: URI");
  return record;
}

// RFC 8460 §3: other records at the name are discarded; of several nobody knows which one counts.
absl::StatusOr<Record> ChooseRecord(const std::vector<std::string>& texts) {
  std::vector<std::string_view> records;
  std::copy_if(texts.begin(), texts.end(), std::back_inserter(records), HasVersion);
  if (records.empty()) return base::NotFound("there is no record that begins with v=TLSRPTv1;");
  if (records.size() > 1) return base::InvalidArgument("there are several records");
  return ParseRecord(records.front());
}

}  // namespace godwit::tlsrpt
