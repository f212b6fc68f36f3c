#include "encode/copy_writer.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.hpp"
#include "encode/big_endian.hpp"

namespace strandline::encode {
namespace {

// Signature, then 32-bit flags and 32-bit length of the header extension, both 0.
constexpr std::string_view header{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
constexpr std::string_view trailer{"\377\377", 2};
constexpr std::size_t lineage_bytes = std::size_t{2} * (4 + 8);
constexpr std::uint32_t null_length = 0xFFFFFFFF;

}  // namespace

CopyWriter::CopyWriter(std::vector<std::string> columns, Sink sink)
    : columns_{std::move(columns)}, sink_{std::move(sink)} {
  // PostgreSQL allows 1600 columns; the field count of the format is an int16.
  if (columns_.size() + 2 > static_cast<std::size_t>(std::numeric_limits<std::int16_t>::max())) {
    throw core::Error{core::ErrorCode::ConfigError,
                      "a COPY of " + std::to_string(columns_.size()) + " columns: PostgreSQL allows 1600 in a table"};
  }
  piece_.reserve(piece_bytes);
  put(header);
}

void CopyWriter::write(const EncodedPage& page, std::int64_t batch_id, std::int64_t generation) {
  const std::vector<Column>& have = page.columns();
  const bool prefix = have.size() <= columns_.size() &&
                      std::equal(have.begin(), have.end(), columns_.begin(),
                                 [](const Column& column, const std::string& name) { return column.name == name; });
  if (!prefix) {
    throw core::Error{core::ErrorCode::Error, "the page's columns are not the first columns of this COPY"};
  }

  char count[2];
  store16(count, static_cast<std::uint16_t>(columns_.size() + 2));
  const std::string_view before{count, sizeof count};

  // What follows every row of this page: NULL for the columns that it does not know yet, then the lineage.
  std::string after((columns_.size() - have.size()) * 4 + lineage_bytes, '\0');
  char* out = after.data();
  for (std::size_t i = have.size(); i < columns_.size(); ++i) out = store32(out, null_length);
  out = store64(store32(out, 8), static_cast<std::uint64_t>(batch_id));
  store64(store32(out, 8), static_cast<std::uint64_t>(generation));

  for (std::size_t i = 0; i < page.rows(); ++i) {
    const std::string_view row = page.row(i);
    const std::size_t size = before.size() + row.size() + after.size();
    if (piece_bytes - piece_.size() >= size) {
      piece_.append(before).append(row).append(after);
    } else {
      put(before);
      put(row);
      put(after);
    }
  }
  rows_ += page.rows();
}

void CopyWriter::finish() {
  put(trailer);
  flush();
}

void CopyWriter::put(std::string_view bytes) {
  while (!bytes.empty()) {
    if (piece_.size() == piece_bytes) flush();
    const std::size_t taken = std::min(bytes.size(), piece_bytes - piece_.size());
    piece_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
  }
}

void CopyWriter::flush() {
  if (piece_.empty()) return;
  sink_(piece_.data(), piece_.size());
  sent_ += piece_.size();
  piece_.clear();
}

}  // namespace strandline::encode
