#pragma once
// Civil time as counts, and the strict text forms that a declared column may be read from.

#include <cstdint>
#include <string>
#include <string_view>

namespace strandline::encode {

constexpr std::int64_t micros_per_second = 1000000;
constexpr std::int64_t micros_per_day = 86400 * micros_per_second;

// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant's algorithm).
constexpr std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

enum class Zone {
  Required,   // "Z" or an offset; without one the text names no instant
  Forbidden,  // a zone would be dropped silently
};

// RFC 3339: "2013-01-01T05:00:00Z", "2013-01-01 00:00:00.123456-05:00" -> microseconds since 1970-01-01 (UTC when there
// is a zone). Seconds may be left out; a second of 60 rolls over. More than six decimals that are not 0 are a Misfit.
[[nodiscard]] std::int64_t parse_timestamp(std::string_view text, Zone zone);

// "2013-01-31" -> days since 1970-01-01.
[[nodiscard]] std::int64_t parse_date(std::string_view text);

// "05:00", "05:00:00.5" -> microseconds since midnight.
[[nodiscard]] std::int64_t parse_time(std::string_view text);

// The same forms from counts, without trailing zeros and without a zone: "2013-01-31", "05:00:00.5",
// "2013-01-01T05:00:00". Misfit for years that have no four digits.
[[nodiscard]] std::string date_text(std::int64_t days);
[[nodiscard]] std::string time_text(std::int64_t micros);
[[nodiscard]] std::string timestamp_text(std::int64_t micros);

}  // namespace strandline::encode
