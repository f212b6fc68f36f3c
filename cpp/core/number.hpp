#pragma once
// Numbers as text. There is one layout for doubles and decimals alike, that of ECMAScript's Number::toString: with k
// significant digits and the decimal point after the n-th of them
//   k <= n <= 21   the digits, then n-k zeros           1000
//   0 < n <= 21    the point after n digits             12.5
//   -6 < n <= 0    "0.", then -n zeros, then the digits 0.00125
//   otherwise      exponent form                        1.25e+21, 1.25e-7

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/text_buffer.hpp"

namespace strandline::core {

constexpr std::size_t kIntegerSize = 20;  // the longest int64, with its sign
constexpr std::size_t kDoubleSize = 28;   // the longest double, with its sign

// These two write to `out`, which has room for the sizes above, and return the end.
char* write_integer(char* out, std::int64_t value) noexcept;
// The shortest text that reads back as `value`; -0 is 0. `value` is finite.
char* write_double(char* out, double value) noexcept;

// Appends an integer of any size, given as "[-]0x" and hexadecimal digits, in decimal.
void append_hex_integer(TextBuffer& out, std::string_view hex);

// A number in text, taken apart: digits without zeros at either end, and the exponent n of the layout above. Zero has no
// digits.
class DecimalText {
 public:
  // Reads "[-+]digits[.digits][e[-+]digits]", with at least one digit before or behind the point. False for anything else.
  [[nodiscard]] bool read(std::string_view text);

  [[nodiscard]] bool zero() const noexcept { return digits_.size() == 0; }
  // Of the layout: the position of the decimal point relative to the first significant digit.
  [[nodiscard]] std::int64_t point() const noexcept { return point_; }
  void append_to(TextBuffer& out) const;

 private:
  TextBuffer digits_;
  std::int64_t point_ = 0;
  bool negative_ = false;
};

}  // namespace strandline::core
