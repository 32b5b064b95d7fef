#include "libs/obs/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cmath>
#include <mutex>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/obs/json.h"

namespace godwit::obs {
namespace {

constexpr size_t kLongestLine = 16 * 1024;
constexpr size_t kLongestValue = 4 * 1024;
constexpr int kRepeatsASecond = 20;
constexpr size_t kRepeatSlots = 256;

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

// How often one event text was written in the current second.
struct Repeats {
  size_t event = 0;  // its hash
  int64_t second = 0;
  int written = 0;
  int64_t suppressed = 0;
};

struct Sink {
  std::mutex mutex;
  std::string daemon;
  int fd = STDERR_FILENO;
  bool owned = false;
  std::array<Repeats, kRepeatSlots> repeats;
};

Sink& TheSink() {
  static Sink* sink = new Sink;  // for ever: threads may log while the process ends
  return *sink;
}

std::atomic<Level> current_level = Level::kInfo;

// False when the line is one too many. `*suppressed` is how many were left out before it.
bool MayWrite(Level level, std::string_view event, absl::Time now, int64_t* suppressed) {
  if (level < Level::kWarning) return true;
  const size_t hash = std::hash<std::string_view>()(event);
  const int64_t second = absl::ToUnixSeconds(now);
  Sink& sink = TheSink();
  std::lock_guard lock(sink.mutex);
  Repeats& repeats = sink.repeats[hash % kRepeatSlots];
  if (repeats.event != hash) repeats = {hash, second, 0, 0};
  if (repeats.second != second) {
    *suppressed = repeats.suppressed;
    repeats = {hash, second, 0, 0};
  }
  if (repeats.written >= kRepeatsASecond) {
    ++repeats.suppressed;
    return false;
  }
  ++repeats.written;
  return true;
}

void AppendValue(const Field::Value& value, std::string* line) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    AppendJsonString(text->substr(0, kLongestValue), line);
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    *line += std::to_string(*integer);
  } else if (const auto* natural = std::get_if<uint64_t>(&value)) {
    *line += std::to_string(*natural);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    *line += *flag ? "true" : "false";
  } else {
    const double number = std::get<double>(value);
    // JSON has no infinity and no NaN.
    *line += std::isfinite(number) ? absl::StrFormat("%.9g", number) : "null";
  }
}

void AppendField(std::string_view key, const Field::Value& value, std::string* line) {
  const size_t before = line->size();
  *line += ',';
  AppendJsonString(key, line);
  *line += ':';
  AppendValue(value, line);
  if (line->size() > kLongestLine) line->resize(before);
}

std::string Start(Level level, std::string_view event, absl::Time now) {
  std::string line = "{\"time\":\"";
  line += absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", now, absl::UTCTimeZone());
  line += "\",\"level\":\"";
  line += kLevelNames[static_cast<size_t>(level)];
  line += '"';
  {
    Sink& sink = TheSink();
    std::lock_guard lock(sink.mutex);
    if (!sink.daemon.empty()) AppendField("daemon", std::string_view(sink.daemon), &line);
  }
  AppendField("event", event, &line);
  return line;
}

void Replace(int fd, bool owned) {
  Sink& sink = TheSink();
  std::lock_guard lock(sink.mutex);
  if (sink.owned) close(sink.fd);
  sink.fd = fd;
  sink.owned = owned;
}

}  // namespace

Field::Field(std::string_view key, const absl::Status& status)
    : key_(key), text_(base::ToString(status)) {}

void Log(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (!Enabled(level)) return;
  const absl::Time now = absl::Now();
  int64_t suppressed = 0;
  if (!MayWrite(level, event, now, &suppressed)) return;
  std::string line = Start(level, event, now);
  for (const Field& field : fields) AppendField(field.key(), field.value(), &line);
  if (suppressed > 0) AppendField("suppressed", suppressed, &line);
  line += "}\n";
  Sink& sink = TheSink();
  // Under the lock: the descriptor may be replaced. A line that can't be written is lost.
  std::lock_guard lock(sink.mutex);
  [[maybe_unused]] const ssize_t written = write(sink.fd, line.data(), line.size());
}

void SetLevel(Level level) { current_level = level; }

bool Enabled(Level level) { return level >= current_level.load(std::memory_order_relaxed); }

Level CurrentLevel() { return current_level; }

std::string_view LevelName(Level level) { return kLevelNames[static_cast<size_t>(level)]; }

absl::Status SetLevel(std::string_view name) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] != name) continue;
    SetLevel(static_cast<Level>(i));
    return absl::OkStatus();
  }
  return base::InvalidArgument("no log level: " + std::string(name));
}

void SetDaemon(std::string_view name) {
  Sink& sink = TheSink();
  std::lock_guard lock(sink.mutex);
  sink.daemon = name;
}

absl::Status SetFile(const std::string& path) {
  if (path.empty()) {
    Replace(STDERR_FILENO, false);
    return absl::OkStatus();
  }
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return base::FailedPrecondition("the log file " + path + " can't be opened");
  Replace(fd, true);
  return absl::OkStatus();
}

void SetDescriptor(int fd) { Replace(fd, false); }

}  // namespace godwit::obs
