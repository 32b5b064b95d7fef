#include "libs/imap/list_match.h"

#include <utility>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/imap/mailbox_name.h"

namespace godwit::imap {

std::string JoinListPattern(std::string_view reference, std::string_view pattern) {
  std::string joined;
  // RFC 9051 §6.3.9.1 leaves it to us: a pattern with a leading separator is absolute.
  if (pattern.empty() || pattern.front() != kHierarchySeparator) {
    joined = reference;
  } else {
    pattern.remove_prefix(1);
  }
  joined += pattern;
  const size_t end = joined.find_first_of("/%*");
  if (base::EqualsIgnoreCase(std::string_view(joined).substr(0, end), kInbox)) {
    joined.replace(0, kInbox.size(), kInbox);
  }
  return joined;
}

bool ListMatches(std::string_view pattern, std::string_view name) {
  // reach[j]: the pattern so far matches the first j bytes of the name.
  std::vector<bool> reach(name.size() + 1, false);
  reach[0] = true;
  for (const char p : pattern) {
    std::vector<bool> next(name.size() + 1, false);
    for (size_t j = 0; j <= name.size(); ++j) {
      if (p == '*' || p == '%') {
        const bool extends =
            j > 0 && next[j - 1] && (p == '*' || name[j - 1] != kHierarchySeparator);
        next[j] = reach[j] || extends;
      } else {
        next[j] = j > 0 && reach[j - 1] && name[j - 1] == p;
      }
    }
    reach = std::move(next);
  }
  return reach[name.size()];
}

}  // namespace godwit::imap
