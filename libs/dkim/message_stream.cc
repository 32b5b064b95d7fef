#include "libs/dkim/message_stream.h"

#include <algorithm>
#include <utility>

namespace godwit::dkim {

MessageStream::MessageStream(size_t max_header_bytes, HeaderHook on_header)
    : max_header_bytes_(max_header_bytes), on_header_(std::move(on_header)) {}

bool MessageStream::Feed(std::string_view chunk) {
  if (state_ == State::kBody) {
    body_.Feed(chunk);
    return true;
  }
  if (state_ != State::kHeader) return state_ != State::kTooLarge;

  // Four octets, so that an end that was cut by the chunks is found.
  const size_t from = collected_.size() < 3 ? 0 : collected_.size() - 3;
  const size_t room = max_header_bytes_ + 4 - std::min(collected_.size(), max_header_bytes_ + 4);
  const size_t taken = std::min(chunk.size(), room);
  collected_.append(chunk.substr(0, taken));
  const size_t end = collected_.find("\r\n\r\n", from);
  size_t behind = 0;
  if (collected_.starts_with("\r\n")) {
    behind = 2;
    HeaderComplete(0);
  } else if (end != collected_.npos) {
    behind = end + 4;
    HeaderComplete(end + 2);
  } else if (taken < chunk.size()) {
    state_ = State::kTooLarge;
    collected_ = {};
    return false;
  } else {
    return true;
  }
  body_.Feed(std::string_view(collected_).substr(behind));
  collected_ = {};
  body_.Feed(chunk.substr(taken));
  return true;
}

void MessageStream::HeaderComplete(size_t header_size) {
  header_ = HeaderBlock::Parse(collected_.substr(0, header_size));
  state_ = State::kBody;
  if (on_header_) on_header_(header_, body_);
}

void MessageStream::End() {
  if (state_ == State::kHeader) HeaderComplete(collected_.size());
  if (state_ != State::kBody) return;
  state_ = State::kEnded;
  body_.End();
}

}  // namespace godwit::dkim
