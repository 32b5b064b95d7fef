#include "libs/smtp/client_data.h"

namespace godwit::smtp {

// `line` has at most one LF, as its last octet.
bool DataWriter::WriteLine(std::string_view line, std::string* out) {
  const bool ends = line.ends_with('\n');
  std::string_view text = line.substr(0, line.size() - (ends ? 1 : 0));
  // RFC 5321 §2.3.8: CR and LF come together only. A CR may be the last octet of a chunk.
  if (after_cr_ && !(ends && text.empty())) return false;
  const size_t cr = text.find('\r');
  if (cr != std::string_view::npos && cr + 1 != text.size()) return false;
  const bool has_cr = after_cr_ || cr != std::string_view::npos;
  if (ends && !has_cr) return false;
  // RFC 5321 §4.5.2: a line that begins with a dot gets another one.
  if (dots_ && line_start_ && line.starts_with('.')) *out += '.';
  *out += line;
  line_start_ = ends;
  after_cr_ = !ends && has_cr;
  return true;
}

bool DataWriter::Write(std::string_view chunk, std::string* out) {
  out->reserve(out->size() + chunk.size() + chunk.size() / 64 + 8);
  while (!chunk.empty()) {
    const size_t lf = chunk.find('\n');
    const size_t take = lf == std::string_view::npos ? chunk.size() : lf + 1;
    if (!WriteLine(chunk.substr(0, take), out)) return false;
    chunk.remove_prefix(take);
  }
  return true;
}

bool DataWriter::End(std::string* out) {
  if (after_cr_) return false;
  // RFC 5321 §4.1.1.4: the CRLF before the final dot belongs to the message.
  if (!line_start_) *out += "\r\n";
  if (dots_) *out += ".\r\n";
  return true;
}

}  // namespace godwit::smtp
