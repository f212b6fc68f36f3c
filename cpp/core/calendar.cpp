#include "core/calendar.hpp"

#include <date/date.h>
#include <date/ptz.h>
#include <date/tz.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>

#include "core/error.hpp"
#include "core/quote.hpp"

#if !USE_OS_TZDB  // date::time_zone then has another layout than in the library, and reading one crashes
#error "compile with the definitions of date::date-tz: USE_OS_TZDB is missing"
#endif

namespace strandline::core {
namespace {

std::int64_t floor_div(std::int64_t value, std::int64_t divisor) {
  const std::int64_t quotient = value / divisor;
  return value % divisor < 0 ? quotient - 1 : quotient;
}

std::int64_t day_of(std::int64_t microseconds) { return floor_div(microseconds, kMicrosecondsPerDay); }

date::year_month_day civil(std::int64_t day) {
  return date::year_month_day{date::sys_days{date::days{static_cast<int>(day)}}};
}

// Months since the beginning of year 0.
std::int64_t month_of(std::int64_t day) {
  const date::year_month_day date = civil(day);
  return std::int64_t{static_cast<int>(date.year())} * 12 + static_cast<unsigned>(date.month()) - 1;
}

OffsetPeriod period_from(const date::sys_info& info) {
  using std::chrono::seconds;
  return {seconds{info.begin.time_since_epoch()}.count() * kMicrosecondsPerSecond,
          seconds{info.end.time_since_epoch()}.count() * kMicrosecondsPerSecond,
          seconds{info.offset}.count() * kMicrosecondsPerSecond};
}

date::sys_seconds second_of(std::int64_t instant) {
  return date::sys_seconds{std::chrono::seconds{floor_div(instant, kMicrosecondsPerSecond)}};
}

// A zone file lists transitions up to some year (2037, or the last change of law) and ends with a line that gives the
// rule for ever after, e.g. "EST5EDT,M3.2.0,M11.1.0". date-tz reads the list only: without this, every zone loses its
// daylight saving where the list stops.
std::optional<Posix::time_zone> read_rule(const std::string& name) {
  std::ifstream file{"/usr/share/zoneinfo/" + name, std::ios::binary};
  std::string last;
  for (std::string line; std::getline(file, line);) last = line;
  if (last.empty() || last.find(',') == std::string::npos) return std::nullopt;  // no rule, or one offset for ever
  try {
    return Posix::time_zone{last};
  } catch (const std::exception&) {
    return std::nullopt;  // date-tz 3.0.1 cannot read times before midnight (Greenland): the last listed offset stands
  }
}

// Names have letters, digits and a few signs; anything else (and "..") would be a path on this machine's disk.
bool is_zone_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '+' || c == '/';
  };
  return !name.empty() && name.front() != '/' && std::all_of(name.begin(), name.end(), allowed);
}

bool equal_but_for_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [lower](char x, char y) { return lower(x) == lower(y) || (x == ' ' && y == '_'); });
}

[[noreturn]] void refuse_zone(std::string_view name) {
  std::string hint = "Write a name of the time zone database, such as \"UTC\" or \"Europe/Berlin\"";
  for (const date::time_zone& zone : date::get_tzdb().zones) {
    const std::string& known = zone.name();
    const std::size_t slash = known.rfind('/');
    if (equal_but_for_case(name, known) ||
        (slash != std::string::npos && equal_but_for_case(name, std::string_view{known}.substr(slash + 1)))) {
      hint = "Did you mean \"" + known + "\"";
      break;
    }
  }
  throw Error(ErrorCode::ConfigError, "the time zone " + quote(name) + " is unknown. " + hint +
                                          (hint.front() == 'D' ? "?" : "; the machine's package tzdata holds them."));
}

}  // namespace

struct Zone::Rules {
  const date::time_zone* listed = nullptr;
  std::optional<Posix::time_zone> after;  // beyond the listed transitions
};

Zone::Zone(std::string name) : name_{std::move(name)}, rules_{std::make_unique<Rules>()} {
  try {
    rules_->listed = date::locate_zone(name_);
  } catch (const std::exception&) {
    refuse_zone(name_);
  }
  rules_->after = read_rule(name_);
}

