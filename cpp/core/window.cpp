#include "core/window.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/error.hpp"
#include "core/quote.hpp"

namespace strandline::core {
namespace {

constexpr const char* kTimeExamples =
    " Examples: \"2013\", \"2013-Q2\", \"2013-05\", \"2013-W07\", \"2013-05-01\", \"2013-05-01/2013-06-01\", "
    "\"2013-05-01T04:00Z/\" (open end), \"-7 days/\" (from now).";
constexpr const char* kIdExamples = " Examples: \"100/200\", \"/200\" (open start), \"100/\" (open end).";

// Reads a text from left to right; every function leaves its place alone when it does not match.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_{text} {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  [[nodiscard]] char peek() const noexcept { return rest_.empty() ? '\0' : rest_.front(); }

  bool take(char c) {
    if (peek() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // Exactly `width` digits.
  std::optional<unsigned> number(std::size_t width) {
    if (rest_.size() < width) return std::nullopt;
    unsigned value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return std::nullopt;
      value = value * 10 + static_cast<unsigned>(rest_[i] - '0');
    }
    rest_.remove_prefix(width);
    return value;
  }

  // One digit or more behind the decimal sign, as microseconds. Sets `finer` where a digit beyond them is not zero.
  std::optional<std::int64_t> fraction(bool& finer) {
    std::int64_t value = 0;
    std::int64_t unit = kMicrosecondsPerSecond;
    std::size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      unit /= 10;
      if (unit == 0 && rest_[digits] != '0') finer = true;
      value += unit * (rest_[digits] - '0');
    }
    if (digits == 0) return std::nullopt;
    rest_.remove_prefix(digits);
    return value;
  }

 private:
  std::string_view rest_;
};

// A stretch of whole local days, [first, last); a day itself is one long.
struct CalendarUnit {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

// What a bound or a window is made of, once it is read.
class Parser {
 public:
  Parser(std::string_view whole, const Zone& zone, std::int64_t now, CursorType type, const char* what)
      : whole_{whole}, zone_{&zone}, now_{now}, type_{type}, what_{what} {}

  [[noreturn]] void refuse(const std::string& problem) const {
    throw Error(ErrorCode::ConfigError, "the " + std::string{what_} + ' ' + quote(whole_) + " is not understood: " +
                                            problem + '.' + (type_ == CursorType::Id ? kIdExamples : kTimeExamples));
  }

  [[nodiscard]] std::int64_t bound(std::string_view text) const {
    if (type_ == CursorType::Id) return id(text);
    if (is_duration(text)) return shift(now_, step(text), *zone_);
    if (const std::optional<CalendarUnit> unit = calendar_unit(text)) return midnight(unit->first);
    return instant(text);
  }

  [[nodiscard]] Window window() const {
    const std::size_t slash = whole_.find('/');
    if (slash != std::string_view::npos) {
      if (whole_.find('/', slash + 1) != std::string_view::npos) refuse("it has more than one \"/\"");
      const std::string_view start = trim(whole_.substr(0, slash));
      const std::string_view stop = trim(whole_.substr(slash + 1));
      Window window;
      if (!start.empty()) window.lo = bound(start);
      if (!stop.empty()) window.hi = bound(stop);
      return window;
    }
    const std::string_view text = trim(whole_);
    if (type_ == CursorType::Id) {
      static_cast<void>(id(text));
      refuse("it is one id, not a window; write \"" + std::string{text} + "/\" for everything from there on");
    }
    if (is_duration(text)) {
      const Step from_now = step(text);
      if (from_now.count > 0)
        refuse("it would begin in the future; a window that ends now begins at a negative duration");
      return {shift(now_, from_now, *zone_), std::nullopt};
    }
    if (const std::optional<CalendarUnit> unit = calendar_unit(text))
      return {midnight(unit->first), midnight(unit->last)};
    static_cast<void>(instant(text));
    refuse("it is one instant, not a window; write \"" + std::string{text} + "/\" for everything from there on");
  }

 private:
  static std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
  }

  // Only with a sign: "7 days" without one could be meant either way.
  static bool is_duration(std::string_view text) {
    return !text.empty() && (text.front() == '-' || text.front() == '+');
  }

  [[nodiscard]] Step step(std::string_view text) const {
    try {
      return parse_step(text);
    } catch (const Error& error) {
      refuse(error.what());
    }
  }

  [[nodiscard]] std::int64_t id(std::string_view text) const {
    std::int64_t value = 0;
    const std::string_view digits = !text.empty() && text.front() == '+' ? text.substr(1) : text;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc::result_out_of_range) refuse(quote(text) + " does not fit into 64 bits");
    if (error != std::errc{} || end != digits.data() + digits.size()) {
      refuse(quote(text) + " is no whole number, and this provider's cursor_type is \"id\"");
    }
    return value;
  }

