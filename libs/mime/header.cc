#include "libs/mime/header.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/check.h"

namespace godwit::mime {
namespace {

constexpr size_t kFoldAt = 78;    // RFC 5322 §2.1.1: lines SHOULD have at most 78 characters
constexpr size_t kMaxLine = 998;  // and MUST have at most 998
constexpr size_t kMaxFieldName = 500;

// The name at the front of a line, or "" when the line starts no field. RFC 5322 §4.5: obsolete
// fields may have white space before the colon.
std::string_view NameOf(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  std::string_view name = line.substr(0, colon);
  while (!name.empty() && base::IsWsp(name.back())) name.remove_suffix(1);
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 33 || static_cast<unsigned char>(c) > 126) return {};
  }
  return name;
}

// Length of the line end at the end of `line`: 0, 1 or 2.
size_t LineEnd(std::string_view line) {
  if (line.empty() || line.back() != '\n') return 0;
  return line.size() >= 2 && line[line.size() - 2] == '\r' ? 2 : 1;
}

// Length of the line end at `text[at]`: 2 for CRLF, 1 for LF, else 0.
size_t LineEndAt(std::string_view text, size_t at) {
  if (text[at] == '\n') return 1;
  return text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n' ? 2 : 0;
}

// Collects the lines of the field that is being split.
struct Splitter {
  std::string_view text;
  HeaderLimits limits;
  HeaderBlock block;
  std::string_view name;  // of the field that is open; empty: none is
  size_t start = 0;

  void Close(size_t end) {
    if (name.empty()) return;
    if (block.fields.size() >= limits.max_fields || end > limits.max_bytes) {
      block.truncated = true;
    } else {
      const std::string_view whole = text.substr(start, end - start);
      const size_t value = static_cast<size_t>(
          std::find(whole.begin() + static_cast<ptrdiff_t>(name.size()), whole.end(), ':') -
          whole.begin() + 1);
      block.fields.push_back({.name = name,
                              .value = whole.substr(value, whole.size() - value - LineEnd(whole)),
                              .offset = start,
                              .size = whole.size()});
    }
    name = {};
  }

  void Line(size_t at, std::string_view line) {
    if (base::IsWsp(line.front())) return;  // a continuation, of a field or of junk
    Close(at);
    name = NameOf(line);
    start = at;
  }
};

// Writes one field, counting columns.
class FieldWriter {
 public:
  FieldWriter(std::string* out, std::string_view name) : out_(out), column_(name.size() + 1) {
    out_->append(name);
    *out_ += ':';
  }

  // White space and the run of other characters after it.
  void Token(std::string_view space, std::string_view word) {
    if (space.empty()) space = " ";
    const bool too_long = column_ + space.size() + word.size() > kFoldAt;
    const bool over = (too_long && !first_) || column_ + space.size() + 1 > kMaxLine;
    // At the start of a line a fold would leave an empty one, which ends the header.
    if (over && column_ > 0) Fold();
    first_ = false;
    // White space alone could fill a line: beyond the limit it shrinks to one space.
    if (column_ + space.size() + 1 > kMaxLine) space = " ";
    Put(space);
    while (column_ + word.size() > kMaxLine) {
      size_t cut = kMaxLine - column_;
      while (cut > 1 && (static_cast<unsigned char>(word[cut]) & 0xC0) == 0x80) --cut;
      Put(word.substr(0, cut));
      word.remove_prefix(cut);
      Fold();
      Put(" ");
    }
    Put(word);
  }
  void Fold() {
    *out_ += "\r\n";
    column_ = 0;
  }

 private:
  void Put(std::string_view text) {
    out_->append(text);
    column_ += text.size();
  }

  std::string* out_;
  size_t column_;
  bool first_ = true;
};

bool IsBreak(char c) { return c == '\r' || c == '\n' || c == '\0'; }

}  // namespace

const HeaderField* HeaderBlock::Find(std::string_view name) const& {
  for (const HeaderField& field : fields) {
    if (base::EqualsIgnoreCase(field.name, name)) return &field;
  }
  return nullptr;
}

std::vector<const HeaderField*> HeaderBlock::FindAll(std::string_view name) const& {
  std::vector<const HeaderField*> found;
  for (const HeaderField& field : fields) {
    if (base::EqualsIgnoreCase(field.name, name)) found.push_back(&field);
  }
  return found;
}

HeaderBlock SplitHeader(std::string_view text, const HeaderLimits& limits) {
  Splitter splitter{.text = text, .limits = limits, .block = {}, .name = {}};
  size_t at = 0;
  while (at < text.size()) {
    const size_t newline = text.find('\n', at);
    const size_t end = newline == std::string_view::npos ? text.size() : newline + 1;
    const std::string_view line = text.substr(at, end - at);
    if (line.size() == LineEnd(line)) {
      splitter.Close(at);
      splitter.block.size = end;
      splitter.block.complete = true;
      return std::move(splitter.block);
    }
    splitter.Line(at, line);
    at = end;
  }
  splitter.Close(at);
  splitter.block.size = at;
  return std::move(splitter.block);
}

std::string Unfold(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    if (!IsBreak(value[i])) {
      out += value[i];
      continue;
    }
    const size_t end = LineEndAt(value, i);
    const bool fold = end > 0 && i + end < value.size() && base::IsWsp(value[i + end]);
    if (!fold) out += ' ';
    if (end == 2) ++i;
  }
  return std::string(base::Trim(out));
}

bool IsFieldName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxFieldName &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c > 32 && c < 127 && c != ':'; });
}

void AppendField(std::string* out, std::string_view name, std::string_view value) {
  GODWIT_CHECK(IsFieldName(name));
  FieldWriter writer(out, name);
  size_t i = 0;
  bool wrote = false;
  while (i < value.size()) {
    std::string space;
    bool fold = false;  // the caller's
    for (; i < value.size() && (base::IsWsp(value[i]) || IsBreak(value[i])); ++i) {
      const size_t end = LineEndAt(value, i);
      if (end == 2) ++i;
      const bool is_fold = end > 0 && i + 1 < value.size() && base::IsWsp(value[i + 1]);
      fold = fold || is_fold;
      if (is_fold) space.clear();
      if (!is_fold) space += IsBreak(value[i]) ? ' ' : value[i];
    }
    const size_t start = i;
    while (i < value.size() && !base::IsWsp(value[i]) && !IsBreak(value[i])) ++i;
    if (i == start) break;  // only white space was left; no line may consist of it
    if (fold && wrote) writer.Fold();
    writer.Token(space, value.substr(start, i - start));
    wrote = true;
  }
  writer.Fold();
}

}  // namespace godwit::mime
