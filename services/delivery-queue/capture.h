#pragma once

// Capture: messages into a folder instead of onto the network: FOLDER/NNN.eml and, beside it, the
// envelope as FOLDER/NNN.json. Whole or not at all: each file is renamed into place, the envelope
// first, so that who sees a .eml finds its .json. Numbers grow and are never given twice, also when
// files are deleted and over restarts.
//
// Not for production. Blocks on the file system. One object a folder and process; any thread.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace godwit::delivery_queue {

class Capture {
 public:
  // Makes the folder. Unavailable when it can not be used.
  static absl::StatusOr<std::unique_ptr<Capture>> Open(const std::string& folder);

  // Returns the number. `envelope` is JSON.
  absl::StatusOr<int64_t> Write(std::string_view message, std::string_view envelope);

 private:
  explicit Capture(std::string folder) : folder_(std::move(folder)) {}
  absl::StatusOr<int64_t> TakeNumber();

  const std::string folder_;
  std::mutex mutex_;
};

}  // namespace godwit::delivery_queue
