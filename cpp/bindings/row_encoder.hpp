#pragma once
// Pages of Python rows, encoded and looked at.

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/python_value.hpp"
#include "bindings/row_members.hpp"
#include "encode/arrow_cell.hpp"
#include "encode/page.hpp"

namespace strandline::bindings {

// Encodes rows for a fixed list of columns. Rows with names may lack columns (NULL) and may have more (see encode).
class RowEncoder {
 public:
  explicit RowEncoder(std::vector<ValueTarget> targets);

  // `rows` is a list or tuple. Returns the page, and the names of the members that no column takes and that hold a value
  // in some row, in the order of their first appearance. DataError names page, row and column.
  [[nodiscard]] std::pair<std::shared_ptr<encode::EncodedPage>, std::vector<std::string>> encode(
      const pybind11::object& rows, std::int64_t page_no);

  [[nodiscard]] std::vector<encode::Column> columns() const;
  // The same columns, for pages that are read from Arrow.
  [[nodiscard]] std::vector<encode::ArrowTarget> arrow_targets() const;

 private:
  struct Slot {
    ValueTarget target;
    PutValue put;
    pybind11::object name;  // interned, its hash known
    pybind11::object seen;  // the key object that rows of this page use for it
  };

  void encode_row(core::TextBuffer& out, PyObject* row);
  void encode_names(core::TextBuffer& out, PyObject* members);
  [[nodiscard]] bool encode_in_order(core::TextBuffer& out, PyObject* members);
  void encode_positions(core::TextBuffer& out, PyObject* row);
  void encode_value(core::TextBuffer& out, std::size_t index, PyObject* value);
  void collect_unknown(PyObject* members);

  std::vector<Slot> slots_;
  pybind11::dict known_;  // column names
  RowMembers members_;

  // Of the page at hand.
  std::size_t column_ = 0;  // the column that a Misfit is about; slots_.size(): none
  std::vector<std::string> unknown_;
  pybind11::set unknown_names_;
};

// The columns of `rows` and their SQL types, from the types of their values alone, in order of appearance. Columns of
// None only, and names in `known`, are left out. DataError for types that do not go together.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> infer_columns(const pybind11::object& rows,
                                                                             std::int64_t page_no,
                                                                             const pybind11::object& known);

// A DataError about one place: message "page 3, row 17, column "price": <reason>", context {"page", "row", "column"}.
// Without a column, `column` is null.
[[noreturn]] void raise_misfit(std::int64_t page_no, std::int64_t row, const std::string* column, const char* reason);

}  // namespace strandline::bindings
