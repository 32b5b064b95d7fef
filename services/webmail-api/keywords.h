#pragma once

// Keywords of JMAP (RFC 8621 §4.1.1) and flags of the store.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/jmap/email.h"
#include "libs/store/flags.h"

namespace godwit::webmail_api {

struct SystemKeyword {
  std::string_view name;
  store::Flag flag;
};
inline constexpr SystemKeyword kSystemKeywords[] = {{jmap::kKeywordSeen, store::kSeen},
                                                    {jmap::kKeywordFlagged, store::kFlagged},
                                                    {jmap::kKeywordAnswered, store::kAnswered},
                                                    {jmap::kKeywordDraft, store::kDraft}};

// The flag of a keyword (lower case); 0 for one that is a name of its own.
inline store::FlagMask FlagOf(std::string_view keyword) {
  for (const SystemKeyword& system : kSystemKeywords) {
    if (system.name == keyword) return system.flag;
  }
  return 0;
}

// Splits keywords into flags and names.
inline void SplitKeywords(const std::vector<std::string>& keywords, store::FlagMask* flags,
                          std::vector<std::string>* names) {
  for (const std::string& keyword : keywords) {
    const store::FlagMask flag = FlagOf(keyword);
    *flags |= flag;
    if (flag == 0) names->push_back(keyword);
  }
}

// In lower case; a name that JMAP can not have is left out.
inline std::vector<std::string> KeywordNames(const store::Flags& flags,
                                             const std::map<store::KeywordId, std::string>& names) {
  std::vector<std::string> keywords;
  for (const SystemKeyword& system : kSystemKeywords) {
    if ((flags.mask & system.flag) != 0) keywords.emplace_back(system.name);
  }
  for (const store::KeywordId id : flags.keywords) {
    const auto name = names.find(id);
    if (name != names.end() && jmap::IsKeyword(name->second)) {
      keywords.push_back(base::Lower(name->second));
    }
  }
  return keywords;
}

}  // namespace godwit::webmail_api
