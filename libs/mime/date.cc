#include "libs/mime/date.h"

#include <array>
#include <cstdint>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/mime/lexer.h"

namespace godwit::mime {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

struct Zone {
  std::string_view name;
  int minutes;
};

// RFC 5322 §4.3. The single-letter military zones had the wrong sign in RFC 822 and count as
// "-0000", like every unknown name.
constexpr Zone kZones[] = {{"EST", -300}, {"EDT", -240}, {"CST", -360}, {"CDT", -300},
                           {"MST", -420}, {"MDT", -360}, {"PST", -480}, {"PDT", -420}};

// The words of the date: comments removed, cut at white space and commas. A date has at most six.
std::vector<std::string> Words(std::string_view value) {
  std::vector<std::string> words;
  Lexer lexer(value);
  while (words.size() < 8) {
    lexer.SkipSpaceAndComments();
    if (lexer.done()) break;
    if (lexer.Take(',') || lexer.Take(')')) continue;
    words.push_back(lexer.Word(",()"));
  }
  return words;
}

// Digits only, `max` at most.
std::optional<int> Number(std::string_view text, int max) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  const auto value = base::ParseDecimal(text);
  if (!value || *value > static_cast<uint64_t>(max)) return std::nullopt;
  return static_cast<int>(*value);
}

std::optional<int> Month(std::string_view text) {
  for (size_t i = 0; i < kMonths.size(); ++i) {
    // "September" and "Sept" are met as well.
    if (base::StartsWithIgnoreCase(text, kMonths[i])) return static_cast<int>(i) + 1;
  }
  return std::nullopt;
}

// RFC 5322 §4.3: years of two and three digits.
std::optional<int> Year(std::string_view text) {
  auto year = Number(text, 9999);
  if (!year) return year;
  if (text.size() <= 2) return *year < 50 ? *year + 2000 : *year + 1900;
  if (text.size() == 3) return *year + 1900;
  return *year < 1900 ? std::nullopt : year;
}

struct TimeOfDay {
  int hour = 0;
  int minute = 0;
  int second = 0;
};

std::optional<TimeOfDay> ParseTimeOfDay(std::string_view text) {
  const auto pieces = base::Split(text, ':');
  if (pieces.size() < 2 || pieces.size() > 3) return std::nullopt;
  const auto hour = Number(pieces[0], 23);
  const auto minute = Number(pieces[1], 59);
  // RFC 5322 §3.3: 60 is a leap second.
  const auto second = pieces.size() == 3 ? Number(pieces[2], 60) : 0;
  if (!hour || !minute || !second) return std::nullopt;
  return TimeOfDay{*hour, *minute, *second};
}

int ZoneMinutes(std::string_view text) {
  for (const Zone& zone : kZones) {
    if (base::EqualsIgnoreCase(text, zone.name)) return zone.minutes;
  }
  if (text.size() != 5 || (text[0] != '+' && text[0] != '-')) return 0;
  const auto hours = Number(text.substr(1, 2), 99);
  const auto minutes = Number(text.substr(3, 2), 59);
  if (!hours || !minutes) return 0;
  const int total = *hours * 60 + *minutes;
  return text[0] == '-' ? -total : total;
}

}  // namespace

std::optional<DateTime> ParseDate(std::string_view value) {
  const std::vector<std::string> words = Words(value);
  size_t i = 0;
  // The day of the week says nothing new; it may be wrong or missing.
  if (i < words.size() && !base::IsDigit(words[i].front())) ++i;
  if (words.size() < i + 4) return std::nullopt;
  const auto day = Number(words[i], 31);
  const auto month = Month(words[i + 1]);
  const auto year = Year(words[i + 2]);
  const auto time = ParseTimeOfDay(words[i + 3]);
  if (!day || !month || !year || !time) return std::nullopt;
  const absl::CivilDay date(*year, *month, *day);
  if (date.day() != *day || date.month() != *month) return std::nullopt;
  const int zone = words.size() > i + 4 ? ZoneMinutes(words[i + 4]) : 0;
  const absl::CivilSecond civil(*year, *month, *day, time->hour, time->minute, time->second);
  return DateTime{absl::FromCivil(civil, absl::UTCTimeZone()) - absl::Minutes(zone), zone};
}

std::string FormatDate(absl::Time time, int offset_minutes) {
  GODWIT_CHECK(offset_minutes > -24 * 60 && offset_minutes < 24 * 60);
  const absl::CivilSecond civil =
      absl::ToCivilSecond(time + absl::Minutes(offset_minutes), absl::UTCTimeZone());
  const auto weekday = static_cast<size_t>(absl::GetWeekday(civil));
  const int offset = offset_minutes < 0 ? -offset_minutes : offset_minutes;
  return absl::StrFormat("%s, %d %s %04d %02d:%02d:%02d %c%02d%02d", kDays[weekday], civil.day(),
                         kMonths[static_cast<size_t>(civil.month() - 1)], civil.year(),
                         civil.hour(), civil.minute(), civil.second(),
                         offset_minutes < 0 ? '-' : '+', offset / 60, offset % 60);
}

}  // namespace godwit::mime
