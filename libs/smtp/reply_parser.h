#pragma once

// ReplyParser: the client's side: bytes of a server -> Reply (RFC 5321 §4.2, §4.2.1). For the
// queue's deliveries, the benchmark and tests.
//
// Same replies for every split. Lines end with CRLF only; a bare CR or LF, a code that is none, or
// a line with another code in between is MalformedReply: the connection is of no use then. Text
// beyond Limits::text is dropped: a reply is kept for each recipient, and told to the sender.

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "libs/smtp/need_more.h"
#include "libs/smtp/reply.h"

namespace godwit::smtp {

struct MalformedReply {
  std::string what;  // for logs; holds nothing of the peer's octets
  friend bool operator==(const MalformedReply&, const MalformedReply&) = default;
};

class ReplyParser {
 public:
  struct Limits {
    size_t line = 4096;  // RFC 5321 §4.5.3.1.5 has 512; some servers write more
    size_t lines = 128;  // of one reply
    size_t text = 4096;  // of all its lines that is kept
  };
  using Result = std::variant<NeedMore, Reply, MalformedReply>;

  ReplyParser() = default;
  explicit ReplyParser(const Limits& limits) : limits_(limits) {}

  // Takes what it used from the front of `*in`; NeedMore took all of it. The enhanced status code
  // is taken out of the text where each line begins with one whose class fits the code (RFC 2034
  // §4).
  Result Next(std::string_view* in);

 private:
  Result TakeLine(std::string_view line);
  void Keep(std::string_view text);

  Limits limits_;
  std::string partial_;
  Reply reply_;
  size_t lines_ = 0;  // of reply_, those that were dropped included
  size_t text_ = 0;   // octets kept
};

}  // namespace godwit::smtp
