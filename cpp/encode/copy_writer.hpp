#pragma once
// The stream of one COPY .. FROM STDIN (FORMAT binary): several encoded pages, each row with its page's lineage.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "encode/page.hpp"

namespace strandline::encode {

// Use: CopyWriter writer{columns, sink}; writer.write(page, batch_id, generation)...; writer.finish();
//
// The COPY statement must name `columns` in that order, then _sl_batch and _sl_generation. A page may have been encoded
// before the last columns were added: the fields that it lacks are sent as NULL. The sink gets pieces of at most
// piece_bytes, valid during the call only; whatever it throws leaves the writer unusable (abandon the COPY).
class CopyWriter {
 public:
  using Sink = std::function<void(const char* data, std::size_t size)>;

  static constexpr std::size_t piece_bytes = std::size_t{256} * 1024;
  // The lineage columns as they must follow the page's columns in the COPY statement.
  static constexpr std::string_view batch_column = "_sl_batch";
  static constexpr std::string_view generation_column = "_sl_generation";

  CopyWriter(std::vector<std::string> columns, Sink sink);

  // Appends every row of `page` with its `batch_id` and `generation`. Throws Error when the page's columns are not the
  // first of this COPY's columns.
  void write(const EncodedPage& page, std::int64_t batch_id, std::int64_t generation);

  // Writes the trailer and hands the last piece to the sink. Nothing may be written afterwards.
  void finish();

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  // Bytes handed to the sink so far.
  [[nodiscard]] std::size_t sent() const noexcept { return sent_; }

 private:
  void put(std::string_view bytes);
  void flush();

  std::vector<std::string> columns_;
  Sink sink_;
  std::string piece_;
  std::size_t rows_ = 0;
  std::size_t sent_ = 0;
};

}  // namespace strandline::encode
