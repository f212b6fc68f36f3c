#include "encode/temporal.hpp"

#include <algorithm>

#include "encode/field.hpp"

namespace strandline::encode {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Reads text from the left; every step fails the whole reading with the same message.
class Reader {
 public:
  Reader(std::string_view text, const char* expected) noexcept : rest_{text}, expected_{expected} {}

  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }
  [[nodiscard]] char peek() const noexcept { return rest_.empty() ? '\0' : rest_.front(); }
  [[noreturn]] void fail() const { throw Misfit{expected_}; }

  bool take(char c) noexcept {
    if (peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail();
  }
  void end() const {
    if (!done()) fail();
  }

  // Exactly `count` digits, between `low` and `high`.
  unsigned number(unsigned count, unsigned low, unsigned high) {
    unsigned value = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (!is_digit(peek())) fail();
      value = value * 10 + static_cast<unsigned>(peek() - '0');
      rest_.remove_prefix(1);
    }
    if (value < low || value > high) fail();
    return value;
  }

  // The digits behind a decimal point as microseconds.
  std::int64_t fraction() {
    if (!is_digit(peek())) fail();
    std::int64_t micros = 0;
    std::int64_t unit = micros_per_second / 10;
    for (; is_digit(peek()); rest_.remove_prefix(1), unit /= 10) {
      if (unit == 0 && peek() != '0') {
        throw Misfit{
            "the time is finer than PostgreSQL's microseconds; cut it at the source or declare the column text"};
      }
      micros += unit * (peek() - '0');
    }
    return micros;
  }

 private:
  std::string_view rest_;
  const char* expected_;
};

unsigned days_in_month(unsigned year, unsigned month) noexcept {
  constexpr unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : days[month - 1];
}

std::int64_t read_date(Reader& reader) {
  const unsigned year = reader.number(4, 1, 9999);
  reader.expect('-');
  const unsigned month = reader.number(2, 1, 12);
  reader.expect('-');
  const unsigned day = reader.number(2, 1, days_in_month(year, month));
  return days_from_civil(year, month, day);
}

std::int64_t read_time(Reader& reader) {
  const unsigned hour = reader.number(2, 0, 24);
  reader.expect(':');
  const unsigned minute = reader.number(2, 0, 59);
  std::int64_t micros = (hour * std::int64_t{60} + minute) * 60 * micros_per_second;
  if (reader.take(':')) {
    micros += reader.number(2, 0, 60) * micros_per_second;
    if (reader.take('.')) micros += reader.fraction();
  }
  if (hour == 24 && micros != micros_per_day) reader.fail();
  return micros;
}

// "Z", "+05:30", "+0530" or "+05"; microseconds east of UTC.
std::int64_t read_offset(Reader& reader) {
  if (reader.take('Z') || reader.take('z')) return 0;
  const std::int64_t sign = reader.peek() == '-' ? -1 : 1;
  if (!reader.take('-')) reader.expect('+');
  std::int64_t minutes = reader.number(2, 0, 23) * std::int64_t{60};
  if (reader.take(':') || is_digit(reader.peek())) minutes += reader.number(2, 0, 59);
  return sign * minutes * 60 * micros_per_second;
}

void append_number(std::string& out, std::int64_t value, int width) {
  const std::string digits = std::to_string(value);
  out.append(static_cast<std::size_t>(width) - std::min(digits.size(), static_cast<std::size_t>(width)), '0')
      .append(digits);
}

}  // namespace

std::int64_t parse_timestamp(std::string_view text, Zone zone) {
  Reader reader{text,
                zone == Zone::Required
                    ? "the text is no RFC 3339 time with a zone (2013-01-01T05:00:00Z); add the zone at the source or "
                      "declare the column text"
                    : "the text is no ISO time without a zone (2013-01-01T05:00:00); declare the column timestamptz "
                      "if it has one, else text"};
  std::int64_t micros = read_date(reader) * micros_per_day;
  if (!reader.take('T') && !reader.take('t')) reader.expect(' ');
  micros += read_time(reader);
  if (zone == Zone::Required) micros -= read_offset(reader);
  reader.end();
  return micros;
}

std::int64_t parse_date(std::string_view text) {
  Reader reader{text, "the text is no ISO date (2013-01-31); repair it or declare the column text"};
  const std::int64_t days = read_date(reader);
  reader.end();
  return days;
}

std::int64_t parse_time(std::string_view text) {
  Reader reader{text, "the text is no ISO time of day (05:00:00); repair it or declare the column text"};
  const std::int64_t micros = read_time(reader);
  reader.end();
  return micros;
}

std::string date_text(std::int64_t days) {
  // The inverse of days_from_civil: eras of 400 years that begin on the first of March.
  constexpr std::int64_t first = days_from_civil(1, 1, 1);
  constexpr std::int64_t last = days_from_civil(9999, 12, 31);
  if (days < first || days > last) throw Misfit{"a nested date is outside the years 1 to 9999; send null or text"};
  const std::int64_t shifted = days + 719468;
  const std::int64_t era = shifted / 146097;
  const std::int64_t day_of_era = shifted % 146097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t march = (5 * day_of_year + 2) / 153;
  const std::int64_t month = march < 10 ? march + 3 : march - 9;
  std::string text;
  append_number(text, era * 400 + year_of_era + (month <= 2 ? 1 : 0), 4);
  text.push_back('-');
  append_number(text, month, 2);
  text.push_back('-');
  append_number(text, day_of_year - (153 * march + 2) / 5 + 1, 2);
  return text;
}

std::string time_text(std::int64_t micros) {
  std::string text;
  const std::int64_t seconds = micros / micros_per_second;
  append_number(text, seconds / 3600, 2);
  text.push_back(':');
  append_number(text, seconds / 60 % 60, 2);
  text.push_back(':');
  append_number(text, seconds % 60, 2);
  if (const std::int64_t fraction = micros % micros_per_second; fraction != 0) {
    text.push_back('.');
    append_number(text, fraction, 6);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text;
}

std::string timestamp_text(std::int64_t micros) {
  std::int64_t days = micros / micros_per_day;
  if (micros % micros_per_day < 0) --days;
  return date_text(days) + "T" + time_text(micros - days * micros_per_day);
}

}  // namespace strandline::encode
