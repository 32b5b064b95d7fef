#include "libs/smtp/data_reader.h"

#include <algorithm>
#include <utility>

namespace godwit::smtp {

void DataReader::Fail(DataError error) {
  if (error_ == DataError::kNone) error_ = error;
}

void DataReader::Count(size_t octets) {
  size_ += octets;
  if (size_ > limits_.size) Fail(DataError::kTooBig);
}

// Text of a line. Of two limits the one that is passed first counts, whatever the split.
void DataReader::CountText(size_t octets) {
  const uint64_t size_room = limits_.size > size_ ? limits_.size - size_ : 0;
  const uint64_t line_room = limits_.line > line_length_ ? limits_.line - line_length_ : 0;
  if (octets > line_room && line_room < size_room) Fail(DataError::kLineTooLong);
  line_length_ += octets;
  Count(octets);
}

DataReader::Result DataReader::Next(std::string_view* in) {
  while (!in->empty()) {
    const char c = in->front();
    std::string_view chunk;
    switch (state_) {
      case State::kLineStart:
        if (framing_ == DataFraming::kBinary) {
          chunk = TakeOctets(in);
          break;
        }
        if (MayBeDot(c)) {
          in->remove_prefix(1);
          state_ = State::kDot;
        } else {
          state_ = State::kText;
        }
        continue;
      case State::kDot:
        // RFC 5321 §4.5.2: a dot at the start of a line is deleted; alone on it, it is the end.
        if (c == '\r') {
          in->remove_prefix(1);
          state_ = State::kDotCr;
        } else {
          state_ = State::kText;
        }
        continue;
      case State::kDotCr:
        if (c == '\n') {
          in->remove_prefix(1);
          return DataEnd{error_, size_};
        }
        Fail(DataError::kBadLineEnd);
        state_ = State::kText;
        continue;
      case State::kCr:
        if (c != '\n') {
          Fail(DataError::kBadLineEnd);
          state_ = State::kText;
          continue;
        }
        in->remove_prefix(1);
        state_ = State::kLineStart;
        line_length_ = 0;
        Count(2);
        chunk = "\r\n";
        break;
      case State::kText: chunk = TakeText(in); break;
    }
    if (error_ == DataError::kNone && !chunk.empty()) return DataChunk{chunk};
  }
  return NeedMore{};
}

std::string_view DataReader::TakeOctets(std::string_view* in) {
  Count(in->size());
  return std::exchange(*in, {});
}

// Takes lines and the start of a last, unfinished one, as far as the octets stand together in the
// message too: up to a line that begins with a dot, a fault, or a CR whose LF is not there yet.
std::string_view DataReader::TakeText(std::string_view* in) {
  std::string_view rest = *in;
  while (TakeLine(&rest)) {
    if (rest.empty() || MayBeDot(rest.front())) {
      state_ = State::kLineStart;
      break;
    }
  }
  // A CR held back is used, and comes with its LF.
  const size_t held = state_ == State::kCr ? 1 : 0;
  const std::string_view chunk = in->substr(0, in->size() - rest.size() - held);
  *in = rest;
  return chunk;
}

// Takes one line with its CRLF and returns true; or what there is of it, and returns false.
bool DataReader::TakeLine(std::string_view* rest) {
  size_t end = std::min(rest->find('\n'), rest->size());
  end = std::min(rest->substr(0, end).find('\r'), end);  // the first CR or LF
  CountText(end);
  rest->remove_prefix(end);
  if (rest->empty()) return false;
  if (rest->front() == '\n') {
    // RFC 5321 §2.3.8: LF without CR. Such a line does not end here.
    Fail(DataError::kBadLineEnd);
    rest->remove_prefix(1);
    Count(1);
    return false;
  }
  if (rest->size() == 1 || (*rest)[1] != '\n') {
    rest->remove_prefix(1);
    state_ = State::kCr;
    return false;
  }
  rest->remove_prefix(2);
  Count(2);
  line_length_ = 0;
  return true;
}

ReplyKind ReplyFor(DataError error) {
  switch (error) {
    case DataError::kTooBig: return ReplyKind::kSizeExceeded;
    case DataError::kLineTooLong: return ReplyKind::kMessageLineTooLong;
    case DataError::kBadLineEnd:
    case DataError::kNone: break;
  }
  return ReplyKind::kBadMessageLineEnd;
}

}  // namespace godwit::smtp
