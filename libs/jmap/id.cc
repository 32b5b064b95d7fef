#include "libs/jmap/id.h"

#include <algorithm>
#include <limits>

#include "libs/base/ascii.h"

namespace godwit::jmap {
namespace {

constexpr size_t kMaxId = 255;
constexpr size_t kMaxPartId = 200;

std::optional<int64_t> ParseNumber(std::string_view text) {
  // One form for each number: no leading zero.
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  const auto number = base::ParseDecimal(text);
  if (!number || *number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  return static_cast<int64_t>(*number);
}

bool IsPartId(std::string_view text) {
  return !text.empty() && text.size() <= kMaxPartId &&
         std::all_of(text.begin(), text.end(), [](char c) { return base::IsDigit(c) || c == '.'; });
}

}  // namespace

bool IsId(std::string_view text) {
  return !text.empty() && text.size() <= kMaxId &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return base::IsAlnum(c) || c == '-' || c == '_'; });
}

std::string FormatId(IdType type, int64_t number) {
  return static_cast<char>(type) + std::to_string(number);
}

std::optional<int64_t> ParseId(IdType type, std::string_view text) {
  if (text.empty() || text.front() != static_cast<char>(type)) return std::nullopt;
  return ParseNumber(text.substr(1));
}

std::string FormatState(int64_t modseq) { return std::to_string(modseq); }

std::optional<int64_t> ParseState(std::string_view text) { return ParseNumber(text); }

std::string FormatBlob(const BlobName& name) {
  switch (name.kind) {
    case BlobName::Kind::kEmail: return "B" + std::to_string(name.number);
    case BlobName::Kind::kUpload: return "U" + std::to_string(name.number);
    case BlobName::Kind::kPart: break;
  }
  std::string part = name.part_id;
  std::replace(part.begin(), part.end(), '.', '_');
  return "P" + std::to_string(name.number) + "-" + part;
}

std::optional<BlobName> ParseBlob(std::string_view text) {
  if (text.empty()) return std::nullopt;
  BlobName name;
  std::string_view number = text.substr(1);
  switch (text.front()) {
    case 'B': name.kind = BlobName::Kind::kEmail; break;
    case 'U': name.kind = BlobName::Kind::kUpload; break;
    case 'P': {
      const size_t dash = number.find('-');
      if (dash == std::string_view::npos) return std::nullopt;
      name.kind = BlobName::Kind::kPart;
      name.part_id = number.substr(dash + 1);
      std::replace(name.part_id.begin(), name.part_id.end(), '_', '.');
      if (!IsPartId(name.part_id)) return std::nullopt;
      number = number.substr(0, dash);
      break;
    }
    default: return std::nullopt;
  }
  const auto parsed = ParseNumber(number);
  if (!parsed) return std::nullopt;
  name.number = *parsed;
  return name;
}

}  // namespace godwit::jmap
