#pragma once

// CommandParser: bytes of the client -> SMTP commands (RFC 5321 §4.1). It knows lines and verbs;
// arguments are read by path.h and parameter.h, order is judged by server.h.
//
// A line ends at CRLF and nowhere else. A line with a bare CR, a bare LF or a NUL is Malformed as a
// whole, up to its CRLF: whatever stood behind the bare line end never becomes a command.
// The same commands come for every split of the same bytes. One thread; owns a buffer of at most
// `line` octets, and only while a line is incomplete.
//
//   CommandParser parser;
//   std::string_view in = "NOOP\r\nQUIT\r\n";
//   auto result = parser.Next(&in);  // Command{kNoop}; in is "QUIT\r\n"

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "libs/smtp/need_more.h"
#include "libs/smtp/reply.h"

namespace godwit::smtp {

enum class Verb {
  kUnknown,
  kHelo,
  kEhlo,
  kMail,
  kRcpt,
  kData,
  kRset,
  kNoop,
  kQuit,
  kVrfy,
  kExpn,
  kHelp,
  kStartTls,
  kAuth,
  kBdat,
  kEtrn,
  kHttp,  // GET, POST, PROXY and the like: a client that speaks another protocol
};

std::string_view VerbName(Verb verb);

struct Command {
  Verb verb = Verb::kUnknown;
  // What follows the verb, without spaces around it and without CRLF. MAIL and RCPT: what follows
  // "FROM:" and "TO:", beginning with the path.
  std::string argument;
  friend bool operator==(const Command&, const Command&) = default;
};

// A line that is no command; the session stays in step and answers `reply`.
struct Malformed {
  Reply reply;
  // Nothing sensible can follow (a line without end): answer and close.
  bool fatal = false;
  // The line began as DATA: what follows may be the text of a message. (One that began as BDAT is
  // fatal: what follows it is no command for sure.)
  bool before_data = false;
  friend bool operator==(const Malformed&, const Malformed&) = default;
};

class CommandParser {
 public:
  struct Limits {
    // RFC 5321 §4.5.3.1.4 has 512 octets, CRLF included, and each extension adds its own; we are
    // generous, as long as it is bounded.
    size_t line = 2048;
    // A longer line is read to its end and answered 500, up to this many octets.
    size_t discard = 65536;
  };
  using ParseResult = std::variant<NeedMore, Command, Malformed>;

  CommandParser() = default;
  explicit CommandParser(const Limits& limits) : limits_(limits) {}

  // Takes what it used from the front of `*in`; NeedMore took all of it.
  ParseResult Next(std::string_view* in);

  // The same for a line that is no command, without its CRLF: an answer to a challenge (RFC 4954
  // §4). At most `limit` octets with it.
  using LineResult = std::variant<NeedMore, std::string, Malformed>;
  LineResult NextLine(std::string_view* in, size_t limit);

  // True between two commands: no octet of an unfinished line was taken.
  bool at_line_start() const { return length_ == 0; }
  // Forgets an unfinished line (TLS began: RFC 3207 §4.2).
  void Reset();

 private:
  using RawResult = std::variant<NeedMore, std::string_view, Malformed>;
  // The view is of the input or of `line_`.
  RawResult TakeLine(std::string_view* in, size_t limit);

  Limits limits_;
  std::string line_;     // of the line that TakeLine gave, when it came in pieces
  std::string partial_;  // an unfinished line, at most its limit's octets of it
  size_t length_ = 0;    // octets of the unfinished line, also those not kept
  char last_ = '\0';     // the last of them
};

}  // namespace godwit::smtp
