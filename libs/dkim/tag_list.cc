#include "libs/dkim/tag_list.h"

#include <string>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::dkim {
namespace {

bool IsTagName(std::string_view name) {
  if (name.empty() || !base::IsAlpha(name[0])) return false;
  for (const char c : name) {
    if (!base::IsAlnum(c) && c != '_') return false;
  }
  return true;
}

// RFC 6376 §3.2: VALCHAR is %x21-3A / %x3C-7E, with FWS between. RFC 8616 §4 adds UTF-8.
bool IsTagValue(std::string_view value) {
  for (size_t i = 0; i < value.size(); ++i) {
    const auto c = static_cast<unsigned char>(value[i]);
    if (base::IsWsp(value[i]) || (c > 0x20 && c != 0x7f)) continue;
    // Only a CRLF that white space follows is a fold; one at the end was trimmed by the caller.
    const bool folded =
        c == '\r' && i + 2 < value.size() && value[i + 1] == '\n' && base::IsWsp(value[i + 2]);
    if (!folded) return false;
    ++i;
  }
  return true;
}

absl::Status Malformed(std::string_view what, std::string_view name) {
  return base::InvalidArgument(std::string(what) + " \"" + std::string(name.substr(0, 40)) + "\"");
}

}  // namespace

absl::StatusOr<TagList> TagList::Parse(std::string_view text, size_t max_tags) {
  TagList list;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(';', begin), text.size());
    const std::string_view spec = text.substr(begin, end - begin);
    const size_t equals = spec.find('=');
    if (equals == spec.npos) {
      // Nothing may stand behind the last ";", and nowhere else.
      if (end == text.size() && !list.tags_.empty() && base::Trim(spec).empty()) return list;
      return Malformed("no tag=value in", base::Trim(spec));
    }
    Tag tag{base::Trim(spec.substr(0, equals)), base::Trim(spec.substr(equals + 1)),
            begin + equals + 1, end};
    if (!IsTagName(tag.name)) return Malformed("bad tag name", tag.name);
    if (!IsTagValue(tag.value)) return Malformed("bad character in tag", tag.name);
    // RFC 6376 §3.2: tags with duplicate names must not occur; the whole list is invalid.
    if (list.Find(tag.name) != nullptr) return Malformed("duplicate tag", tag.name);
    if (list.tags_.size() == max_tags) return base::InvalidArgument("too many tags");
    list.tags_.push_back(tag);
    begin = end + 1;
  }
  return list;
}

const Tag* TagList::Find(std::string_view name) const {
  for (const Tag& tag : tags_) {
    if (tag.name == name) return &tag;
  }
  return nullptr;
}

std::string_view TagList::Value(std::string_view name) const {
  const Tag* tag = Find(name);
  return tag == nullptr ? std::string_view() : tag->value;
}

}  // namespace godwit::dkim
