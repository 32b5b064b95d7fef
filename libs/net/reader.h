#pragma once

// Reader: lines and exact byte counts from a Stream, for simple clients and tests. Daemons feed
// their parsers from Stream::Read() instead.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/net/stream.h"

namespace godwit::net {

class Reader {
 public:
  struct Limits {
    size_t line = 8192;                         // with its line end
    size_t exact = 64u << 20;                   // largest ReadExactly and ReadToEnd
    absl::Duration timeout = absl::Minutes(1);  // for each wait
  };

  explicit Reader(Stream* stream) : Reader(stream, Limits()) {}
  Reader(Stream* stream, const Limits& limits) : stream_(stream), limits_(limits) {}

  // A line without its CRLF or LF. Errors of all three: ResourceExhausted beyond the limit,
  // DeadlineExceeded, OutOfRange at the end of the stream (also in the middle of a line), and those
  // of Stream::ReadSome. A Wake() of the stream is ignored.
  base::Task<absl::StatusOr<std::string>> ReadLine();
  base::Task<absl::StatusOr<std::string>> ReadExactly(size_t size);
  // Everything up to the orderly end.
  base::Task<absl::StatusOr<std::string>> ReadToEnd();

  // Bytes read from the stream and not yet taken: must be empty before an upgrade to TLS.
  std::string_view buffered() const { return std::string_view(held_).substr(taken_); }

 private:
  base::Task<absl::Status> Fill();
  std::string Take(size_t size);

  Stream* stream_;
  Limits limits_;
  std::string held_;
  size_t taken_ = 0;
};

}  // namespace godwit::net
