#pragma once
// Big-endian stores, as COPY BINARY needs them. Each returns the position behind what it wrote. And loads, of what was stored.

#include <cstdint>
#include <cstring>

namespace strandline::encode {

inline char* store16(char* out, std::uint16_t value) noexcept {
  value = __builtin_bswap16(value);
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
}

inline char* store32(char* out, std::uint32_t value) noexcept {
  value = __builtin_bswap32(value);
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
}

inline char* store64(char* out, std::uint64_t value) noexcept {
  value = __builtin_bswap64(value);
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
}

inline std::int16_t load16(const char* in) noexcept {
  std::uint16_t value = 0;
  std::memcpy(&value, in, sizeof value);
  return static_cast<std::int16_t>(__builtin_bswap16(value));
}

inline std::int32_t load32(const char* in) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, in, sizeof value);
  return static_cast<std::int32_t>(__builtin_bswap32(value));
}

inline std::int64_t load64(const char* in) noexcept {
  std::uint64_t value = 0;
  std::memcpy(&value, in, sizeof value);
  return static_cast<std::int64_t>(__builtin_bswap64(value));
}

}  // namespace strandline::encode
