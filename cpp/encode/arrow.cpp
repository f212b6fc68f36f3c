#include "encode/arrow.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.hpp"
#include "encode/field.hpp"

namespace strandline::encode {
namespace {

Layout read_table(const ArrowSchema& schema) {
  Layout layout = read_layout(schema);
  if (layout.storage != Storage::Struct || layout.dictionary) {
    throw core::Error{
        core::ErrorCode::ConfigError,
        "the Arrow object is a single array, not a table; hand over a table, a record batch or a struct array"};
  }
  return layout;
}

std::vector<ArrowColumn> columns_of(const Layout& table) {
  std::vector<ArrowColumn> columns;
  columns.reserve(table.children.size());
  for (const Layout& child : table.children) {
    columns.push_back(ArrowColumn{child.name, std::string{sql_type(child)}, child.nullable});
  }
  return columns;
}

[[noreturn]] void raise_misfit(std::int64_t page_no, std::size_t row, const std::string& column, const char* reason) {
  const nlohmann::json context{{"page", page_no}, {"row", row}, {"column", column}};
  throw core::Error{
      core::ErrorCode::DataError,
      "page " + std::to_string(page_no) + ", row " + std::to_string(row) + ", column \"" + column + "\": " + reason,
      context.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

}  // namespace

// Where a column of the page comes from.
struct ArrowReader::Source {
  const Column* column;
  const View* view;    // null: the stream lacks the column
  const View* values;  // the view itself, or its dictionary
  PutCell put;
};

std::vector<ArrowColumn> arrow_columns(const ArrowSchema& schema) { return columns_of(read_table(schema)); }

ArrowReader::ArrowReader(ArrowOwned<ArrowArrayStream> stream) : stream_{std::move(stream)} {
  ArrowOwned<ArrowSchema> schema;
  if (stream_->get_schema(&*stream_, schema.fill()) != 0 || !schema) {
    const char* reason = stream_->get_last_error(&*stream_);
    throw core::Error{core::ErrorCode::DataError, std::string{"the Arrow stream could not tell its schema: "} +
                                                      (reason == nullptr ? "no reason given" : reason)};
  }
  layout_ = read_table(*schema);
  columns_ = columns_of(layout_);
}

ArrowReader::ArrowReader(ArrowOwned<ArrowSchema> schema, ArrowOwned<ArrowArray> array)
    : batch_{std::move(array)}, layout_{read_table(*schema)}, columns_{columns_of(layout_)} {
  view_ = bind(layout_, *batch_);
}

// Moves to the next batch with rows. False: the stream has ended.
bool ArrowReader::advance() {
  while (stream_) {
    batch_.reset();
    row_ = 0;
    if (stream_->get_next(&*stream_, batch_.fill()) != 0) {
      const char* reason = stream_->get_last_error(&*stream_);
      throw core::Error{core::ErrorCode::DataError,
                        std::string{"the Arrow stream failed: "} + (reason == nullptr ? "no reason given" : reason)};
    }
    if (!batch_) {
      stream_.reset();
      return false;
    }
    view_ = bind(layout_, *batch_);
    if (batch_->length > 0) return true;
  }
  return false;
}

std::vector<ArrowReader::Source> ArrowReader::sources(const std::vector<ArrowTarget>& targets) const {
  std::vector<Source> sources;
  sources.reserve(targets.size());
  for (const ArrowTarget& target : targets) {
    Source source{&target.column, nullptr, nullptr, nullptr};
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].name != target.column.name) continue;
      source.view = &view_.children[i];
      source.values = source.view->values != nullptr ? source.view->values.get() : source.view;
      source.put = put_cell(layout_.children[i], target);
      break;
    }
    sources.push_back(source);
  }
  return sources;
}

std::optional<EncodedPage> ArrowReader::next_page(const std::vector<ArrowTarget>& targets, std::size_t max_rows,
                                                  std::size_t max_bytes, std::int64_t page_no) {
  std::optional<EncodedPage> page;
  while ((batch_ && row_ < batch_->length) || advance()) {
    if (!page) {
      std::vector<Column> columns;
      columns.reserve(targets.size());
      for (const ArrowTarget& target : targets) columns.push_back(target.column);
      page.emplace(std::move(columns));
    }
    encode_rows(*page, sources(targets), max_rows, max_bytes, page_no);
    if (page->rows() >= max_rows || page->bytes() >= max_bytes) return page;
  }
  batch_.reset();
  return page;
}

void ArrowReader::encode_rows(EncodedPage& page, const std::vector<Source>& sources, std::size_t max_rows,
                              std::size_t max_bytes, std::int64_t page_no) {
  core::TextBuffer& out = page.buffer();
  const Source* at = nullptr;
  try {
    for (; row_ < batch_->length; ++row_) {
      if (!page.empty() && (page.rows() >= max_rows || out.size() >= max_bytes)) return;
      // Columns of a sliced struct array count from the struct's offset.
      const std::int64_t index = row_ + view_.offset;
      const bool row_is_null = view_.validity != nullptr && view_.is_null(row_);
      for (const Source& source : sources) {
        at = &source;
        if (source.view == nullptr || row_is_null || source.view->is_null(index)) {
          if (source.column->required) {
            throw Misfit{
                "NULL in a required column (a key, or declared without Optional); send a value or declare it "
                "Optional"};
          }
          put_null(out);
        } else {
          source.put(out, *source.values, *source.column,
                     source.values == source.view ? index : source.view->key(index));
        }
      }
      page.end_row();
    }
  } catch (const Misfit& misfit) {
    raise_misfit(page_no, page.rows(), at->column->name, misfit.what());
  }
}

}  // namespace strandline::encode
