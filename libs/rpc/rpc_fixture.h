#pragma once

// World and Client: a server of the service Echo (test_service.proto) with an authority of its own,
// and its callers, for the tests of libs/rpc. gRPC's headers stay in the .cc: a test that includes
// only this compiles in a few seconds.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "libs/rpc/tls.h"

namespace godwit::rpc {

struct SayReplyText {
  std::string text;
  std::string caller;
  std::string trace;
};

struct SayOptions {
  absl::StatusCode fail_with = absl::StatusCode::kOk;
  std::string trace{};
  absl::Duration deadline = absl::Seconds(10);
};

// What a server stream brought and how it ended.
struct Received {
  std::vector<std::string> texts;
  absl::Status end;
};

// One caller's channel. The blocking calls run on a loop of their own.
class Client {
 public:
  ~Client();
  Client(Client&&) noexcept;

  absl::StatusOr<SayReplyText> Say(const std::string& text, SayOptions options = {});
  absl::Status Wait(absl::Duration deadline);
  absl::Status Secret();
  // The trace id that the server's metadata have; "" for none.
  std::string TraceInMetadata(const std::string& trace);

  // Sends `count` texts "x", the one at `fail_at` with OutOfRange asked for.
  absl::StatusOr<std::string> Collect(int count, int fail_at = -1);
  // Sends until the stream breaks or `patience` is over; how it ended.
  absl::Status CollectUntilCut(absl::Duration patience);
  // Sends one and drops the stream; whether the first was sent.
  bool CollectAndLeave();

  Received Count(int count, absl::StatusCode end = absl::StatusCode::kOk);
  // Takes `take` replies of an endless Count, then ends the stream as told.
  enum class Leave { kFinish, kDrop, kNeverReadMore };
  Received CountAndLeave(int take, Leave leave);
  // Takes the first reply of Hold; then the stream ends by `deadline`.
  Received Hold(absl::Duration deadline);

  // A Subscription of Hold on `reactor`, which runs; `received` gets each text. What it returns
  // ends the Subscription: call it once, not on the reactor.
  std::function<void()> Subscribe(net::Reactor* reactor, absl::Duration longest_pause,
                                  std::function<void(std::string)> received);

 private:
  friend class World;
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class World {
 public:
  World();
  ~World();

  // A server on `port`, 0 for any; the constructor starts one.
  void Start(uint16_t port, ServerOptions options = {});
  // Its port.
  uint16_t Stop();
  uint16_t port() const;

  // Certificate files of a caller (or server), new ones each time.
  TlsFiles FilesOf(const std::string& daemon);
  // `port`: of something in front of the server; 0 for the server itself.
  Client CallerWith(TlsFiles files, const std::string& expected = "echo", uint16_t port = 0);
  Client Caller(const std::string& daemon) { return CallerWith(FilesOf(daemon)); }
  // Without a certificate of its own, and without TLS.
  Client CallerWithoutCertificate();
  Client PlainCaller();

  // What the service saw.
  int calls() const;
  bool collect_ended() const;
  int held() const;           // streams of Hold open now
  int counted() const;        // replies that Count has handed to gRPC
  void FailFirst(int count);  // Say answers Unavailable so many times

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Until `condition` holds; false after 20 seconds.
bool Eventually(const std::function<bool()>& condition);

}  // namespace godwit::rpc
