#pragma once

// StepDeadline: cancels a call when the other side takes too long for its next step. The deadline
// of the call itself covers all of it, the time in which a slow client of ours sends included.
//
//   rpc::StepDeadline timer(stream.get(), absl::Seconds(30));
//   absl::Status sent = co_await stream->Write(std::move(request));   // Cancelled after 30 s
//   if (timer.fired()) ...                    // it was us: the other side may go on with its work
//
// On a reactor's thread; ends with its scope.

#include "absl/time/time.h"
#include "libs/net/reactor.h"

namespace godwit::rpc {

template <typename Stream>
class StepDeadline : public net::Reactor::Deadline {
 public:
  StepDeadline(Stream* stream, absl::Duration deadline) : stream_(stream) {
    Arm(net::Reactor::Current(), deadline);
  }

  bool fired() const { return fired_; }

 private:
  void OnDeadline() override {
    fired_ = true;
    stream_->Cancel();
  }
  Stream* const stream_;
  bool fired_ = false;
};

}  // namespace godwit::rpc
