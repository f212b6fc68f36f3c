// PostgreSQL's numeric on the wire: ndigits, weight, sign, dscale, then digits to the base of 10,000, where `weight` is
// the power of 10,000 of the first one and dscale the number of decimals to show.

#include <algorithm>
#include <charconv>

#include "encode/field.hpp"

namespace strandline::encode {
namespace {

constexpr std::uint16_t sign_positive = 0x0000;
constexpr std::uint16_t sign_negative = 0x4000;
constexpr std::uint16_t sign_nan = 0xC000;
constexpr std::uint16_t sign_infinity = 0xD000;
constexpr std::uint16_t sign_minus_infinity = 0xF000;

constexpr std::int64_t max_scale = 16383;      // decimals that the header can name
constexpr std::int64_t max_integral = 131072;  // digits before the point

[[noreturn]] void malformed() { throw Misfit{"the text is no decimal number; repair it or declare the column text"}; }

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

bool same_word(std::string_view text, std::string_view lower) noexcept {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

void put_header(core::TextBuffer& out, std::uint16_t digits, std::int16_t weight, std::uint16_t sign,
                std::uint16_t scale) {
  char* at = store32(out.reserve(12), 8U + 2U * digits);
  out.advance_to(store16(store16(store16(store16(at, digits), static_cast<std::uint16_t>(weight)), sign), scale));
}

// The written digits without point, sign and leading zeros; `point` is how many of them stand before the decimal point
// (negative: so many zeros follow the point first).
struct Decimal {
  std::string digits;
  std::int64_t point = 0;
  std::int64_t scale = 0;
};

Decimal read(std::string_view text) {
  Decimal decimal;
  std::int64_t decimals = 0;
  bool seen_point = false;
  bool seen_digit = false;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    if (text[i] == '.' && !seen_point) {
      seen_point = true;
    } else if (is_digit(text[i])) {
      seen_digit = true;
      decimals += seen_point ? 1 : 0;
      if (!decimal.digits.empty() || text[i] != '0') decimal.digits.push_back(text[i]);
    } else {
      break;
    }
  }
  if (!seen_digit) malformed();

  std::int64_t exponent = 0;
  if (i < text.size()) {
    if (text[i] != 'e' && text[i] != 'E') malformed();
    std::string_view power = text.substr(i + 1);
    if (power.size() > 1 && power.front() == '+' && is_digit(power[1])) power.remove_prefix(1);
    const auto [end, error] = std::from_chars(power.data(), power.data() + power.size(), exponent);
    if (error != std::errc{} || end != power.data() + power.size() || exponent > 1000000 || exponent < -1000000)
      malformed();
  }
  decimal.scale = std::max<std::int64_t>(0, decimals - exponent);
  decimal.point = static_cast<std::int64_t>(decimal.digits.size()) - decimals + exponent;
  while (!decimal.digits.empty() && decimal.digits.back() == '0') decimal.digits.pop_back();
  return decimal;
}

}  // namespace

void put_numeric(core::TextBuffer& out, std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  if (same_word(text, "nan") && !negative) {
    put_header(out, 0, 0, sign_nan, 0);
    return;
  }
  if (same_word(text, "infinity") || same_word(text, "inf")) {
    put_header(out, 0, 0, negative ? sign_minus_infinity : sign_infinity, 0);
    return;
  }

  const Decimal decimal = read(text);
  if (decimal.scale > max_scale || decimal.point > max_integral) {
    throw Misfit{
        "the number has more digits than numeric holds (131072 before, 16383 after the point); declare the column "
        "text"};
  }
  if (decimal.digits.empty()) {
    put_header(out, 0, 0, sign_positive, static_cast<std::uint16_t>(decimal.scale));
    return;
  }

  // Groups of four are counted from the decimal point, so the first one may begin with zeros that are not written.
  const std::int64_t groups_before = decimal.point > 0 ? (decimal.point + 3) / 4 : -(-decimal.point / 4);
  const std::int64_t padding = groups_before * 4 - decimal.point;
  const std::int64_t length = padding + static_cast<std::int64_t>(decimal.digits.size());
  const std::int64_t groups = (length + 3) / 4;
  put_header(out, static_cast<std::uint16_t>(groups), static_cast<std::int16_t>(groups_before - 1),
             negative ? sign_negative : sign_positive, static_cast<std::uint16_t>(decimal.scale));
  char* at = out.reserve(static_cast<std::size_t>(groups) * 2);
  for (std::int64_t group = 0; group < groups; ++group) {
    unsigned value = 0;
    for (std::int64_t i = group * 4 - padding; i < group * 4 - padding + 4; ++i) {
      const bool written = i >= 0 && i < static_cast<std::int64_t>(decimal.digits.size());
      value = value * 10 + (written ? static_cast<unsigned>(decimal.digits[static_cast<std::size_t>(i)] - '0') : 0U);
    }
    at = store16(at, static_cast<std::uint16_t>(value));
  }
  out.advance_to(at);
}

}  // namespace strandline::encode
