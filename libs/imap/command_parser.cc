#include "libs/imap/command_parser.h"

#include <algorithm>
#include <utility>

#include "libs/imap/cursor.h"

namespace godwit::imap {
namespace {

// What a buffer may keep between commands.
constexpr size_t kKeptCapacity = 256;

constexpr std::string_view kCrlf = "\r\n";

bool HasStrayControl(std::string_view line) {
  return line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

void CommandParser::Forget() {
  // It may have held a password.
  std::fill(buffer_.begin(), buffer_.end(), '\0');
  if (buffer_.capacity() > kKeptCapacity) {
    buffer_ = std::string();
  } else {
    buffer_.clear();
  }
  line_start_ = 0;
  state_ = State::kLine;
}

std::string CommandParser::Tag() const {
  Cursor cursor(buffer_, limits_);
  const auto tag = cursor.Tag();
  return tag && cursor.Peek() == ' ' ? std::string(*tag) : std::string();
}

CommandParser::Event CommandParser::Broken(std::string_view reason) {
  Forget();
  state_ = State::kBroken;
  return Malformed{"", std::string(reason), true};
}

CommandParser::Event CommandParser::Reject(std::string_view reason) {
  Malformed malformed{Tag(), std::string(reason), false};
  Forget();
  return malformed;
}

CommandParser::Event CommandParser::Next(std::string_view* in) {
  bool again = true;
  Event event = NeedMore{};
  while (again) {
    again = false;
    switch (state_) {
      case State::kLine:
      case State::kAppendTail:
      case State::kSkipTail: event = TakeLine(in, &again); break;
      case State::kLiteral:
      case State::kAppend:
      case State::kSkip: event = TakeBytes(in, &again); break;
      case State::kBroken: in->remove_prefix(in->size()); return NeedMore{};
    }
  }
  return event;
}

// Adds to the buffer up to the end of a line.
CommandParser::Event CommandParser::TakeLine(std::string_view* in, bool* again) {
  const size_t end = in->find('\n');
  const size_t size = end == std::string_view::npos ? in->size() : end + 1;
  const size_t room = limits_.command_bytes - std::min(limits_.command_bytes, buffer_.size());
  if (size > room) {
    in->remove_prefix(in->size());
    return Broken("Command is too long");
  }
  buffer_ += in->substr(0, size);
  in->remove_prefix(size);
  if (end == std::string_view::npos) return NeedMore{};
  return OnLine(again);
}

CommandParser::Event CommandParser::OnLine(bool* again) {
  std::string_view line = std::string_view(buffer_).substr(line_start_);
  const bool crlf = line.size() >= 2 && line.substr(line.size() - 2) == kCrlf;
  if (crlf) line.remove_suffix(2);
  // RFC 9051 §2.2: lines end with CRLF. Guessing at anything else is how streams get out of step.
  if (!crlf || HasStrayControl(line))
    return Broken("Line does not end with CRLF, or has a control");
  if (state_ == State::kAppendTail) return OnAppendTail();
  if (state_ == State::kSkipTail) {
    Forget();
    *again = true;
    return NeedMore{};
  }
  if (line_expected_) {
    line_expected_ = false;
    Line event{std::string(line)};
    Forget();
    return event;
  }
  return OnCommandLine(line, again);
}

CommandParser::Event CommandParser::OnCommandLine(std::string_view line, bool* again) {
  const auto literal = FindLiteralHeader(line);
  if (literal) return OnLiteral(*literal, again);
  const std::string_view text = std::string_view(buffer_).substr(0, buffer_.size() - kCrlf.size());
  auto parsed = ParseCommand(text, limits_);
  Forget();
  if (auto* malformed = std::get_if<Malformed>(&parsed)) return std::move(*malformed);
  return std::get<Command>(std::move(parsed));
}

CommandParser::Event CommandParser::OnLiteral(const LiteralHeader& header, bool* again) {
  const size_t before = line_start_ + header.position;
  if (auto append = ParseAppend(std::string_view(buffer_).substr(0, before), limits_)) {
    return OnAppend(header, *std::move(append));
  }
  const bool too_large =
      header.size > limits_.literal_bytes || header.size > limits_.command_bytes - buffer_.size();
  if (too_large) {
    // RFC 7888 §4: a client that waits can be told; one that does not has to be cut off.
    if (header.synchronizing) return Reject("Literal is too large");
    return Broken("Literal is too large");
  }
  state_ = State::kLiteral;
  remaining_ = header.size;
  if (header.synchronizing) return NeedContinuation{};
  *again = true;
  return NeedMore{};
}

CommandParser::Event CommandParser::OnAppend(const LiteralHeader& header, AppendHeader append) {
  // RFC 6855 §4: literal8 inside "UTF8 (...)".
  if (append.utf8 && !header.binary) return Reject("UTF8 needs literal8");
  append_tag_ = append.tag;
  append_utf8_ = append.utf8;
  append_synchronizing_ = header.synchronizing;
  Forget();
  state_ = State::kAppend;
  remaining_ = header.size;
  return AppendStart{std::move(append), header.size, header.synchronizing, header.binary};
}

void CommandParser::RefuseAppend() {
  state_ = append_synchronizing_ ? State::kLine : State::kSkip;
  append_tag_.clear();
}

CommandParser::Event CommandParser::TakeBytes(std::string_view* in, bool* again) {
  if (in->empty() && remaining_ > 0) return NeedMore{};
  const std::string_view bytes = in->substr(0, std::min<uint64_t>(remaining_, in->size()));
  in->remove_prefix(bytes.size());
  remaining_ -= bytes.size();
  const State now = state_;
  if (now == State::kLiteral) buffer_ += bytes;
  if (remaining_ == 0) {
    state_ = now == State::kLiteral  ? State::kLine
             : now == State::kAppend ? State::kAppendTail
                                     : State::kSkipTail;
    line_start_ = buffer_.size();
  }
  if (now == State::kAppend && !bytes.empty()) return AppendChunk{bytes};
  *again = true;
  return NeedMore{};
}

CommandParser::Event CommandParser::OnAppendTail() {
  const bool good = std::string_view(buffer_) == (append_utf8_ ? ")\r\n" : kCrlf);
  Forget();
  std::string tag = std::exchange(append_tag_, {});
  // RFC 3502 (MULTIAPPEND) is not offered, so nothing may follow.
  if (!good) return Malformed{std::move(tag), "unexpected text after the message", false};
  return AppendEnd{std::move(tag)};
}

}  // namespace godwit::imap
