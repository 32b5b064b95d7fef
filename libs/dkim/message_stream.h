#pragma once

// A message as it arrives: the header is collected up to a limit, then the body runs through the
// hashes. At the moment the header is complete a hook is called, which asks for the hashes that are
// needed; it is shared by everything that looks at one message (DKIM, ARC).
//
// The input has CRLF line ends, dots unstuffed. The header ends at the first empty line, or at the
// end of the message. Not thread-safe.

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "libs/dkim/body_hashes.h"
#include "libs/dkim/header_block.h"

namespace godwit::dkim {

class MessageStream {
 public:
  using HeaderHook = absl::AnyInvocable<void(const HeaderBlock& header, BodyHashes& body)>;

  MessageStream(size_t max_header_bytes, HeaderHook on_header);

  // False once the header is larger than the limit: what follows is ignored and the hook is not
  // called.
  bool Feed(std::string_view chunk);
  // The message is complete. Further calls do nothing.
  void End();

  bool header_done() const { return state_ == State::kBody || state_ == State::kEnded; }
  bool header_too_large() const { return state_ == State::kTooLarge; }
  // After header_done().
  const HeaderBlock& header() const { return header_; }
  // Hashes can be read after End().
  const BodyHashes& body() const { return body_; }

 private:
  // kHeader -> kBody -> kEnded; kHeader -> kTooLarge.
  enum class State { kHeader, kBody, kEnded, kTooLarge };

  void HeaderComplete(size_t header_size);

  size_t max_header_bytes_;
  HeaderHook on_header_;
  State state_ = State::kHeader;
  std::string collected_;
  HeaderBlock header_;
  BodyHashes body_;
};

}  // namespace godwit::dkim
