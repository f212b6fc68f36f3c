#pragma once
// Arrow streams and arrays, read into pages through the C data interface; no Arrow library is linked.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "encode/arrow_abi.hpp"
#include "encode/arrow_cell.hpp"
#include "encode/arrow_layout.hpp"
#include "encode/page.hpp"

namespace strandline::encode {

struct ArrowColumn {
  std::string name;
  std::string sql_type;  // empty for a column of the null type
  bool nullable;
};

// The columns of a schema, in order. ConfigError when it is no table (its root is not a struct) or has a type that is not
// supported.
[[nodiscard]] std::vector<ArrowColumn> arrow_columns(const ArrowSchema& schema);

// Reads a stream once, from its start to its end. Memory holds one batch and one page, however long the stream is.
class ArrowReader {
 public:
  // Both take over what they are given.
  explicit ArrowReader(ArrowOwned<ArrowArrayStream> stream);
  ArrowReader(ArrowOwned<ArrowSchema> schema, ArrowOwned<ArrowArray> array);
  ArrowReader(const ArrowReader&) = delete;  // views point into the reader
  ArrowReader& operator=(const ArrowReader&) = delete;

  [[nodiscard]] const std::vector<ArrowColumn>& columns() const noexcept { return columns_; }

  // The next rows as a page with the columns of `targets`, until `max_rows` rows or `max_bytes` bytes are reached (at
  // least one row); nothing when the stream has ended. Small batches are put together, large ones are cut. Targets that
  // the stream lacks are NULL, columns that no target names are skipped. `page_no` is for messages.
  //
  // The stream's producer is called from the calling thread, which need not hold the GIL.
  [[nodiscard]] std::optional<EncodedPage> next_page(const std::vector<ArrowTarget>& targets, std::size_t max_rows,
                                                     std::size_t max_bytes, std::int64_t page_no);

 private:
  struct Source;

  bool advance();
  [[nodiscard]] std::vector<Source> sources(const std::vector<ArrowTarget>& targets) const;
  void encode_rows(EncodedPage& page, const std::vector<Source>& sources, std::size_t max_rows, std::size_t max_bytes,
                   std::int64_t page_no);

  ArrowOwned<ArrowArrayStream> stream_;
  ArrowOwned<ArrowArray> batch_;
  Layout layout_;
  std::vector<ArrowColumn> columns_;
  View view_;
  std::int64_t row_ = 0;  // the next one of batch_
};

}  // namespace strandline::encode
