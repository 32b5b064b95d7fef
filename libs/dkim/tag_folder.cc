#include "libs/dkim/tag_folder.h"

#include <algorithm>

#include "libs/base/encoding.h"

namespace godwit::dkim {
namespace {

constexpr size_t kLineWidth = 76;

}  // namespace

void TagFolder::Tag(const std::string& tag) {
  if (column_ + tag.size() + 2 > kLineWidth)
    NewLine();
  else
    Append(" ");
  Append(tag);
  Append(";");
}

void TagFolder::Pieces(const std::string& name, const std::vector<std::string>& pieces) {
  NewLine();
  Append(name);
  for (const std::string& piece : pieces) {
    if (column_ + piece.size() > kLineWidth) NewLine();
    Append(piece);
  }
}

void TagFolder::Append(std::string_view text) {
  text_ += text;
  column_ += text.size();
}

void TagFolder::NewLine() {
  text_ += "\r\n ";
  column_ = 1;
}

std::string AppendSignatureValue(std::string field, std::string_view signature) {
  const std::string text = base::Base64Encode(signature);
  // The first line has " b=" in front.
  size_t width = kLineWidth - 4;
  for (size_t begin = 0; begin < text.size(); begin += width) {
    if (begin > 0) field += "\r\n ";
    field += text.substr(begin, width);
  }
  return field + "\r\n";
}

}  // namespace godwit::dkim
