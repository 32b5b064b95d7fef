// The stream of commands: the same events whether it comes whole or byte by byte; nothing kept
// beyond the limits; APPEND gives exactly the bytes it announced.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "libs/base/check.h"
#include "libs/imap/command_parser.h"

namespace {

namespace imap = godwit::imap;

imap::Limits SmallLimits() {
  imap::Limits limits;
  limits.command_bytes = 2000;
  limits.literal_bytes = 500;
  limits.depth = 10;
  limits.list_items = 50;
  return limits;
}

class Log {
 public:
  explicit Log(bool refuse) : parser_(SmallLimits()), refuse_(refuse) {}

  void Feed(std::string_view in) {
    const size_t given = in.size();
    for (size_t events = 0;; ++events) {
      // Every event but a few takes at least a byte.
      GODWIT_CHECK(events <= 3 * given + 3);
      auto event = parser_.Next(&in);
      if (std::holds_alternative<imap::NeedMore>(event)) break;
      std::visit([this](const auto& e) { Note(e); }, event);
    }
    GODWIT_CHECK(in.empty());
  }

  std::string text;

 private:
  void Note(const imap::NeedMore&) {}
  void Note(const imap::NeedContinuation&) { text += "+\n"; }
  void Note(const imap::Command& command) {
    text += command.tag + ' ';
    text += imap::VerbName(command.verb);
    text += " " + std::to_string(command.arguments.index()) + "\n";
    if (command.verb == imap::Verb::kIdle) parser_.ExpectLine();
  }
  void Note(const imap::AppendStart& start) {
    text += "append " + start.header.mailbox + "\n";
    left_ = start.size;
    if (refuse_) parser_.RefuseAppend();
  }
  void Note(const imap::AppendChunk& chunk) {
    GODWIT_CHECK(!refuse_ && chunk.bytes.size() <= left_);
    left_ -= chunk.bytes.size();
    text += chunk.bytes;
  }
  void Note(const imap::AppendEnd& end) {
    GODWIT_CHECK(left_ == 0);
    text += "end " + end.tag + "\n";
  }
  void Note(const imap::Line& line) { text += "line " + line.text + "\n"; }
  void Note(const imap::Malformed& bad) {
    GODWIT_CHECK(!bad.reason.empty());
    text += "bad " + bad.tag + (bad.fatal ? "!\n" : "\n");
  }

  imap::CommandParser parser_;
  bool refuse_;
  uint64_t left_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const bool refuse : {false, true}) {
    Log whole(refuse);
    whole.Feed(input);
    Log bytes(refuse);
    for (size_t i = 0; i < input.size(); ++i) bytes.Feed(input.substr(i, 1));
    GODWIT_CHECK(whole.text == bytes.text);
  }
  return 0;
}
