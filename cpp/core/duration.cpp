#include "core/duration.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "core/error.hpp"
#include "core/quote.hpp"

namespace strandline::core {
namespace {

struct UnitName {
  Unit unit;
  std::string_view name;  // singular; the plural adds an s
  std::array<std::string_view, 3> short_forms;
  std::int64_t microseconds;  // 0: depends on the calendar
  std::int64_t longest;       // the most of them that a step may have: 10,000 years, so that no sum of times overflows
};

constexpr std::int64_t kLongestYears = 10'000;
constexpr std::int64_t kLongestDays = kLongestYears * 366;

constexpr UnitName fixed_unit(Unit unit, std::string_view name, std::array<std::string_view, 3> short_forms,
                              std::int64_t microseconds) {
  return {unit, name, short_forms, microseconds, kLongestDays * kMicrosecondsPerDay / microseconds};
}

// "m" and "M" are missing on purpose: one reader's minute is the other's month.
constexpr std::array<UnitName, 9> kUnits{{
    fixed_unit(Unit::Microsecond, "microsecond", {"us", "", ""}, 1),
    fixed_unit(Unit::Second, "second", {"s", "sec", "secs"}, kMicrosecondsPerSecond),
    fixed_unit(Unit::Minute, "minute", {"min", "mins", ""}, kMicrosecondsPerMinute),
    fixed_unit(Unit::Hour, "hour", {"h", "hr", "hrs"}, kMicrosecondsPerHour),
    fixed_unit(Unit::Day, "day", {"d", "", ""}, kMicrosecondsPerDay),
    fixed_unit(Unit::Week, "week", {"w", "wk", "wks"}, 7 * kMicrosecondsPerDay),
    {Unit::Month, "month", {"mo", "mon", ""}, 0, 12 * kLongestYears},
    {Unit::Quarter, "quarter", {"q", "", ""}, 0, 4 * kLongestYears},
    {Unit::Year, "year", {"y", "yr", "yrs"}, 0, kLongestYears},
}};

const UnitName& name_of(Unit unit) { return kUnits.at(static_cast<std::size_t>(unit)); }

const UnitName* find_unit(std::string_view word) {
  for (const UnitName& unit : kUnits) {
    const bool plural = word.size() == unit.name.size() + 1 && word.back() == 's';
    if ((plural ? word.substr(0, unit.name.size()) : word) == unit.name) return &unit;
    for (std::string_view form : unit.short_forms) {
      if (!form.empty() && word == form) return &unit;
    }
  }
  return nullptr;
}

[[noreturn]] void refuse(std::string_view text, const std::string& problem) {
  std::string message = quote(text) + " is not a duration: " + problem;
  message += ". Write a whole number and a unit, such as \"1 week\", \"10 min\" or \"-7 days\". The units are";
  char separator = ' ';
  for (const UnitName& unit : kUnits) {
    (message += separator) += separator == ',' ? " " : "";
    message += unit.name;
    message += " (";
    message += unit.short_forms[0];
    message += ')';
    separator = ',';
  }
  throw Error(ErrorCode::ConfigError, message + '.');
}

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Step parse_step(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  while (!rest.empty() && is_space(rest.back())) rest.remove_suffix(1);
  if (rest.empty()) refuse(text, "it is empty");

  const bool negative = rest.front() == '-';
  const bool sign = negative || rest.front() == '+';
  if (sign) rest.remove_prefix(1);
  while (sign && !rest.empty() && is_space(rest.front())) rest.remove_prefix(1);

  std::int64_t count = 0;
  std::size_t digits = 0;
  for (; digits < rest.size() && is_digit(rest[digits]); ++digits) {
    constexpr std::int64_t kEnough = 1'000'000'000'000'000'000;  // above every limit below, and ten times it still fits
    if (count < kEnough / 10) {
      count = count * 10 + (rest[digits] - '0');
    } else {
      count = kEnough;
    }
  }
  if (digits == 0) count = 1;
  rest.remove_prefix(digits);
  while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  if (rest.empty()) refuse(text, "it has no unit");
  if (!rest.empty() && (rest.front() == '.' || rest.front() == ',')) refuse(text, "the number is not whole");

  std::string word{rest};
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const UnitName* unit = find_unit(word);
  if (unit == nullptr) refuse(text, "the unit " + quote(rest) + " is unknown");
  if (count > unit->longest) refuse(text, "it is longer than 10,000 years");
  return {negative ? -count : count, unit->unit};
}

std::string step_text(const Step& step) {
  std::string text = std::to_string(step.count) + ' ';
  text += name_of(step.unit).name;
  if (step.count != 1 && step.count != -1) text += 's';
  return text;
}

std::int64_t fixed_microseconds(const Step& step) {
  const UnitName& unit = name_of(step.unit);
  if (unit.microseconds == 0) {
    throw Error(ErrorCode::ConfigError,
                "\"" + step_text(step) + "\" has no fixed length: a " + std::string{unit.name} +
                    " depends on the calendar. Give it in weeks, days, hours, minutes or seconds, e.g. \"30 days\".");
  }
  return step.count * unit.microseconds;
}

std::int64_t duration_microseconds(std::string_view text) { return fixed_microseconds(parse_step(text)); }

}  // namespace strandline::core
