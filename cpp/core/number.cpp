#include "core/number.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

namespace strandline::core {
namespace {

constexpr std::int64_t kMaxPlainDigits = 21;           // from here on ECMAScript writes an exponent
constexpr std::int64_t kMinPlainPoint = -6;            // "0.000000" and more zeros are an exponent too
constexpr double kExactIntegers = 9007199254740992.0;  // 2^53: up to here every integral double is its own integer
constexpr std::size_t kLayoutExtra = 32;               // sign, "0.", zeros and exponent around the digits

char* write_zeros(char* out, std::int64_t count) noexcept {
  std::memset(out, '0', static_cast<std::size_t>(count));
  return out + count;
}

char* write_text(char* out, std::string_view text) noexcept {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// `digits` is not empty, begins and ends with other digits than 0.
char* write_layout(char* out, bool negative, std::string_view digits, std::int64_t point) noexcept {
  const auto count = static_cast<std::int64_t>(digits.size());
  if (negative) *out++ = '-';
  if (count <= point && point <= kMaxPlainDigits) return write_zeros(write_text(out, digits), point - count);
  if (0 < point && point <= kMaxPlainDigits) {
    out = write_text(out, digits.substr(0, static_cast<std::size_t>(point)));
    *out++ = '.';
    return write_text(out, digits.substr(static_cast<std::size_t>(point)));
  }
  if (kMinPlainPoint < point && point <= 0) return write_text(write_zeros(write_text(out, "0."), -point), digits);
  *out++ = digits.front();
  if (count > 1) {
    *out++ = '.';
    out = write_text(out, digits.substr(1));
  }
  *out++ = 'e';
  const std::int64_t exponent = point - 1;
  if (exponent >= 0) *out++ = '+';
  return write_integer(out, exponent);
}

// Most doubles in configurations are short decimals (0.25, 19.99), and the general algorithm costs ten times as much.
// Where value * 10^k rounds to an integer m of at most 15 digits, and m / 10^k, correctly rounded (both are exact
// doubles), gives the value back, m is its shortest text: decimals of up to 15 digits never share a double, so that no
// other text as short can mean it. Writes nothing and returns nullptr for all other values.
char* write_short_decimal(char* out, double value) noexcept {
  constexpr std::array kPowers{10.0, 100.0, 1e3, 1e4, 1e5};
  constexpr double kLimit = 1e15;
  const double magnitude = std::fabs(value);
  for (std::size_t i = 0; i < kPowers.size(); ++i) {
    const double scaled = magnitude * kPowers[i];
    if (scaled >= kLimit) return nullptr;
    const auto integer = static_cast<std::int64_t>(scaled);
    if (static_cast<double>(integer) != scaled || scaled / kPowers[i] != magnitude || integer == 0) continue;
    std::array<char, kIntegerSize> digits;  // NOLINT(*-member-init): written before it is read
    const char* const end = write_integer(digits.data(), integer);
    auto size = static_cast<std::size_t>(end - digits.data());
    const auto point = static_cast<std::int64_t>(size) - static_cast<std::int64_t>(i + 1);
    while (digits[size - 1] == '0') --size;  // a smaller power may have missed by a rounding
    return write_layout(out, value < 0, {digits.data(), size}, point);
  }
  return nullptr;
}

bool is_digit(char byte) noexcept { return byte >= '0' && byte <= '9'; }

}  // namespace

char* write_integer(char* out, std::int64_t value) noexcept {
  return std::to_chars(out, out + kIntegerSize, value).ptr;
}

char* write_double(char* out, double value) noexcept {
  if (std::fabs(value) <= kExactIntegers) {
    const auto integer = static_cast<std::int64_t>(value);
    // A double comparison on purpose: "is it integral?" is exactly what it answers. -0 becomes the integer 0 here.
    if (static_cast<double>(integer) - value == 0.0) return write_integer(out, integer);
  }
  if (char* const done = write_short_decimal(out, value); done != nullptr) return done;
  // The format is named because to_chars without one, or with `fixed`, prints large integers to the last exact digit.
  std::array<char, kDoubleSize> text;  // NOLINT(*-member-init): written before it is read
  const char* const end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific).ptr;
  const char* const mark =
      static_cast<const char*>(std::memchr(text.data(), 'e', static_cast<std::size_t>(end - text.data())));
  char* first = text.data();
  const bool negative = *first == '-';
  if (negative) ++first;
  // Close the gap of the point: its place is taken by the leading digit.
  if (first[1] == '.') {
    first[1] = first[0];
    ++first;
  }
  int exponent = 0;
  std::from_chars(mark + (mark[1] == '+' ? 2 : 1), end, exponent);
  return write_layout(out, negative, {first, static_cast<std::size_t>(mark - first)}, std::int64_t{exponent} + 1);
}

void append_hex_integer(TextBuffer& out, std::string_view hex) {
  if (hex.front() == '-') out.append('-');
  hex.remove_prefix(hex.find('x') + 1);
  // Limbs of nine decimal digits, the least significant first; seven hexadecimal digits a step keep the product in 64 bits.
  constexpr std::uint64_t kLimb = 1'000'000'000;
  constexpr std::size_t kLimbDigits = 9;
  constexpr std::size_t kStep = 7;
  std::vector<std::uint32_t> limbs{0};
  for (std::size_t at = 0; at < hex.size();) {
    const std::size_t count = std::min(kStep, hex.size() - at);
    std::uint32_t chunk = 0;
    std::from_chars(hex.data() + at, hex.data() + at + count, chunk, 16);
    at += count;
    std::uint64_t carry = chunk;
    for (std::uint32_t& limb : limbs) {
      carry += std::uint64_t{limb} << (4 * count);
      limb = static_cast<std::uint32_t>(carry % kLimb);
      carry /= kLimb;
    }
    if (carry != 0) limbs.push_back(static_cast<std::uint32_t>(carry));
  }
  char* at = out.reserve(limbs.size() * kLimbDigits);
  at = std::to_chars(at, at + kLimbDigits, limbs.back()).ptr;
  for (auto limb = limbs.rbegin() + 1; limb != limbs.rend(); ++limb) {
    std::uint32_t rest = *limb;
    for (char* digit = at + kLimbDigits; digit != at; rest /= 10) *--digit = static_cast<char>('0' + rest % 10);
    at += kLimbDigits;
  }
  out.advance_to(at);
}

bool DecimalText::read(std::string_view text) {
  digits_.clear();
  point_ = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  negative_ = at != end && *at == '-';
  if (at != end && (*at == '-' || *at == '+')) ++at;
  bool any = false;
  bool fraction = false;
  char* out = digits_.reserve(text.size());
  const char* const begin = out;
  for (; at != end; ++at) {
    if (*at == '.' && !fraction) {
      fraction = true;
    } else if (is_digit(*at)) {
      any = true;
      const bool leading = out == begin && *at == '0';
      if (!leading) *out++ = *at;
      // The point moves right with every digit before it, left with every leading zero behind it.
      if (!fraction && !leading) ++point_;
      if (fraction && leading) --point_;
    } else {
      break;
    }
  }
  if (!any) return false;
  if (at != end) {
    if (*at != 'e' && *at != 'E') return false;
    ++at;
    if (at != end && *at == '+') ++at;
    std::int64_t exponent = 0;
    const auto [rest, error] = std::from_chars(at, end, exponent);
    if (error != std::errc{} || rest != end) return false;
    if (__builtin_add_overflow(point_, exponent, &point_)) return false;
  }
  while (out != begin && out[-1] == '0') --out;
  digits_.advance_to(out);
  return true;
}

void DecimalText::append_to(TextBuffer& out) const {
  if (zero()) return out.append('0');
  char* const begin = out.reserve(digits_.size() + kLayoutExtra);
  out.advance_to(write_layout(begin, negative_, digits_.view(), point_));
}

}  // namespace strandline::core