  [[nodiscard]] std::int64_t midnight(std::int64_t day) const {
    return in_range(zone_->from_local(day * kMicrosecondsPerDay));
  }

  [[nodiscard]] std::int64_t in_range(std::int64_t instant) const {
    if (instant < kMinInstant || instant > kMaxInstant) refuse("it leaves the years 1 to 9999 (in UTC)");
    return instant;
  }

  // "2013", "2013-Q2", "2013-05", "2013-W07", "2013-05-01"; nothing where the text is none of them.
  [[nodiscard]] std::optional<CalendarUnit> calendar_unit(std::string_view text) const {
    Reader reader{text};
    const std::optional<unsigned> year = reader.number(4);
    if (!year) return std::nullopt;
    if (*year == 0) refuse("there is no year 0000");
    if (reader.at_end()) return months(*year, 1, 12);
    if (!reader.take('-')) return std::nullopt;
    if (reader.take('Q') || reader.take('q')) {
      const std::optional<unsigned> quarter = reader.number(1);
      if (!quarter || !reader.at_end()) return std::nullopt;
      if (*quarter < 1 || *quarter > 4) refuse("quarters are Q1 to Q4");
      return months(*year, *quarter * 3 - 2, 3);
    }
    if (reader.take('W') || reader.take('w')) {
      const std::optional<unsigned> week = reader.number(2);
      if (!week || !reader.at_end()) return std::nullopt;
      return iso_week(*year, *week);
    }
    const std::optional<unsigned> month = reader.number(2);
    if (!month) return std::nullopt;
    if (reader.at_end()) {
      if (*month < 1 || *month > 12) refuse("months are 01 to 12");
      return months(*year, *month, 1);
    }
    if (!reader.take('-')) return std::nullopt;
    const std::optional<unsigned> day = reader.number(2);
    if (!day || !reader.at_end()) return std::nullopt;
    const std::int64_t first = date(*year, *month, *day);
    return CalendarUnit{first, first + 1};
  }

  static CalendarUnit months(std::int64_t year, unsigned month, unsigned count) {
    const unsigned after = month - 1 + count;
    return {days_from_civil(year, month, 1), days_from_civil(year + after / 12, after % 12 + 1, 1)};
  }

  // Week 1 is the one with January 4 in it, and weeks begin on Monday.
  [[nodiscard]] CalendarUnit iso_week(std::int64_t year, unsigned week) const {
    const auto first_monday = [](std::int64_t of_year) {
      const std::int64_t day = days_from_civil(of_year, 1, 4);
      const std::int64_t since_monday = ((day - 4) % 7 + 7) % 7;  // 1970-01-05, day 4, was a Monday
      return day - since_monday;
    };
    const std::int64_t monday = first_monday(year) + (std::int64_t{week} - 1) * 7;
    const std::int64_t weeks = (first_monday(year + 1) - first_monday(year)) / 7;
    if (week < 1 || week > weeks) refuse("this year has the weeks W01 to W" + std::to_string(weeks));
    return {monday, monday + 7};
  }

  [[nodiscard]] std::int64_t date(unsigned year, unsigned month, unsigned day) const {
    if (!is_date(year, month, day)) refuse("there is no such date");
    return days_from_civil(year, month, day);
  }

  [[nodiscard]] std::int64_t instant(std::string_view text) const {
    Reader reader{text};
    const auto unreadable = [&] { refuse(quote(text) + " is no date, time, calendar unit or signed duration"); };
    const auto need = [&](std::size_t width) {
      const std::optional<unsigned> value = reader.number(width);
      if (!value) unreadable();
      return value.value_or(0);
    };
    const auto expect = [&](bool matched) {
      if (!matched) unreadable();
    };
    const unsigned year = need(4);
    expect(reader.take('-'));
    const unsigned month = need(2);
    expect(reader.take('-'));
    const unsigned day = need(2);
    expect(reader.take('T') || reader.take('t') || reader.take(' '));
    std::array<unsigned, 3> clock{};
    std::int64_t fraction = 0;
    clock[0] = need(2);
    if (reader.take(':')) {
      clock[1] = need(2);
      if (reader.take(':')) {
        clock[2] = need(2);
        if (reader.take('.') || reader.take(',')) {
          bool finer = false;
          const std::optional<std::int64_t> read = reader.fraction(finer);
          expect(read.has_value());
          if (finer) refuse("times are exact to the microsecond, six digits behind the point");
          fraction = read.value_or(0);
        }
      }
    }
    if (clock[0] > 23 || clock[1] > 59 || clock[2] > 59) refuse("hours are 00 to 23, minutes and seconds 00 to 59");
    const std::int64_t local = date(year, month, day) * kMicrosecondsPerDay + clock[0] * kMicrosecondsPerHour +
                               clock[1] * kMicrosecondsPerMinute + clock[2] * kMicrosecondsPerSecond + fraction;
    if (reader.at_end()) return in_range(zone_->from_local(local));
    if (reader.take('Z') || reader.take('z')) {
      expect(reader.at_end());
      return in_range(local);
    }
    const bool east = reader.take('+');
    expect(east || reader.take('-'));
    const unsigned hours = need(2);
    const bool colon = reader.take(':');
    const unsigned minutes = colon || !reader.at_end() ? need(2) : 0;
    expect(reader.at_end());
    if (hours > 23 || minutes > 59) refuse("the offset from UTC is not between -23:59 and +23:59");
    const std::int64_t offset = hours * kMicrosecondsPerHour + minutes * kMicrosecondsPerMinute;
    return in_range(east ? local - offset : local + offset);
  }

