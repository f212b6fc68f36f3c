#pragma once
// One page of rows, encoded once: as the fields of COPY BINARY, without field counts and without lineage columns. The
// same bytes are hashed for the content digest and sent to the server.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/digest.hpp"
#include "core/text_buffer.hpp"
#include "encode/column.hpp"

namespace strandline::encode {

class EncodedPage {
 public:
  explicit EncodedPage(std::vector<Column> columns) : columns_{std::move(columns)} {}

  [[nodiscard]] std::size_t rows() const noexcept { return row_ends_.size(); }
  [[nodiscard]] bool empty() const noexcept { return row_ends_.empty(); }
  // Size of the encoded fields; each row costs 26 bytes more on the wire (field count and lineage).
  [[nodiscard]] std::size_t bytes() const noexcept { return buffer_.size(); }
  [[nodiscard]] const std::vector<Column>& columns() const noexcept { return columns_; }
  [[nodiscard]] std::vector<std::string> column_names() const;

  // All fields of all rows, back to back: per field a big-endian int32 length (-1: NULL) and that many bytes.
  [[nodiscard]] std::string_view fields() const noexcept { return buffer_.view(); }
  // The fields of row `index` (0-based, below rows()).
  [[nodiscard]] std::string_view row(std::size_t index) const noexcept;

  // The smallest value of a column as a cursor counts: an id, or microseconds since 1970-01-01T00:00Z. None where the page has no
  // such column or no value in it, where its type counts neither, and for infinite times.
  [[nodiscard]] std::optional<std::int64_t> lowest(std::string_view column) const;

  // SHA-256 over fields(): the batch's content_digest. Computed once, by whoever asks first: the thread that encoded the
  // page asks while the page before it is being stored. Ask when the page is complete.
  [[nodiscard]] const core::Digest& digest() const;

  // For encoders: append the fields of one row to buffer(), then end_row().
  [[nodiscard]] core::TextBuffer& buffer() noexcept { return buffer_; }
  void end_row() { row_ends_.push_back(buffer_.size()); }
  void reserve_rows(std::size_t rows) { row_ends_.reserve(rows); }

 private:
  std::vector<Column> columns_;
  core::TextBuffer buffer_;
  mutable std::optional<core::Digest> digest_;
  std::vector<std::size_t> row_ends_;  // row_ends_[i]: where row i ends in buffer_
};

}  // namespace strandline::encode
