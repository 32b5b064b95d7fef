#include "libs/smtp/command_parser.h"

#include <utility>

#include "libs/base/ascii.h"

namespace godwit::smtp {
namespace {

struct Row {
  Verb verb;
  std::string_view name;
};

constexpr Row kVerbs[] = {
    {Verb::kHelo, "HELO"},
    {Verb::kEhlo, "EHLO"},
    {Verb::kMail, "MAIL"},
    {Verb::kRcpt, "RCPT"},
    {Verb::kData, "DATA"},
    {Verb::kRset, "RSET"},
    {Verb::kNoop, "NOOP"},
    {Verb::kQuit, "QUIT"},
    {Verb::kVrfy, "VRFY"},
    {Verb::kExpn, "EXPN"},
    {Verb::kHelp, "HELP"},
    {Verb::kStartTls, "STARTTLS"},
    {Verb::kAuth, "AUTH"},
    {Verb::kBdat, "BDAT"},
    {Verb::kEtrn, "ETRN"},
    // Other protocols. A web page can make a browser send lines of the user's choice to our port
    // (RFC 5321 knows no such verb): such a connection ends at once.
    {Verb::kHttp, "GET"},
    {Verb::kHttp, "POST"},
    {Verb::kHttp, "HEAD"},
    {Verb::kHttp, "PUT"},
    {Verb::kHttp, "OPTIONS"},
    {Verb::kHttp, "CONNECT"},
    {Verb::kHttp, "DELETE"},
    {Verb::kHttp, "PATCH"},
    {Verb::kHttp, "TRACE"},
    {Verb::kHttp, "PRI"},
    {Verb::kHttp, "PROXY"},
};

Verb FindVerb(std::string_view name) {
  for (const Row& row : kVerbs) {
    if (base::EqualsIgnoreCase(row.name, name)) return row.verb;
  }
  return Verb::kUnknown;
}

// RFC 5321 §4.1.1.2, §4.1.1.3: "FROM:" and "TO:" follow after one space; spaces behind the colon
// are wrong, and so common that they are taken.
bool TakeKeyword(std::string_view keyword, std::string_view* argument) {
  if (!base::StartsWithIgnoreCase(*argument, keyword)) return false;
  argument->remove_prefix(keyword.size());
  *argument = base::Trim(*argument);
  return true;
}

CommandParser::ParseResult ParseLine(std::string_view line) {
  const size_t space = line.find(' ');
  const Verb verb = FindVerb(line.substr(0, space));
  std::string_view argument;
  if (space != std::string_view::npos) argument = base::Trim(line.substr(space));
  if (verb == Verb::kMail && !TakeKeyword("FROM:", &argument)) {
    return Malformed{MakeReply(ReplyKind::kBadArguments, "Syntax: MAIL FROM:<address>")};
  }
  if (verb == Verb::kRcpt && !TakeKeyword("TO:", &argument)) {
    return Malformed{MakeReply(ReplyKind::kBadArguments, "Syntax: RCPT TO:<address>")};
  }
  return Command{verb, std::string(argument)};
}

Malformed BadLine(ReplyKind kind, std::string_view line) {
  return {MakeReply(kind), base::StartsWithIgnoreCase(line, "BDAT"),
          base::StartsWithIgnoreCase(line, "DATA")};
}

// RFC 5321 §2.3.8: CR and LF occur together only. `line` is without its CRLF.
bool HasStrayLineEnd(std::string_view line) {
  constexpr std::string_view kStray("\r\n\0", 3);
  return line.find_first_of(kStray) != std::string_view::npos;
}

// The position behind the first CRLF, `previous` being the octet before `in`; 0 when there is none.
size_t FindLineEnd(std::string_view in, char previous) {
  if (previous == '\r' && !in.empty() && in.front() == '\n') return 1;
  const size_t at = in.find("\r\n");
  return at == std::string_view::npos ? 0 : at + 2;
}

}  // namespace

std::string_view VerbName(Verb verb) {
  for (const Row& row : kVerbs) {
    if (row.verb == verb) return row.name;
  }
  return "?";
}

void CommandParser::Reset() {
  partial_.clear();
  length_ = 0;
  last_ = '\0';
}

CommandParser::ParseResult CommandParser::Next(std::string_view* in) {
  RawResult result = TakeLine(in, limits_.line);
  if (std::holds_alternative<NeedMore>(result)) return NeedMore{};
  if (auto* malformed = std::get_if<Malformed>(&result)) return *malformed;
  ParseResult parsed = ParseLine(std::get<std::string_view>(result));
  line_ = {};
  return parsed;
}

CommandParser::LineResult CommandParser::NextLine(std::string_view* in, size_t limit) {
  RawResult result = TakeLine(in, limit);
  if (std::holds_alternative<NeedMore>(result)) return NeedMore{};
  if (auto* malformed = std::get_if<Malformed>(&result)) return *malformed;
  std::string line(std::get<std::string_view>(result));
  line_ = {};
  return line;
}

CommandParser::RawResult CommandParser::TakeLine(std::string_view* in, size_t limit) {
  const size_t end = FindLineEnd(*in, last_);
  // Only as much as may be discarded is looked at, so that the same octet is the last of an
  // endless line for every split.
  const size_t take = end == 0 ? in->size() : end;
  if (length_ + take > limits_.discard) {
    in->remove_prefix(limits_.discard > length_ ? limits_.discard - length_ : 0);
    Reset();
    return Malformed{MakeReply(ReplyKind::kLineTooLong), true};
  }
  std::string_view line = in->substr(0, take);
  in->remove_prefix(take);
  size_t length = take;
  if (end == 0 || length_ != 0) {  // else the usual case: nothing is copied
    length_ += take;
    if (partial_.size() < limit + 1) partial_ += line.substr(0, limit + 1 - partial_.size());
    if (!line.empty()) last_ = line.back();
    if (end == 0) return NeedMore{};
    line_ = std::exchange(partial_, {});
    line = line_;
    length = length_;
    Reset();
  }
  if (length > limit) return BadLine(ReplyKind::kLineTooLong, line);
  line.remove_suffix(2);
  if (HasStrayLineEnd(line)) return BadLine(ReplyKind::kBadLineEnd, line);
  return line;
}

}  // namespace godwit::smtp
