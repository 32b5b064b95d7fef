#pragma once

// Log: one line of JSON an event, to standard error or a file.
//
//   obs::Log(obs::Level::kInfo, "message delivered", {{"trace", trace}, {"bytes", size}});
//   {"time":"2026-01-02T03:04:05.678901Z","level":"info","daemon":"smtp-ingress",
//    "event":"message delivered","trace":"k3...","bytes":2048}
//
// The event is a fixed text; everything that varies is a field. Never message text, never a secret
// (base::Secret does not convert). Any thread; a line is one write(2), so lines never mix. Values
// may be any bytes: what is not UTF-8 is written as U+FFFD. A line is cut at 16 KiB.
//
// Warnings and errors of one event text beyond 20 in a second are counted instead of written; the
// next line that is written has "suppressed". Info and debug lines are never suppressed.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace godwit::obs {

enum class Level { kDebug, kInfo, kWarning, kError };

// A key and a value. Views: valid for the call of Log() only.
class Field {
 public:
  using Value = std::variant<std::string_view, int64_t, uint64_t, double, bool>;

  Field(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, const char* value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, bool value) : key_(key), value_(value) {}
  Field(std::string_view key, double value) : key_(key), value_(value) {}
  // In seconds.
  Field(std::string_view key, absl::Duration value) : Field(key, absl::ToDoubleSeconds(value)) {}
  template <typename Int, typename = std::enable_if_t<std::is_integral_v<Int>>>
  Field(std::string_view key, Int value) : key_(key) {
    if constexpr (std::is_signed_v<Int>) {
      value_ = static_cast<int64_t>(value);
    } else {
      value_ = static_cast<uint64_t>(value);
    }
  }
  // "UNAVAILABLE: no route".
  Field(std::string_view key, const absl::Status& status);

  std::string_view key() const { return key_; }
  Value value() const { return text_.empty() ? value_ : Value(std::string_view(text_)); }

 private:
  std::string_view key_;
  Value value_;
  std::string text_;  // of a status
};

void Log(Level level, std::string_view event, std::initializer_list<Field> fields = {});

// Lines below the level cost one atomic load. Default: info. May change at any time.
void SetLevel(Level level);
bool Enabled(Level level);
// "debug" "info" "warning" "error"; InvalidArgument for anything else.
absl::Status SetLevel(std::string_view name);
Level CurrentLevel();
std::string_view LevelName(Level level);

// Written in every line; once, at the start.
void SetDaemon(std::string_view name);

// Appends to `path` from now on; "" is standard error. Call it again after the file was renamed.
absl::Status SetFile(const std::string& path);
// For tests: writes to this descriptor, which stays the caller's.
void SetDescriptor(int fd);

}  // namespace godwit::obs
