#include "libs/dkim/header_block.h"

#include <utility>

#include "libs/base/ascii.h"

namespace godwit::dkim {
namespace {

// The position behind the line that begins at `begin`.
size_t LineEnd(std::string_view bytes, size_t begin) {
  const size_t crlf = bytes.find("\r\n", begin);
  return crlf == bytes.npos ? bytes.size() : crlf + 2;
}

}  // namespace

HeaderBlock HeaderBlock::Parse(std::string bytes) {
  HeaderBlock block;
  block.bytes_ = std::move(bytes);
  const std::string_view all = block.bytes_;
  size_t begin = 0;
  while (begin < all.size()) {
    size_t end = LineEnd(all, begin);
    while (end < all.size() && base::IsWsp(all[end])) end = LineEnd(all, end);
    const size_t colon = std::min(all.find(':', begin), end);
    block.fields_.push_back(
        {static_cast<uint32_t>(begin), static_cast<uint32_t>(colon), static_cast<uint32_t>(end)});
    begin = end;
  }
  return block;
}

std::string_view HeaderBlock::raw(size_t index) const {
  const Field& field = fields_[index];
  return std::string_view(bytes_).substr(field.begin, field.end - field.begin);
}

std::string_view HeaderBlock::name(size_t index) const {
  const Field& field = fields_[index];
  if (field.colon == field.end) return {};
  std::string_view name = std::string_view(bytes_).substr(field.begin, field.colon - field.begin);
  while (!name.empty() && base::IsWsp(name.back())) name.remove_suffix(1);
  return name;
}

std::string_view HeaderBlock::value(size_t index) const {
  const Field& field = fields_[index];
  if (field.colon == field.end) return {};
  std::string_view value =
      std::string_view(bytes_).substr(field.colon + 1, field.end - field.colon - 1);
  if (value.ends_with("\r\n")) value.remove_suffix(2);
  return value;
}

std::vector<size_t> HeaderBlock::Find(std::string_view wanted) const {
  std::vector<size_t> positions;
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (base::EqualsIgnoreCase(name(i), wanted)) positions.push_back(i);
  }
  return positions;
}

}  // namespace godwit::dkim
