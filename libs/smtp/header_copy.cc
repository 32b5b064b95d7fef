#include "libs/smtp/header_copy.h"

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::smtp {
namespace {

// The size of the line at the front of `text` with the continuation lines behind it.
size_t LogicalLineSize(std::string_view text) {
  size_t end = 0;
  do {
    const size_t newline = text.find('\n', end);
    if (newline == text.npos) return text.size();
    end = newline + 1;
  } while (end < text.size() && base::IsWsp(text[end]));
  return end;
}

std::string_view NameAtFront(std::string_view line) {
  const auto end = std::find_if(line.begin(), line.end(),
                                [](char c) { return c <= 32 || c >= 127 || c == ':'; });
  return line.substr(0, static_cast<size_t>(end - line.begin()));
}

}  // namespace

void AppendHeaderWithout(std::string_view header, const FieldPredicate& remove, std::string* out) {
  for (size_t at = 0; at < header.size();) {
    const std::string_view line = header.substr(at, LogicalLineSize(header.substr(at)));
    if (!remove(NameAtFront(line), line)) *out += line;
    at += line.size();
  }
  const bool ended = header == "\r\n" || header.ends_with("\r\n\r\n");
  if (!ended) *out += "\r\n";
}

}  // namespace godwit::smtp
