// Reading single values out of Arrow buffers.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "encode/arrow_layout.hpp"
#include "encode/field.hpp"
#include "encode/temporal.hpp"

namespace strandline::encode {
namespace {

std::int64_t signed_at(const View& view, std::int64_t index, std::int32_t width) noexcept {
  switch (width) {
    case 1:
      return view.at<std::int8_t>(index);
    case 2:
      return view.at<std::int16_t>(index);
    case 4:
      return view.at<std::int32_t>(index);
    default:
      return view.at<std::int64_t>(index);
  }
}

std::int64_t unsigned_at(const View& view, std::int64_t index, std::int32_t width) noexcept {
  switch (width) {
    case 1:
      return view.at<std::uint8_t>(index);
    case 2:
      return view.at<std::uint16_t>(index);
    case 4:
      return view.at<std::uint32_t>(index);
    default:
      return static_cast<std::int64_t>(view.at<std::uint64_t>(index));
  }
}

double half_to_double(std::uint16_t bits) noexcept {
  const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
  const int exponent = bits >> 10U & 0x1F;
  const int fraction = bits & 0x3FF;
  if (exponent == 0x1F) return fraction == 0 ? sign * HUGE_VAL : std::nan("");
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(fraction + 0x400, exponent - 25);
}

template <typename Offset>
std::pair<std::int64_t, std::int64_t> range(const View& view, std::int64_t index) noexcept {
  return {view.at<Offset>(index), view.at<Offset>(index + 1)};
}

// 16 bytes: the size, then up to 12 bytes in place, or a prefix, the number of a data buffer and the offset in it.
std::string_view viewed(const View& view, std::int64_t index) noexcept {
  const char* entry = static_cast<const char*>(view.buffers[1]) + (index + view.offset) * 16;
  std::int32_t parts[4];
  std::memcpy(parts, entry, sizeof parts);
  const auto size = static_cast<std::size_t>(parts[0]);
  if (size <= 12) return {entry + 4, size};
  return {static_cast<const char*>(view.buffers[2 + parts[2]]) + parts[3], size};
}

}  // namespace

std::int64_t View::key(std::int64_t index) const noexcept {
  return layout->index_signed ? signed_at(*this, index, layout->index_width)
                              : unsigned_at(*this, index, layout->index_width);
}

std::int64_t View::integer(std::int64_t index) const noexcept {
  return layout->storage == Storage::Uint ? unsigned_at(*this, index, layout->width)
                                          : signed_at(*this, index, layout->width);
}

double View::floating(std::int64_t index) const noexcept {
  switch (layout->width) {
    case 2:
      return half_to_double(at<std::uint16_t>(index));
    case 4:
      return static_cast<double>(at<float>(index));
    default:
      return at<double>(index);
  }
}

bool View::boolean(std::int64_t index) const noexcept {
  const auto bit = static_cast<std::uint64_t>(index + offset);
  return (static_cast<const std::uint8_t*>(buffers[1])[bit >> 3U] >> (bit & 7U) & 1U) != 0;
}

std::string_view View::bytes(std::int64_t index) const noexcept {
  if (layout->storage == Storage::FixedBinary) {
    const auto width = static_cast<std::size_t>(layout->width);
    return {static_cast<const char*>(buffers[1]) + static_cast<std::size_t>(index + offset) * width, width};
  }
  if (layout->offsets == Offsets::Views) return viewed(*this, index);
  const auto [first, last] =
      layout->offsets == Offsets::Small ? range<std::int32_t>(*this, index) : range<std::int64_t>(*this, index);
  // A column of empty texts may come without a data buffer.
  if (first == last) return {};
  return {static_cast<const char*>(buffers[2]) + first, static_cast<std::size_t>(last - first)};
}

std::pair<std::int64_t, std::int64_t> View::items(std::int64_t index) const noexcept {
  if (layout->storage == Storage::FixedList) {
    const std::int64_t first = (index + offset) * layout->width;
    return {first, first + layout->width};
  }
  return layout->offsets == Offsets::Small ? range<std::int32_t>(*this, index) : range<std::int64_t>(*this, index);
}

std::int64_t View::micros(std::int64_t index) const {
  const std::int64_t value = signed_at(*this, index, layout->width);
  if (layout->units == micros_per_second) return value;
  if (layout->units > micros_per_second) {
    if (value % 1000 != 0) {
      throw Misfit{
          "the time has nanoseconds, PostgreSQL keeps microseconds; cast the column to microseconds at the source "
          "(pyarrow: .cast('timestamp[us]', safe=False), polars: .dt.cast_time_unit('us'))"};
    }
    return value / 1000;
  }
  std::int64_t micros = 0;
  if (__builtin_mul_overflow(value, micros_per_second / layout->units, &micros)) {
    throw Misfit{"the time is outside PostgreSQL's range; send NULL for an unknown time"};
  }
  return micros;
}

std::int64_t View::days(std::int64_t index) const {
  const std::int64_t value = signed_at(*this, index, layout->width);
  if (layout->width == 4) return value;
  constexpr std::int64_t millis_per_day = 86400000;
  if (value % millis_per_day != 0) throw Misfit{"the date64 value has a time of day; cast the column to a timestamp"};
  return value / millis_per_day;
}

std::string View::decimal(std::int64_t index) const {
  // Little-endian two's complement, as limbs of 32 bits; divided by 10^9 until nothing is left.
  constexpr std::uint32_t base = 1000000000;
  std::uint32_t limbs[8] = {};
  const std::size_t count = static_cast<std::size_t>(layout->width) / 4;
  std::memcpy(limbs, static_cast<const char*>(buffers[1]) + (index + offset) * layout->width, count * 4);
  const bool negative = (limbs[count - 1] & 0x80000000U) != 0;
  if (negative) {
    std::uint64_t carry = 1;
    for (std::size_t i = 0; i < count; ++i) {
      carry += ~limbs[i];
      limbs[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32U;
    }
  }
  std::string digits;  // the last one first
  std::size_t top = count;
  while (top > 0) {
    if (limbs[top - 1] == 0) {
      --top;
      continue;
    }
    std::uint64_t rest = 0;
    for (std::size_t i = top; i-- > 0;) {
      rest = rest << 32U | limbs[i];
      limbs[i] = static_cast<std::uint32_t>(rest / base);
      rest %= base;
    }
    for (int i = 0; i < 9; ++i, rest /= 10) digits.push_back(static_cast<char>('0' + rest % 10));
  }
  while (!digits.empty() && digits.back() == '0') digits.pop_back();

  if (layout->scale < 0) digits.insert(0, digits.empty() ? 0 : static_cast<std::size_t>(-layout->scale), '0');
  const std::size_t decimals = layout->scale > 0 ? static_cast<std::size_t>(layout->scale) : 0;
  if (digits.size() <= decimals) digits.append(decimals + 1 - digits.size(), '0');
  if (decimals > 0) digits.insert(decimals, 1, '.');
  if (negative) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace strandline::encode
