#pragma once

// Header blocks (RFC 5322 §2.2): splitting one into fields, looking fields up, unfolding, and
// writing folded fields. Nothing here edits a header in place: who adds or removes fields copies
// the ranges that stay (every field tells its offset and size) and writes new fields with
// AppendField.
//
// Tolerant: every byte string splits. A line ends with LF; a CR right before it belongs to the
// line end. A CR elsewhere is an ordinary octet. A line that is neither a field, nor the
// continuation of one, nor empty is junk ("From alice Mon Jan ..." of an mbox, for example): it and
// its continuation lines belong to no field and are skipped.
//
// Everything is a view of the text that was given in. Linear in its size. No threads, no state.
//
//   const HeaderBlock block = SplitHeader(message);
//   if (const HeaderField* f = block.Find("Subject")) subject = DecodeWords(Unfold(f->value));

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::mime {

struct HeaderField {
  std::string_view name;   // as written, without the colon and without space before it
  std::string_view value;  // everything after the colon, folding included, final line end not
  size_t offset = 0;       // of the name's first octet, from the start of the text split
  size_t size = 0;         // the whole field with its final line end
};

struct HeaderLimits {
  size_t max_fields = 2000;        // further fields are not listed
  size_t max_bytes = 1024 * 1024;  // fields that end beyond are not listed
};

struct HeaderBlock {
  std::vector<HeaderField> fields;
  size_t size = 0;         // octets of the block with the empty line that ends it
  bool complete = false;   // the empty line was there
  bool truncated = false;  // a limit left fields out; size is right all the same

  // The first field of that name (ASCII case ignored), or nullptr.
  const HeaderField* Find(std::string_view name) const&;
  const HeaderField* Find(std::string_view name) const&& =
      delete;  // it would point to what is gone
  // All of them, in order.
  std::vector<const HeaderField*> FindAll(std::string_view name) const&;
  std::vector<const HeaderField*> FindAll(std::string_view name) const&& = delete;
};

// Splits the header at the front of `text`, up to and including the first empty line, or all of
// `text` when there is none.
HeaderBlock SplitHeader(std::string_view text, const HeaderLimits& limits = {});

// RFC 5322 §2.2.3: `value` without the line ends before white space, and without white space at
// both ends. Other CR, LF and NUL octets become a space: the result is always one line.
std::string Unfold(std::string_view value);

// True for a name a field may have: printable ASCII without colon, at least one octet.
bool IsFieldName(std::string_view name);

// Appends "Name: value CRLF", folded before white space so that lines have at most 78 octets where
// the value allows it. `value` is one line, or lines already folded by the caller with CRLF and
// white space (those folds stay). Never writes a line of more than 998 octets (RFC 5322 §2.1.1):
// where no white space allows a fold, one is put between two characters. A NUL, a CR or an LF that
// is not such a fold becomes a space, so a value can not smuggle in a field. `name` must be
// IsFieldName (checked).
void AppendField(std::string* out, std::string_view name, std::string_view value);

}  // namespace godwit::mime
