#pragma once
// What an Arrow schema says about a column (Layout), and where the values of one batch lie (View).

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "encode/arrow_abi.hpp"

namespace strandline::encode {

enum class Storage : std::uint8_t {
  Null,
  Bool,
  Int,
  Uint,
  Float,
  Decimal,
  Text,
  Binary,
  FixedBinary,
  Date,  // width 4: days; width 8: milliseconds
  Time,
  Timestamp,
  List,
  FixedList,
  Struct,
  Map,
};

// Where the bytes of a text or binary value, or the items of a list, are found.
enum class Offsets : std::uint8_t { Small, Large, Views };

struct Layout {
  std::string name;
  Storage storage = Storage::Null;
  bool nullable = true;
  bool zone = false;                 // Timestamp: an instant, not a wall clock
  Offsets offsets = Offsets::Small;  // Text, Binary, List
  std::int32_t width = 0;            // bytes of a fixed value, items of a FixedList
  std::int32_t scale = 0;            // Decimal
  std::int64_t units = 1;            // Time, Timestamp: units per second
  std::string extension;             // "arrow.uuid", "arrow.json" or another ARROW:extension:name
  std::vector<Layout> children;      // List, FixedList: 1; Map: 1 (a struct of key and value); Struct: its fields
  // Dictionary-encoded: this layout is the values', the indices are of these.
  bool dictionary = false;
  std::int32_t index_width = 0;
  bool index_signed = true;
};

// Reads a schema's tree. ConfigError names the column and the Arrow type that is not supported.
[[nodiscard]] Layout read_layout(const ArrowSchema& schema);

// The SQL type of a column with this layout; empty for the null type, which tells none.
[[nodiscard]] std::string_view sql_type(const Layout& layout) noexcept;

struct View {
  const Layout* layout = nullptr;
  std::int64_t offset = 0;                 // of this array; not of its parents
  const std::uint8_t* validity = nullptr;  // null: everything is valid
  const void* const* buffers = nullptr;    // as the array has them; the first is the validity
  std::vector<View> children;
  std::unique_ptr<View> values;  // of a dictionary

  // `index` counts from the array's offset.
  [[nodiscard]] bool is_null(std::int64_t index) const noexcept {
    if (layout->storage == Storage::Null && !layout->dictionary) return true;
    if (validity != nullptr) {
      const auto bit = static_cast<std::uint64_t>(index + offset);
      if ((validity[bit >> 3U] >> (bit & 7U) & 1U) == 0) return true;
    }
    return values != nullptr && values->is_null(key(index));
  }

  template <typename Value>
  [[nodiscard]] Value at(std::int64_t index) const noexcept {
    return static_cast<const Value*>(buffers[1])[index + offset];
  }

  // A dictionary's index.
  [[nodiscard]] std::int64_t key(std::int64_t index) const noexcept;
  // An integer of any width; of uint64 the same bits.
  [[nodiscard]] std::int64_t integer(std::int64_t index) const noexcept;
  // A float of any width.
  [[nodiscard]] double floating(std::int64_t index) const noexcept;
  [[nodiscard]] bool boolean(std::int64_t index) const noexcept;
  // The bytes of Text, Binary and FixedBinary.
  [[nodiscard]] std::string_view bytes(std::int64_t index) const noexcept;
  // The items [first, second) of a List, FixedList or Map in its child.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> items(std::int64_t index) const noexcept;
  // Microseconds since 1970 or since midnight; Misfit when finer or beyond int64.
  [[nodiscard]] std::int64_t micros(std::int64_t index) const;
  // Days since 1970.
  [[nodiscard]] std::int64_t days(std::int64_t index) const;
  // "-12.50"
  [[nodiscard]] std::string decimal(std::int64_t index) const;
};

// Throws DataError when the array does not have the layout's shape.
[[nodiscard]] View bind(const Layout& layout, const ArrowArray& array);

}  // namespace strandline::encode
