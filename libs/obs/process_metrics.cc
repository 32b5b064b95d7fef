#include "libs/obs/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace godwit::obs {
namespace {

void Append(const char* name, const char* type, const char* help, double value, std::string* out) {
  *out += absl::StrFormat("# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name,
                          value);
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

std::optional<double> ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  if (!(statm >> total >> resident)) return std::nullopt;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

std::optional<double> OpenDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return std::nullopt;
  int count = -3;  // ".", ".." and the directory itself
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

// proc(5): field 22 of stat, in clock ticks since the machine started. The name in field 2 may have
// spaces: count from its closing parenthesis.
std::optional<double> StartTime() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line) || line.rfind(')') == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) fields >> field;
  timespec up = {};
  clock_gettime(CLOCK_BOOTTIME, &up);
  const double booted = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()) -
                        static_cast<double>(up.tv_sec) - static_cast<double>(up.tv_nsec) / 1e9;
  return booted + std::strtod(field.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

std::string ProcessMetrics() {
  static const std::optional<double> started = StartTime();
  std::string text;
  Append("process_cpu_seconds_total", "counter", "CPU time of user and system.", CpuSeconds(),
         &text);
  if (const auto bytes = ResidentBytes()) {
    Append("process_resident_memory_bytes", "gauge", "Resident memory.", *bytes, &text);
  }
  if (const auto open = OpenDescriptors()) {
    Append("process_open_fds", "gauge", "Open file descriptors.", *open, &text);
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    Append("process_max_fds", "gauge", "Most open file descriptors.",
           static_cast<double>(limit.rlim_cur), &text);
  }
  if (started) {
    Append("process_start_time_seconds", "gauge", "Start, in seconds since the epoch.", *started,
           &text);
  }
  return text;
}

}  // namespace godwit::obs