  std::string_view whole_;
  const Zone* zone_;
  std::int64_t now_;
  CursorType type_;
  const char* what_;
};

constexpr std::array<const char*, 4> kCursorTypes{"time", "id", "token", "snapshot"};

void check_has_window(CursorType type) {
  if (type == CursorType::Time || type == CursorType::Id) return;
  throw Error(ErrorCode::ConfigError,
              std::string{"a provider with cursor_type \""} + cursor_type_text(type) + "\" has no window: it " +
                  (type == CursorType::Token ? "goes on at its last token" : "lists everything") +
                  ". Leave the window out.");
}

}  // namespace

CursorType parse_cursor_type(std::string_view text) {
  const auto same = [text](const char* name) {
    const std::string_view known{name};
    return std::equal(text.begin(), text.end(), known.begin(), known.end(),
                      [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
  };
  const auto* const found = std::find_if(kCursorTypes.begin(), kCursorTypes.end(), same);
  if (found == kCursorTypes.end()) {
    throw Error(ErrorCode::ConfigError, "the cursor_type " + quote(text) +
                                            " is unknown. It is one of \"time\", \"id\", \"token\", \"snapshot\".");
  }
  return static_cast<CursorType>(found - kCursorTypes.begin());
}

const char* cursor_type_text(CursorType type) noexcept { return kCursorTypes[static_cast<std::size_t>(type)]; }

Window parse_window(std::string_view text, const Zone& zone, std::int64_t now, CursorType cursor_type) {
  check_has_window(cursor_type);
  const Window window = Parser{text, zone, now, cursor_type, "window"}.window();
  check_order(window, cursor_type, "the window " + quote(text));
  return window;
}

std::int64_t parse_bound(std::string_view text, const Zone& zone, std::int64_t now, CursorType cursor_type) {
  check_has_window(cursor_type);
  return Parser{text, zone, now, cursor_type, "bound"}.bound(text);
}

std::int64_t shift(std::int64_t now, const Step& step, const Zone& zone) {
  std::int64_t moved = now;
  switch (step.unit) {
    case Unit::Microsecond:
    case Unit::Second:
    case Unit::Minute:
    case Unit::Hour:
      moved = now + fixed_microseconds(step);
      break;
    case Unit::Day:
    case Unit::Week:
      moved = zone.from_local(zone.to_local(now) + fixed_microseconds(step));
      break;
    case Unit::Month:
      moved = zone.from_local(add_months(zone.to_local(now), step.count));
      break;
    case Unit::Quarter:
      moved = zone.from_local(add_months(zone.to_local(now), step.count * 3));
      break;
    case Unit::Year:
      moved = zone.from_local(add_months(zone.to_local(now), step.count * 12));
      break;
  }
  if (moved < kMinInstant || moved > kMaxInstant) {
    throw Error(ErrorCode::ConfigError, "\"" + step_text(step) + "\" from now leaves the years 1 to 9999.");
  }
  return moved;
}

void check_order(const Window& window, CursorType cursor_type, std::string_view where) {
  if (!window.lo || !window.hi || *window.lo <= *window.hi) return;
  throw Error(ErrorCode::ConfigError, std::string{where} + " is reversed: it starts at " +
                                          bound_text(*window.lo, cursor_type) + " and stops before, at " +
                                          bound_text(*window.hi, cursor_type) + ". Write the earlier bound first.");
}

std::string bound_text(std::int64_t bound, CursorType cursor_type) {
  if (cursor_type == CursorType::Time && bound >= kMinInstant && bound <= kMaxInstant) return rfc3339(bound);
  return std::to_string(bound);
}

}  // namespace strandline::core
