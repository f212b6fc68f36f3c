#include "encode/page.hpp"

#include <algorithm>
#include <limits>

#include "encode/big_endian.hpp"

namespace strandline::encode {

std::vector<std::string> EncodedPage::column_names() const {
  std::vector<std::string> names;
  names.reserve(columns_.size());
  for (const Column& column : columns_) names.push_back(column.name);
  return names;
}

std::string_view EncodedPage::row(std::size_t index) const noexcept {
  const std::size_t start = index == 0 ? 0 : row_ends_[index - 1];
  return buffer_.view().substr(start, row_ends_[index] - start);
}

std::optional<std::int64_t> EncodedPage::lowest(std::string_view column) const {
  constexpr std::int64_t epoch = 946'684'800'000'000;  // PostgreSQL counts from 2000
  constexpr std::size_t head = sizeof(std::int32_t);
  const auto found =
      std::find_if(columns_.begin(), columns_.end(), [&](const Column& each) { return each.name == column; });
  if (found == columns_.end()) return std::nullopt;
  const auto index = static_cast<std::size_t>(found - columns_.begin());
  std::optional<std::int64_t> lowest;
  for (std::size_t number = 0; number < rows(); ++number) {
    const char* field = row(number).data();
    for (std::size_t before = 0; before < index; ++before) {
      field += head + static_cast<std::size_t>(std::max(load32(field), 0));  // -1: NULL, no bytes
    }
    if (load32(field) < 0) continue;
    field += head;
    std::int64_t value = 0;
    switch (found->type) {
      case Type::Int2:
        value = load16(field);
        break;
      case Type::Int4:
        value = load32(field);
        break;
      case Type::Int8:
        value = load64(field);
        break;
      case Type::TimestampTz:
        value = load64(field);
        if (value == std::numeric_limits<std::int64_t>::min() || value == std::numeric_limits<std::int64_t>::max())
          continue;
        value += epoch;
        break;
      default:
        return std::nullopt;
    }
    lowest = std::min(lowest.value_or(value), value);
  }
  return lowest;
}

const core::Digest& EncodedPage::digest() const {
  if (!digest_) digest_ = core::sha256(buffer_.view());
  return *digest_;
}

}  // namespace strandline::encode