Zone::~Zone() = default;

const Zone& Zone::locate(std::string_view name) {
  struct Cache {
    std::shared_mutex mutex;
    std::map<std::string, std::unique_ptr<const Zone>, std::less<>> zones;
  };
  // Never destroyed: threads that still run while the process exits keep their references.
  static Cache& cache = *new Cache;
  {
    const std::shared_lock lock{cache.mutex};
    const auto found = cache.zones.find(name);
    if (found != cache.zones.end()) return *found->second;
  }
  if (!is_zone_name(name)) refuse_zone(name);
  std::unique_ptr<const Zone> zone{new Zone{std::string{name}}};
  const std::unique_lock lock{cache.mutex};
  return *cache.zones.try_emplace(std::string{name}, std::move(zone)).first->second;
}

OffsetPeriod Zone::period(std::int64_t instant) const {
  const date::sys_seconds second = second_of(instant);
  const date::sys_info info = rules_->listed->get_info(second);
  OffsetPeriod period = period_from(info);
  const bool last = info.end >= date::sys_days{date::year{10'000} / 1 / 1};
  if (!last || !rules_->after) return period;
  const std::int64_t listed_until = period.begin;
  period = period_from(rules_->after->get_info(second));
  period.begin = std::max(period.begin, listed_until);
  return period;
}

std::int64_t Zone::from_local(std::int64_t local) const {
  // The first instant whose wall clock shows `local` or later. No offset is as large as a day and a half, so the search
  // begins in a period before it; it nearly always ends in that one.
  OffsetPeriod candidate = period(local - 36 * kMicrosecondsPerHour);
  while (local - candidate.offset >= candidate.end) candidate = period(candidate.end);
  return std::max(local - candidate.offset, candidate.begin);
}

Grid::Grid(const Zone& zone, const Step& step) : zone_{&zone} {
  if (step.count <= 0) {
    throw Error(ErrorCode::ConfigError,
                "the step \"" + step_text(step) + "\" is not positive. A slice needs a length, such as \"1 week\".");
  }
  switch (step.unit) {
    case Unit::Year:
    case Unit::Quarter:
    case Unit::Month:
      unit_ = Unit::Month;
      count_ = step.count * (step.unit == Unit::Year ? 12 : step.unit == Unit::Quarter ? 3 : 1);
      return;
    case Unit::Week:
    case Unit::Day:
      unit_ = step.unit;
      count_ = step.count;
      return;
    case Unit::Microsecond:
      from_epoch_ = true;
      length_ = step.count;
      return;
    case Unit::Second:
    case Unit::Minute:
    case Unit::Hour:
      length_ = fixed_microseconds(step);
      if (length_ == kMicrosecondsPerDay) length_ = 0;  // "24 hours" means the day
      from_epoch_ = length_ != 0 && kMicrosecondsPerDay % length_ != 0;
      return;
  }
}

std::int64_t Grid::floor(std::int64_t instant) {
  if (from_epoch_) return floor_div(instant, length_) * length_;
  seek(instant);
  return length_ == 0 ? begin_ : begin_ + (instant - begin_) / length_ * length_;
}

std::int64_t Grid::next(std::int64_t instant) {
  if (from_epoch_) return (floor_div(instant, length_) + 1) * length_;
  seek(instant);
  return length_ == 0 ? end_ : std::min(end_, begin_ + ((instant - begin_) / length_ + 1) * length_);
}

void Grid::seek(std::int64_t instant) {
  if (begin_ <= instant && instant < end_) return;
  if (instant < period_.begin || instant >= period_.end) period_ = zone_->period(instant);
  std::int64_t block = block_of(instant + period_.offset);
  // Where a wall clock runs through a midnight twice, or never through a whole day, the block of its date is a
  // neighbour.
  begin_ = begin_of(block);
  while (begin_ > instant) begin_ = begin_of(--block);
  end_ = begin_of(block + 1);
  while (end_ <= instant) {
    begin_ = end_;
    ++block;
    end_ = begin_of(block + 1);
  }
}

std::int64_t Grid::block_of(std::int64_t local) const {
  const std::int64_t day = day_of(local);
  switch (unit_) {
    case Unit::Month:
      return floor_div(month_of(day), count_);
    case Unit::Week:
      return floor_div(day - 4, 7 * count_);  // 1970-01-05, day 4, was a Monday
    default:
      return floor_div(day, count_);
  }
}

std::int64_t Grid::begin_of(std::int64_t block) {
  std::int64_t day = block * count_;
  if (unit_ == Unit::Week) {
    day = day * 7 + 4;
  } else if (unit_ == Unit::Month) {
    const std::int64_t month = block * count_;
    day = days_from_civil(floor_div(month, 12), static_cast<unsigned>(month - floor_div(month, 12) * 12) + 1, 1);
  }
  return from_local(day * kMicrosecondsPerDay);
}

std::int64_t Grid::from_local(std::int64_t local) {
  // Two days after a change no earlier period can show this wall clock any more, so the remembered offset decides
  // alone.
  const std::int64_t instant = local - period_.offset;
  if (instant >= period_.begin + 2 * kMicrosecondsPerDay && instant < period_.end) return instant;
  return zone_->from_local(local);
}

void append_rfc3339(std::string& out, std::int64_t instant) {
  if (instant < kMinInstant || instant > kMaxInstant) {
    throw Error(ErrorCode::ConfigError, "the time " + std::to_string(instant) +
                                            " (microseconds since 1970) is outside of the years 1 to 9999.");
  }
  const std::int64_t day = day_of(instant);
  const std::int64_t in_day = instant - day * kMicrosecondsPerDay;
  const date::year_month_day date = civil(day);
  char text[27];
  const auto digits = [&text](std::size_t at, std::size_t width, std::int64_t value) {
    for (std::size_t i = width; i > 0; --i, value /= 10) text[at + i - 1] = static_cast<char>('0' + value % 10);
  };
  digits(0, 4, static_cast<int>(date.year()));
  digits(5, 2, static_cast<unsigned>(date.month()));
  digits(8, 2, static_cast<unsigned>(date.day()));
  digits(11, 2, in_day / kMicrosecondsPerHour);
  digits(14, 2, in_day / kMicrosecondsPerMinute % 60);
  digits(17, 2, in_day / kMicrosecondsPerSecond % 60);
  text[4] = text[7] = '-';
  text[10] = 'T';
  text[13] = text[16] = ':';
  std::size_t end = 19;
  if (const std::int64_t fraction = in_day % kMicrosecondsPerSecond; fraction != 0) {
    text[19] = '.';
    digits(20, 6, fraction);
    end = 26;
    while (text[end - 1] == '0') --end;
  }
  text[end++] = 'Z';
  out.append(text, end);
}

std::string rfc3339(std::int64_t instant) {
  std::string text;
  append_rfc3339(text, instant);
  return text;
}

std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept {
  const date::year_month_day date{date::year{static_cast<int>(year)}, date::month{month}, date::day{day}};
  return date::sys_days{date}.time_since_epoch().count();
}

std::int64_t add_months(std::int64_t local, std::int64_t months) noexcept {
  const std::int64_t day = day_of(local);
  const std::int64_t month = month_of(day) + months;
  const date::year year{static_cast<int>(floor_div(month, 12))};
  const date::month in_year{static_cast<unsigned>(month - floor_div(month, 12) * 12) + 1};
  const date::year_month_day_last last{year, date::month_day_last{in_year}};
  const date::year_month_day moved{year, in_year, std::min(civil(day).day(), last.day())};
  return date::sys_days{moved}.time_since_epoch().count() * kMicrosecondsPerDay + (local - day * kMicrosecondsPerDay);
}

bool is_date(std::int64_t year, unsigned month, unsigned day) noexcept {
  return year >= 1 && year <= 9999 &&
         date::year_month_day{date::year{static_cast<int>(year)}, date::month{month}, date::day{day}}.ok();
}

}  // namespace strandline::core
