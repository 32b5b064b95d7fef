#include "libs/smtp/reply_parser.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"

namespace godwit::smtp {
namespace {

// RFC 5321 §4.2: 2yz to 5yz, y from 0 to 5.
bool IsReplyCode(std::string_view text) {
  return text.size() == 3 && text[0] >= '2' && text[0] <= '5' && text[1] >= '0' && text[1] <= '5' &&
         base::IsDigit(text[2]);
}

// RFC 3463 §2: class "." subject "." detail, the last two of 1 to 3 digits.
bool IsEnhancedCode(std::string_view text, char code_class) {
  const auto parts = base::Split(text, '.');
  return parts.size() == 3 && parts[0].size() == 1 && parts[0][0] == code_class &&
         std::all_of(parts.begin() + 1, parts.end(), [](std::string_view part) {
           return part.size() <= 3 && base::ParseDecimal(part).has_value();
         });
}

void TakeEnhancedCode(Reply* reply) {
  const char code_class = static_cast<char>('0' + reply->code / 100);
  const std::string_view first = reply->lines.front();
  const std::string code(first.substr(0, first.find(' ')));
  if (!IsEnhancedCode(code, code_class)) return;
  for (std::string& line : reply->lines) {
    if (std::string_view(line).substr(0, line.find(' ')) != code) return;
  }
  reply->enhanced = code;
  for (std::string& line : reply->lines) line.erase(0, std::min(line.size(), code.size() + 1));
}

}  // namespace

ReplyParser::Result ReplyParser::Next(std::string_view* in) {
  while (!in->empty()) {
    const size_t lf = in->find('\n');
    const size_t take = lf == std::string_view::npos ? in->size() : lf + 1;
    if (partial_.size() + take > limits_.line) return MalformedReply{"reply line too long"};
    partial_ += in->substr(0, take);
    in->remove_prefix(take);
    if (lf == std::string_view::npos) break;
    const std::string line = std::exchange(partial_, {});
    auto result = TakeLine(line);
    if (!std::holds_alternative<NeedMore>(result)) return result;
  }
  return NeedMore{};
}

// Whole lines, so that an enhanced code is not cut; but something of the first in any case.
void ReplyParser::Keep(std::string_view text) {
  if (++lines_ == 1) {
    reply_.lines.emplace_back(text.substr(0, limits_.text));
  } else if (text.size() <= limits_.text - text_) {
    reply_.lines.emplace_back(text);
  } else {
    text_ = limits_.text;  // and nothing of what follows
    return;
  }
  text_ += reply_.lines.back().size();
}

// `line` ends with LF.
ReplyParser::Result ReplyParser::TakeLine(std::string_view line) {
  if (line.size() < 2 || line[line.size() - 2] != '\r') return MalformedReply{"bare LF in a reply"};
  line.remove_suffix(2);
  if (line.find('\r') != std::string_view::npos) return MalformedReply{"bare CR in a reply"};
  if (!IsReplyCode(line.substr(0, 3))) return MalformedReply{"no reply code"};
  const int code = static_cast<int>(*base::ParseDecimal(line.substr(0, 3)));
  line.remove_prefix(3);
  // RFC 5321 §4.2.1: "-" and more lines, or SP and the last; a code alone is a last line too.
  if (!line.empty() && line[0] != ' ' && line[0] != '-') return MalformedReply{"no reply code"};
  const bool last = line.empty() || line[0] == ' ';
  if (lines_ > 0 && reply_.code != code) return MalformedReply{"codes differ"};
  if (lines_ >= limits_.lines) return MalformedReply{"too many reply lines"};
  reply_.code = code;
  Keep(line.empty() ? line : line.substr(1));
  if (!last) return NeedMore{};
  lines_ = text_ = 0;
  TakeEnhancedCode(&reply_);
  return std::exchange(reply_, {});
}

}  // namespace godwit::smtp
