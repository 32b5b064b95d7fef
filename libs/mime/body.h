#pragma once

// The text of a part as search and preview want it: transfer decoding, charset to UTF-8 and, for
// HTML, tags removed, as one stream with bounded memory.
//
//   TextDecoder decoder(part);
//   while (chunk of the part's body) decoder.Feed(chunk, &text);
//   decoder.Finish(&text);

#include <optional>
#include <string>
#include <string_view>

#include "libs/mime/charset.h"
#include "libs/mime/html_text.h"
#include "libs/mime/structure.h"
#include "libs/mime/transfer.h"

namespace godwit::mime {

class TextDecoder {
 public:
  // For a leaf. The charset is that of its parameter; HTML is stripped when it is text/html.
  explicit TextDecoder(const Part& part);

  // Appends good UTF-8 to `*out`.
  void Feed(std::string_view body, std::string* out);
  void Finish(std::string* out);

 private:
  void AfterTransfer(std::string* out);

  TransferDecoder transfer_;
  CharsetDecoder charset_;
  std::optional<HtmlToText> html_;
  std::string octets_;
  std::string text_;
};

// RFC 8970 §3.1: `utf8` with white space collapsed, control characters removed, cut after
// `max_characters` code points.
std::string MakePreview(std::string_view utf8, size_t max_characters = 256);

}  // namespace godwit::mime
