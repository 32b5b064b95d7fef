#include "libs/mime/message_id.h"

#include "libs/mime/address.h"
#include "libs/mime/lexer.h"

namespace godwit::mime {
namespace {

constexpr size_t kMaxId = 998;

// After '<'. The id up to '>'; "" when it is not closed or is empty.
std::string OneId(Lexer* lexer) {
  std::string left;   // before the last '@'
  std::string right;  // after it
  bool at = false;
  for (;;) {
    lexer->SkipSpaceAndComments();
    if (lexer->done()) return "";
    if (lexer->Take('>')) break;
    if (lexer->peek() == '<') return "";  // never closed; the caller starts again here
    if (lexer->Take('@')) {
      if (at) left += '@' + right;
      right.clear();
      at = true;
      continue;
    }
    std::string* side = at ? &right : &left;
    if (lexer->peek() == '"' && !at) {
      *side += lexer->QuotedString();
    } else if (lexer->peek() == ')' || lexer->peek() == '"') {
      *side += lexer->peek();
      lexer->Advance();
    } else {
      *side += lexer->Word("<>@\"()");
    }
  }
  if (!at) return left;
  // RFC 5256 §3: <"a"@b> and <a@b> are the same id.
  return (left.empty() ? left : QuoteLocalPart(left)) + '@' + right;
}

}  // namespace

std::vector<std::string> ParseMessageIds(std::string_view value, size_t max) {
  std::vector<std::string> ids;
  Lexer lexer(value);
  while (!lexer.done()) {
    lexer.SkipSpaceAndComments();
    if (!lexer.Take('<')) {
      if (lexer.done()) break;
      // RFC 5322 §4.5.4: phrases, quoted strings among them, may stand between.
      if (lexer.peek() == '"')
        lexer.QuotedString();
      else
        lexer.Advance();
      continue;
    }
    std::string id = OneId(&lexer);
    if (id.empty() || id.size() > kMaxId) continue;
    ids.push_back(std::move(id));
  }
  if (ids.size() > max) {
    // All but the first and the last `max` - 1.
    const auto keep = static_cast<ptrdiff_t>(max == 0 ? 0 : max - 1);
    ids.erase(ids.begin() + (max == 0 ? 0 : 1), ids.end() - keep);
  }
  return ids;
}

}  // namespace godwit::mime
