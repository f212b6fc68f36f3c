#pragma once
// Text in words of eight bytes: short strings are copied, searched and compared in one step instead of eight.

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace strandline::core {

constexpr std::size_t kWordSize = 8;

// `count` (1 to 8) bytes as a number, the first byte the least significant, zeros behind the last. Reads no byte beyond.
inline std::uint64_t load_word(const char* from, std::size_t count) noexcept {
  std::uint64_t word = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (count >= 4) {
    // Two loads that meet or overlap in the middle.
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, from, 4);
    std::memcpy(&high, from + count - 4, 4);
    return low | std::uint64_t{high} << (8 * (count - 4));
  }
  if (count >= 2) {
    std::uint16_t low = 0;
    std::uint16_t high = 0;
    std::memcpy(&low, from, 2);
    std::memcpy(&high, from + count - 2, 2);
    return low | std::uint64_t{high} << (8 * (count - 2));
  }
  word = static_cast<unsigned char>(*from);
#else
  for (std::size_t i = count; i-- > 0;) word = word << 8U | static_cast<unsigned char>(from[i]);
#endif
  return word;
}

// The other way, always eight bytes; the caller has room for them.
inline void store_word(char* to, std::uint64_t word) noexcept {
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  std::memcpy(to, &word, kWordSize);
}

}  // namespace strandline::core
