#include "services/delivery-queue/capture.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_format.h"
#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::delivery_queue {
namespace {

namespace fs = std::filesystem;

absl::Status WriteFile(const fs::path& path, std::string_view text) {
  fs::path partial = path;
  partial += ".new";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  std::error_code error;
  if (out.good()) {
    fs::rename(partial, path, error);
    if (!error) return absl::OkStatus();
  }
  return base::Unavailable("can not write " + path.string());
}

// The highest number that a file of the folder has.
int64_t HighestIn(const fs::path& folder) {
  int64_t highest = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto number = base::ParseDecimal(entry.path().stem().string());
    if (number) highest = std::max(highest, static_cast<int64_t>(*number));
  }
  return highest;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Capture>> Capture::Open(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!fs::is_directory(folder, error)) {
    return base::Unavailable("the folder for captured mail can not be made: " + folder);
  }
  return std::unique_ptr<Capture>(new Capture(folder));
}

// The number is written down before it is used: one that is lost to a crash is a gap.
absl::StatusOr<int64_t> Capture::TakeNumber() {
  const fs::path counter = fs::path(folder_) / ".last";
  int64_t last = 0;
  std::ifstream in(counter);
  if (!(in >> last)) last = HighestIn(folder_);
  const int64_t number = last + 1;
  GODWIT_RETURN_IF_ERROR(WriteFile(counter, std::to_string(number)));
  return number;
}

absl::StatusOr<int64_t> Capture::Write(std::string_view message, std::string_view envelope) {
  std::lock_guard lock(mutex_);
  GODWIT_ASSIGN_OR_RETURN(const int64_t number, TakeNumber());
  const std::string name = absl::StrFormat("%03d", number);
  GODWIT_RETURN_IF_ERROR(WriteFile(fs::path(folder_) / (name + ".json"), envelope));
  GODWIT_RETURN_IF_ERROR(WriteFile(fs::path(folder_) / (name + ".eml"), message));
  return number;
}

}  // namespace godwit::delivery_queue
