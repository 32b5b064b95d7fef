#pragma once

// DataReader: the decoder of the mail data that follows DATA (RFC 5321 §4.1.1.4, §4.5.2): takes the
// dots of transparency away, finds the end, judges line ends. This is the one place where the line
// ends of a message are judged.
//
// - The data ends at <CRLF>.<CRLF> and at nothing else: not at <LF>.<LF>, <CR>.<CR>, <LF>.<CRLF>
//   or <CRLF>.<LF> ("SMTP smuggling").
// - A bare CR or bare LF anywhere makes the message bad: the rest is read and dropped to the true
//   end, so that the session stays in step, and the end says why.
// - Chunks are views of the input (or of a constant), never copies; they are valid as long as the
//   input. Joined, they and the end are the same for every split of the same bytes (of a bad
//   message they are some front part of it); a CR at the end of an input is held back until its LF
//   is seen.
//
// One thread; holds no memory.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "libs/smtp/need_more.h"

namespace godwit::smtp {

enum class DataError {
  kNone,
  kBadLineEnd,   // bare CR or bare LF
  kTooBig,       // more octets than Limits::size
  kLineTooLong,  // a line of more than Limits::line octets without its CRLF
};

// A piece of the message, without the dots of transparency. Never empty.
struct DataChunk {
  std::string_view bytes;
  friend bool operator==(const DataChunk&, const DataChunk&) = default;
};

struct DataEnd {
  DataError error = DataError::kNone;  // the first fault; kNone: the chunks were all of it
  // RFC 1870 §4: octets with CRLFs, without dots of transparency and the final dot. Counts on
  // after an error.
  uint64_t size = 0;
  friend bool operator==(const DataEnd&, const DataEnd&) = default;
};

class DataReader {
 public:
  struct Limits {
    uint64_t size = 100 << 20;
    // RFC 5322 §2.1.1, RFC 5321 §4.5.3.1.6: 998 octets and CRLF.
    size_t line = 998;
  };
  using Result = std::variant<NeedMore, DataChunk, DataEnd>;

  explicit DataReader(const Limits& limits) : limits_(limits) {}

  // Takes what it used from the front of `*in`; NeedMore took all of it. After DataEnd the rest of
  // `*in` is the next command, and Next is not called again.
  Result Next(std::string_view* in);

  // Octets of the message so far, also those dropped after an error.
  uint64_t size() const { return size_; }
  DataError error() const { return error_; }

 private:
  // Where the next octet stands:
  //
  //   kLineStart --"."--> kDot --CR--> kDotCr --LF--> the end
  //       |                 |              |
  //       v                 v (dot gone)   v (bare CR)
  //     kText <-------------+--------------+
  //       | CR                 ^
  //       v        not LF: bad |
  //      kCr ------------------+--LF--> kLineStart
  enum class State { kLineStart, kDot, kDotCr, kText, kCr };

  void Fail(DataError error);
  void Count(size_t octets);
  void CountText(size_t octets);
  std::string_view TakeText(std::string_view* in);
  bool TakeLine(std::string_view* rest);

  Limits limits_;
  State state_ = State::kLineStart;  // the CRLF of the DATA command came before
  DataError error_ = DataError::kNone;
  uint64_t size_ = 0;
  size_t line_length_ = 0;  // octets of the current line so far
};

}  // namespace godwit::smtp
