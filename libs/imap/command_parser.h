#pragma once

// CommandParser: a client's bytes to commands, whatever way the network cut them.
//
//   start ──line without literal──> Command | Malformed
//     │ ──line with literal──> literal ──its bytes──> start       ({n}: NeedContinuation first)
//     │ ──APPEND's message literal──> AppendStart, then AppendChunk ... AppendEnd
//     └──ExpectLine()──> Line                                    (AUTHENTICATE's answers, DONE)
//
//   CommandParser parser(limits);
//   std::string_view in = bytes;
//   while (true) {
//     CommandParser::Event event = parser.Next(&in);
//     if (std::holds_alternative<NeedMore>(event)) break;      // all of `in` was taken
//     ...
//   }
//
// A command is kept until it is complete (Limits::command_bytes), APPEND's message never: its
// bytes are handed through. Nothing is kept between commands, so an idle session costs no buffer.
// Bare CR, bare LF and NUL in a line are judged here, and only here: they are fatal. One owner; no
// thread rule.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "libs/imap/command.h"
#include "libs/imap/limits.h"

namespace godwit::imap {

// All input was taken; nothing to do before more comes.
struct NeedMore {};
// A synchronizing literal was announced: send "+ OK".
struct NeedContinuation {};
// An APPEND up to its message. Before the next Next(): nothing, to take it (and send a
// continuation when it is `synchronizing`), or RefuseAppend().
struct AppendStart {
  AppendHeader header;
  uint64_t size = 0;
  bool synchronizing = true;
  bool binary = false;  // literal8
};
// Bytes of the message; a view into the input.
struct AppendChunk {
  std::string_view bytes;
};
// The command is complete: `size` bytes were given.
struct AppendEnd {
  std::string tag;
};
// What ExpectLine() asked for, without CRLF.
struct Line {
  std::string text;
};

class CommandParser {
 public:
  using Event = std::variant<NeedMore, NeedContinuation, Command, AppendStart, AppendChunk,
                             AppendEnd, Line, Malformed>;

  explicit CommandParser(const Limits& limits) : limits_(limits) {}

  // Takes what it used from the front of `*in`.
  Event Next(std::string_view* in);

  // The next line is no command but the answer to a challenge.
  void ExpectLine() { line_expected_ = true; }
  // After AppendStart: forgets the message. Of a non-synchronizing literal the bytes still come;
  // they are skipped without an event. `true` when the client must not be sent a continuation
  // and is ready for the tagged NO now (in both cases).
  void RefuseAppend();

  // After login.
  void set_limits(const Limits& limits) { limits_ = limits; }
  // Nothing of a command is kept: the place for STARTTLS to check, and for idling.
  bool empty() const { return state_ == State::kLine && buffer_.empty(); }

 private:
  enum class State { kLine, kLiteral, kAppend, kAppendTail, kSkip, kSkipTail, kBroken };

  Event TakeLine(std::string_view* in, bool* again);
  Event OnLine(bool* again);
  Event OnCommandLine(std::string_view line, bool* again);
  Event OnLiteral(const LiteralHeader& header, bool* again);
  Event OnAppend(const LiteralHeader& header, AppendHeader append);
  Event OnAppendTail();
  Event TakeBytes(std::string_view* in, bool* again);
  Event Broken(std::string_view reason);
  Event Reject(std::string_view reason);
  std::string Tag() const;
  void Forget();

  Limits limits_;
  State state_ = State::kLine;
  bool line_expected_ = false;
  bool append_utf8_ = false;
  bool append_synchronizing_ = true;
  std::string buffer_;      // the command so far
  size_t line_start_ = 0;   // where its unfinished line begins
  uint64_t remaining_ = 0;  // of a literal
  std::string append_tag_;
};

}  // namespace godwit::imap
