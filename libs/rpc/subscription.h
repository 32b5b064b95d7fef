#pragma once

// Subscription: a server stream that is kept open for as long as the object lives. For the clients'
// .cc files only: it brings gRPC's headers.
//
//   watch_ = std::make_unique<rpc::Subscription<WatchReply>>(
//       reactor, rpc::SubscriptionOptions{.name = "certificates"},
//       [this] { return OpenWatch(); },              // rpc::ResponseStream<WatchReply>::Open(...)
//       [this](WatchReply reply) { Take(std::move(reply)); });
//   ...
//   reactor->RunUntilDone(rpc::Subscription<WatchReply>::End(std::move(watch_)));
//
// A stream that ends, for whatever reason, is opened again after a pause, which doubles from
// `first_pause` to `longest_pause` with jitter, and begins anew once a stream has lived longer than
// `longest_pause`. Servers end streams on purpose, so that clients find new replicas (server.h):
// the first message of a stream should therefore be the whole state.
//
// `open` and `receive` are called on `reactor`, one at a time. End() it while the reactor runs:
// gRPC lets a stream go on a thread of its own, and wakes the reactor then.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/net/reactor.h"
#include "libs/rpc/call.h"

namespace godwit::rpc {

struct SubscriptionOptions {
  std::string name;  // in the log
  absl::Duration first_pause = absl::Milliseconds(100);
  absl::Duration longest_pause = absl::Seconds(10);
};

// Between half of `pause` and all of it.
absl::Duration WithJitter(absl::Duration pause);
// A line of the log: servers end streams on purpose, so a warning only when it never worked.
void LogLost(const SubscriptionOptions& options, const absl::Status& why, bool worked);

template <typename Response>
class Subscription {
 public:
  using Open = absl::AnyInvocable<std::unique_ptr<ResponseStream<Response>>()>;
  using Receive = absl::AnyInvocable<void(Response)>;

  Subscription(net::Reactor* reactor, SubscriptionOptions options, Open open, Receive receive)
      : core_(std::make_shared<Core>(reactor, std::move(options), std::move(open),
                                     std::move(receive))) {
    base::SpawnOn(reactor, Run(core_));
  }
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  // On the reactor. Nothing is called any more from now on; resumes when the stream is gone, and
  // what `open` uses, and the reactor, may go, too.
  static base::Task<bool> End(std::unique_ptr<Subscription> subscription) {
    const std::shared_ptr<Core> core = subscription->core_;
    core->stopped = true;
    if (core->stream != nullptr) core->stream->Cancel();
    core->timer.Cancel();
    co_await core->ended;
    co_return true;
  }

 private:
  // Held by the coroutine, too.
  struct Core {
    Core(net::Reactor* r, SubscriptionOptions o, Open opens, Receive receives)
        : reactor(r),
          options(std::move(o)),
          open(std::move(opens)),
          receive(std::move(receives)),
          timer(r) {}
    net::Reactor* const reactor;
    const SubscriptionOptions options;
    Open open;
    Receive receive;
    net::Timer timer;
    std::unique_ptr<ResponseStream<Response>> stream;
    bool stopped = false;
    const base::Completion<bool> ended;
  };

  static base::Task<void> Run(std::shared_ptr<Core> core) {
    co_await Loop(core);
    core->ended.Set(true);
  }

  static base::Task<void> Loop(std::shared_ptr<Core> core) {
    absl::Duration pause = core->options.first_pause;
    while (!core->stopped) {
      const absl::Duration begin = core->reactor->Now();
      const bool worked = co_await RunOne(core);
      if (core->stopped) co_return;
      const bool lived = core->reactor->Now() - begin > core->options.longest_pause;
      if (worked && lived) pause = core->options.first_pause;
      const bool again = co_await core->timer.Wait(WithJitter(pause));
      if (!again) co_return;
      pause = std::min(2 * pause, core->options.longest_pause);
    }
  }

  // One stream to its end; true when it brought something.
  static base::Task<bool> RunOne(std::shared_ptr<Core> core) {
    bool worked = false;
    core->stream = core->open();
    while (true) {
      std::optional<Response> response = co_await core->stream->Next();
      if (!response || core->stopped) break;
      worked = true;
      core->receive(*std::move(response));
    }
    absl::Status why = co_await core->stream->Finish();
    core->stream.reset();
    if (!core->stopped) LogLost(core->options, why, worked);
    co_return worked;
  }

  const std::shared_ptr<Core> core_;
};

}  // namespace godwit::rpc
