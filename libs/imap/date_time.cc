#include "libs/imap/date_time.h"

#include <cstdio>
#include <string_view>

#include "libs/base/ascii.h"

namespace godwit::imap {
namespace {

constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// `min`..`max` digits at the front of `*text`; -1 when they are not there.
int TakeDigits(std::string_view* text, size_t min, size_t max) {
  size_t size = 0;
  int value = 0;
  while (size < max && size < text->size() && base::IsDigit((*text)[size])) {
    value = value * 10 + ((*text)[size++] - '0');
  }
  if (size < min) return -1;
  text->remove_prefix(size);
  return value;
}

bool TakeChar(std::string_view* text, char c) {
  if (text->empty() || text->front() != c) return false;
  text->remove_prefix(1);
  return true;
}

int TakeMonth(std::string_view* text) {
  for (int i = 0; i < 12; ++i) {
    if (base::StartsWithIgnoreCase(*text, kMonths[i])) {
      text->remove_prefix(3);
      return i + 1;
    }
  }
  return -1;
}

// dd-mon-yyyy with a day that exists.
std::optional<absl::CivilDay> TakeDay(std::string_view* text, size_t min_digits) {
  const int day = TakeDigits(text, min_digits, 2);
  if (!TakeChar(text, '-')) return std::nullopt;
  const int month = TakeMonth(text);
  if (!TakeChar(text, '-')) return std::nullopt;
  const int year = TakeDigits(text, 4, 4);
  if (day < 1 || month < 1 || year < 0) return std::nullopt;
  const absl::CivilDay date(year, month, day);
  if (date.day() != day) return std::nullopt;
  return date;
}

// hh:mm:ss and the zone, after the day.
std::optional<absl::Time> TakeTime(std::string_view* text, absl::CivilDay day) {
  const int hour = TakeDigits(text, 2, 2);
  if (!TakeChar(text, ':')) return std::nullopt;
  const int minute = TakeDigits(text, 2, 2);
  if (!TakeChar(text, ':')) return std::nullopt;
  const int second = TakeDigits(text, 2, 2);
  if (!TakeChar(text, ' ') || text->empty()) return std::nullopt;
  const char sign = text->front();
  text->remove_prefix(1);
  const int zone = TakeDigits(text, 4, 4);
  const bool in_range = hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 &&
                        second <= 60 && zone >= 0 && zone % 100 <= 59;
  if ((sign != '+' && sign != '-') || !in_range) return std::nullopt;
  const absl::Duration east = absl::Hours(zone / 100) + absl::Minutes(zone % 100);
  const absl::CivilSecond local(day.year(), day.month(), day.day(), hour, minute, second);
  const absl::Time time = absl::FromCivil(local, absl::UTCTimeZone());
  return sign == '+' ? time - east : time + east;
}

std::optional<absl::Time> ParseUnquoted(std::string_view text) {
  // RFC 9051 §9: date-day-fixed is two digits, or a space and one.
  const bool single = TakeChar(&text, ' ');
  const auto day = TakeDay(&text, single ? 1 : 2);
  if (!day || !TakeChar(&text, ' ')) return std::nullopt;
  const auto time = TakeTime(&text, *day);
  if (!time || !text.empty()) return std::nullopt;
  return time;
}

}  // namespace

std::optional<absl::CivilDay> ParseDay(Cursor* cursor) {
  const auto text = cursor->Astring();
  if (text) {
    std::string_view rest = *text;
    const auto day = TakeDay(&rest, 1);
    if (day && rest.empty()) return day;
  }
  cursor->Fail("bad date");
  return std::nullopt;
}

std::optional<absl::Time> ParseDateTime(Cursor* cursor) {
  const auto text = cursor->Peek() == '"' ? cursor->String() : std::nullopt;
  const auto time = text ? ParseUnquoted(*text) : std::nullopt;
  if (!time) cursor->Fail("bad date and time");
  return time;
}

std::string FormatDateTime(absl::Time time) {
  const absl::CivilSecond at = absl::ToCivilSecond(time, absl::UTCTimeZone());
  char text[64];
  std::snprintf(text, sizeof text, "\"%02d-%s-%04d %02d:%02d:%02d +0000\"", at.day(),
                kMonths[at.month() - 1].data(), static_cast<int>(at.year() % 10000), at.hour(),
                at.minute(), at.second());
  return text;
}

}  // namespace godwit::imap
