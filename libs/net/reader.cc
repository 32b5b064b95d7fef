#include "libs/net/reader.h"

#include <utility>

#include "libs/base/status.h"

namespace godwit::net {

base::Task<absl::Status> Reader::Fill() {
  while (true) {
    const Input input = co_await stream_->Read(limits_.timeout);
    if (input.event == Ready::kWoken) continue;
    if (input.event == Ready::kTimeout) co_return base::DeadlineExceeded("nothing came in time");
    if (input.event == Ready::kClosed) co_return input.status;
    held_.erase(0, std::exchange(taken_, 0));
    held_ += input.bytes();
    co_return absl::OkStatus();
  }
}

std::string Reader::Take(size_t size) {
  std::string taken = held_.substr(taken_, size);
  taken_ += taken.size();
  return taken;
}

base::Task<absl::StatusOr<std::string>> Reader::ReadLine() {
  while (true) {
    const size_t end = buffered().find('\n');
    const size_t size = end == std::string_view::npos ? buffered().size() : end + 1;
    if (size > limits_.line) co_return base::ResourceExhausted("line too long");
    if (end != std::string_view::npos) {
      std::string line = Take(size);
      line.pop_back();
      if (line.ends_with('\r')) line.pop_back();
      co_return line;
    }
    absl::Status filled = co_await Fill();
    if (!filled.ok()) co_return filled;
  }
}

base::Task<absl::StatusOr<std::string>> Reader::ReadExactly(size_t size) {
  if (size > limits_.exact) co_return base::ResourceExhausted("more than may be read at once");
  while (buffered().size() < size) {
    absl::Status filled = co_await Fill();
    if (!filled.ok()) co_return filled;
  }
  co_return Take(size);
}

base::Task<absl::StatusOr<std::string>> Reader::ReadToEnd() {
  while (buffered().size() <= limits_.exact) {
    absl::Status filled = co_await Fill();
    if (absl::IsOutOfRange(filled)) co_return Take(buffered().size());
    if (!filled.ok()) co_return filled;
  }
  co_return base::ResourceExhausted("more than may be read at once");
}

}  // namespace godwit::net
