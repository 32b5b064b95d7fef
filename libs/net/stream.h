#pragma once

// Stream: one connection, plain TCP first, TLS after an upgrade.
//
// What it is not: it frames nothing and keeps no input of its own (the session owns its buffer).
// All calls on the thread of its reactor. One task may read and one may write at the same time; a
// Stream must not be destroyed while one of its tasks is running.
//
// An idle connection costs no read buffer: wait for readiness first, borrow a buffer second. Read()
// does both:
//
//   while (true) {
//     net::Input input = co_await stream->Read(absl::Minutes(5));
//     if (input.event == Ready::kWoken) { ... draining, or news for IDLE ...; continue; }
//     if (input.event != Ready::kReadable) break;              // kTimeout or kClosed
//     parser.Feed(input.bytes());                              // valid until `input` goes
//   }
//
// Errors: Unavailable when the connection is lost, DeadlineExceeded when the peer stalls,
// FailedPrecondition when TLS fails. SIGPIPE is never raised; TCP_NODELAY is always set, so give
// Write() whole replies.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/net/descriptor.h"
#include "libs/net/endpoint.h"
#include "libs/net/reactor.h"
#include "libs/net/tls_connection.h"
#include "libs/net/tls_context.h"

namespace godwit::net {

enum class Ready {
  kReadable,  // bytes, the end of the stream or an error can be read now
  kWoken,     // Wake() was called
  kTimeout,   // nothing came for the time given
  kClosed,    // Close() was called here, or the reactor stops; from Read(): the connection ended
};

// What Read() got.
struct Input {
  Ready event = Ready::kClosed;
  absl::Status status;  // with kClosed: why (see ReadSome)
  std::string_view bytes() const { return {buffer.data(), size}; }

  Buffer buffer;
  size_t size = 0;
};

class Stream {
 public:
  // Takes over the connected, non-blocking socket `fd`.
  Stream(Reactor* reactor, int fd);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Two streams connected to one another (a Unix socket pair), for tests.
  static std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> Pair(Reactor* reactor);

  Reactor* reactor() const { return descriptor_.reactor(); }
  // The peer: the real client where a PROXY header told it. Never IPv4-mapped.
  const Endpoint& peer() const { return peer_; }
  const Endpoint& local() const { return local_; }
  void set_addresses(const Endpoint& peer, const Endpoint& local);

  // Waits until there is something to read. With TLS kReadable may turn out to be half a record or
  // a ticket; ReadSome then gives 0 and the caller waits again.
  base::Task<Ready> WaitReadable(absl::Duration idle_timeout);
  // Ends a pending WaitReadable() or Read() with kWoken; if none is pending, the next one. Several
  // calls before that count once. Writes and handshakes are not disturbed.
  void Wake() { descriptor_.Wake(); }

  // Has what came so far acknowledged at once. For a peer in the middle of something longer: its
  // kernel may hold its next small piece back until then (Nagle), and ours delays by 40 ms.
  void AckNow();

  // Reads what is there now, without waiting. 0 means "nothing now" (and only that). Errors:
  // OutOfRange at the orderly end of the stream, DataLoss when TLS ended without close_notify
  // (truncation, RFC 8446 §6.1), Unavailable when the connection was lost, FailedPrecondition for a
  // broken TLS record.
  absl::StatusOr<size_t> ReadSome(char* to, size_t size);
  // WaitReadable and ReadSome into a borrowed buffer, until there are bytes. kReadable always
  // carries at least one byte; TLS records that do not become one do not prolong the wait.
  base::Task<Input> Read(absl::Duration idle_timeout);
  // True when bytes can be read without the kernel: decrypted and not yet taken.
  bool HasBufferedInput() const;

  // Writes all of it; the caller keeps the bytes alive until the task ends. DeadlineExceeded when
  // the peer takes nothing for write_timeout; the stream is then good for Close() only.
  base::Task<absl::Status> Write(std::string_view bytes);
  // The same for several pieces, with as few packets and TLS records as they fit in.
  base::Task<absl::Status> WritePieces(std::vector<std::string_view> pieces);
  void set_write_timeout(absl::Duration timeout) { write_timeout_ = timeout; }
  // Moreover no write waits beyond this moment of the reactor's clock, however much the peer takes.
  void set_write_deadline(absl::Duration deadline) { write_deadline_ = deadline; }

  // The upgrade. Before it, the session must see that it holds no input after the command that
  // asked for TLS (RFC 3207 §4.2: or an attacker's plain text is taken for the client's).
  // DeadlineExceeded after `timeout`; FailedPrecondition with BoringSSL's reason when the handshake
  // fails. After an error the stream is good for Close() only.
  base::Task<absl::Status> StartTlsServer(std::shared_ptr<TlsContext> context,
                                          absl::Duration timeout);
  base::Task<absl::Status> StartTlsClient(std::shared_ptr<TlsContext> context,
                                          std::string server_name, absl::Duration timeout);
  // The same with what the context's verification needs of the peer (TLSA records).
  base::Task<absl::Status> StartTlsClient(std::shared_ptr<TlsContext> context, TlsPeer peer,
                                          absl::Duration timeout);
  bool is_tls() const { return tls_.has_value(); }
  // Made anew at each call, so that an idle connection does not keep it. Empty without TLS. After a
  // handshake that failed it says what was wrong with the peer's certificate, if that was it.
  TlsInfo tls_info() const { return tls_ ? tls_->info() : TlsInfo(); }

  // Orderly end: close_notify and FIN, then up to `linger` for the peer to close, throwing away
  // what it still sends. (Closing with unread input makes the kernel send RST, which can destroy
  // our last reply on its way.) Then Close().
  base::Task<void> Shutdown(absl::Duration linger);
  // Ends the connection now; pending tasks end with kClosed or Unavailable. Any number of times.
  void Close();
  bool closed() const { return descriptor_.closed(); }

  // Keeps `lease` until the stream is destroyed (connection counting).
  void Hold(std::shared_ptr<void> lease) { lease_ = std::move(lease); }
  int fd() const { return descriptor_.fd(); }

 private:
  base::Task<absl::Status> StartTls(std::shared_ptr<TlsContext> context, TlsPeer peer,
                                    absl::Duration timeout);
  base::Task<absl::Status> AwaitUntil(Descriptor::Direction direction, absl::Duration deadline);
  base::Task<absl::Status> AwaitWritable();
  base::Task<absl::Status> WritePlain(std::vector<std::string_view> pieces);
  base::Task<absl::Status> WriteTls(std::vector<std::string_view> pieces);
  absl::StatusOr<size_t> WriteSome(std::string_view bytes);

  Descriptor descriptor_;
  std::optional<TlsConnection> tls_;
  std::shared_ptr<void> lease_;
  Endpoint peer_;
  Endpoint local_;
  absl::Duration write_timeout_ = absl::Minutes(5);
  absl::Duration write_deadline_ = absl::InfiniteDuration();
};

}  // namespace godwit::net
