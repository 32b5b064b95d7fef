#include "libs/mime/base_subject.h"

#include "libs/base/ascii.h"
#include "libs/mime/lexer.h"

namespace godwit::mime {
namespace {

// RFC 5256 §2.1 (1): every run of white space becomes one space.
std::string Collapse(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (!Lexer::IsSpace(c)) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  return out;
}

void SkipSpaces(std::string_view* text) {
  while (!text->empty() && text->front() == ' ') text->remove_prefix(1);
}

// subj-blob: "[" without brackets in it "]" and white space. Takes it from the front.
bool TakeBlob(std::string_view* text) {
  if (text->empty() || text->front() != '[') return false;
  const size_t end = text->find_first_of("[]", 1);
  if (end == std::string_view::npos || (*text)[end] != ']') return false;
  text->remove_prefix(end + 1);
  SkipSpaces(text);
  return true;
}

// subj-refwd: ("re" / "fw" / "fwd"), white space, an optional blob, ":".
bool TakeReFwd(std::string_view* text) {
  std::string_view rest = *text;
  size_t word = 0;
  if (base::StartsWithIgnoreCase(rest, "re")) word = 2;
  if (base::StartsWithIgnoreCase(rest, "fw")) word = 2;
  if (base::StartsWithIgnoreCase(rest, "fwd")) word = 3;
  if (word == 0) return false;
  rest.remove_prefix(word);
  SkipSpaces(&rest);
  TakeBlob(&rest);
  if (rest.empty() || rest.front() != ':') return false;
  rest.remove_prefix(1);
  SkipSpaces(&rest);
  *text = rest;
  return true;
}

// Steps 2 to 5 on `text`; true when a reply or forward mark was taken.
bool Strip(std::string_view* text) {
  bool marked = false;
  for (;;) {  // (2) trailers
    while (!text->empty() && text->back() == ' ') text->remove_suffix(1);
    if (!base::EndsWithIgnoreCase(*text, "(fwd)")) break;
    text->remove_suffix(5);
    marked = true;
  }
  for (;;) {  // (3) to (5)
    SkipSpaces(text);
    // All the blobs at the front. If "re:" follows them they belong to it; else they are taken
    // one by one as long as a subject remains, which is all of them or all but the last.
    std::string_view rest = *text;
    std::string_view before = rest;
    while (TakeBlob(&rest)) {
      *text = before;
      before = rest;
    }
    if (TakeReFwd(&rest)) {
      *text = rest;
      marked = true;
      continue;
    }
    if (!rest.empty()) *text = rest;
    return marked;
  }
}

}  // namespace

BaseSubject ExtractBaseSubject(std::string_view decoded) {
  const std::string collapsed = Collapse(decoded);
  std::string_view text = collapsed;
  BaseSubject subject;
  for (;;) {
    if (Strip(&text)) subject.is_reply = true;
    // (6) "[fwd: ...]" around it all.
    if (!base::StartsWithIgnoreCase(text, "[fwd:") || text.back() != ']') break;
    text.remove_prefix(5);
    text.remove_suffix(1);
    subject.is_reply = true;
  }
  subject.text = std::string(text);
  return subject;
}

}  // namespace godwit::mime
