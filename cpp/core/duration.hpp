#pragma once
// Durations as people write them: "1 week", "90 min", "-7 days", "2 quarters". A Step keeps the unit, because a day, a
// month or a year has no fixed length before it meets a calendar.

#include <cstdint>
#include <string>
#include <string_view>

namespace strandline::core {

enum class Unit { Microsecond, Second, Minute, Hour, Day, Week, Month, Quarter, Year };

struct Step {
  std::int64_t count = 1;
  Unit unit = Unit::Day;

  friend bool operator==(const Step& a, const Step& b) noexcept { return a.count == b.count && a.unit == b.unit; }
};

inline constexpr std::int64_t kMicrosecondsPerSecond = 1'000'000;
inline constexpr std::int64_t kMicrosecondsPerMinute = 60 * kMicrosecondsPerSecond;
inline constexpr std::int64_t kMicrosecondsPerHour = 60 * kMicrosecondsPerMinute;
inline constexpr std::int64_t kMicrosecondsPerDay = 24 * kMicrosecondsPerHour;

// A signed whole count and a unit, e.g. "5 s", "10min", "-7 days", "1 quarter"; the case does not matter and the count
// may be left out ("week" is "1 week"). Throws ConfigError that lists the units.
[[nodiscard]] Step parse_step(std::string_view text);

// "1 week", "7 days", "-3 hours": the one spelling that goes into stored specs and keys. parse_step() reads it back.
[[nodiscard]] std::string step_text(const Step& step);

// The length of microsecond .. week as elapsed time (a day is 24 h); month, quarter and year have none: ConfigError.
[[nodiscard]] std::int64_t fixed_microseconds(const Step& step);

// parse_step and fixed_microseconds in one, for settings such as lease "60 s".
[[nodiscard]] std::int64_t duration_microseconds(std::string_view text);

}  // namespace strandline::core
