#pragma once
// Big-endian stores, as COPY BINARY needs them. Each returns the position behind what it wrote.

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

}  // namespace strandline::encode
