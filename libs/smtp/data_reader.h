#pragma once

// DataReader: the decoder of mail data, of DATA (RFC 5321 §4.1.1.4, §4.5.2) and of BDAT (RFC 3030
// §2): takes the dots of transparency away and finds the end (DATA), judges line ends and counts
// (both). This is the one place where the line ends of a message are judged.
//
// - The data of DATA ends at <CRLF>.<CRLF> and at nothing else: not at <LF>.<LF>, <CR>.<CR>,
// <LF>.<CRLF>
//   or <CRLF>.<LF> ("SMTP smuggling").
// - A bare CR or bare LF anywhere makes the message bad: the rest is read and dropped to the true
//   end, so that the session stays in step, and the end says why.
// - Chunks are views of the input (or of a constant), never copies; they are valid as long as the
//   input. Joined, they and the end are the same for every split of the same bytes (of a bad
//   message they are some front part of it); a CR at the end of an input is held back until its LF
//   is seen.
// - The data of BDAT has no dots and no end of its own: the caller counts the octets of the chunks.
//   Of BODY=BINARYMIME any octets are good; who stores them as lines judges them once more
//   (libs/ingest/line_form.h).
//
// One thread; holds no memory.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "libs/smtp/need_more.h"
#include "libs/smtp/reply.h"

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

// How the data stands on the wire.
enum class DataFraming {
  kDots,    // DATA: lines, ended by a dot
  kChunks,  // BDAT: lines
  kBinary,  // BDAT after BODY=BINARYMIME: octets
};

class DataReader {
 public:
  struct Limits {
    uint64_t size = 100 << 20;
    // RFC 5322 §2.1.1, RFC 5321 §4.5.3.1.6: 998 octets and CRLF.
    size_t line = 998;
  };
  using Result = std::variant<NeedMore, DataChunk, DataEnd>;

  explicit DataReader(const Limits& limits, DataFraming framing = DataFraming::kDots)
      : limits_(limits), framing_(framing) {}

  // Takes what it used from the front of `*in`; NeedMore took all of it. After DataEnd the rest of
  // `*in` is the next command, and Next is not called again. DataEnd comes with kDots only.
  Result Next(std::string_view* in);

  // Octets of the message so far, also those dropped after an error.
  uint64_t size() const { return size_; }
  DataError error() const { return error_; }
  // kChunks: the last line has not got its CRLF. A message may end so; feed "\r\n" then.
  bool in_line() const { return framing_ == DataFraming::kChunks && state_ != State::kLineStart; }

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
  //
  // kChunks: a dot is text. kBinary: stays in kLineStart.
  enum class State { kLineStart, kDot, kDotCr, kText, kCr };

  void Fail(DataError error);
  void Count(size_t octets);
  void CountText(size_t octets);
  std::string_view TakeText(std::string_view* in);
  bool TakeLine(std::string_view* rest);
  std::string_view TakeOctets(std::string_view* in);
  bool MayBeDot(char c) const { return c == '.' && framing_ == DataFraming::kDots; }

  Limits limits_;
  DataFraming framing_;
  State state_ = State::kLineStart;  // the CRLF of the command came before
  DataError error_ = DataError::kNone;
  uint64_t size_ = 0;
  size_t line_length_ = 0;  // octets of the current line so far
};

// What a message with that fault is answered. Not for kNone.
ReplyKind ReplyFor(DataError error);

}  // namespace godwit::smtp
