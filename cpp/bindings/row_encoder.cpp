#include "bindings/row_encoder.hpp"

#include <nlohmann/json.hpp>

#include "bindings/python_types.hpp"
#include "core/error.hpp"
#include "encode/field.hpp"

namespace py = pybind11;

namespace strandline::bindings {

using encode::Misfit;

void raise_misfit(std::int64_t page_no, std::int64_t row, const std::string* column, const char* reason) {
  nlohmann::json context{{"page", page_no}, {"row", row}};
  std::string where = "page " + std::to_string(page_no) + ", row " + std::to_string(row);
  if (column != nullptr) {
    where += ", column \"" + *column + '"';
    context["column"] = *column;
  }
  throw core::Error{core::ErrorCode::DataError, where + ": " + reason,
                    context.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

RowEncoder::RowEncoder(std::vector<ValueTarget> targets) {
  load_datetime_api();
  slots_.reserve(targets.size());
  for (ValueTarget& target : targets) {
    const PutValue put = put_value(target.column.type);
    PyObject* interned = PyUnicode_InternFromString(target.column.name.c_str());
    if (interned == nullptr) throw py::error_already_set();
    auto name = py::reinterpret_steal<py::object>(interned);
    known_[name] = py::none();
    slots_.push_back(Slot{std::move(target), put, name, name});
  }
}

std::vector<encode::Column> RowEncoder::columns() const {
  std::vector<encode::Column> columns;
  columns.reserve(slots_.size());
  for (const Slot& slot : slots_) columns.push_back(slot.target.column);
  return columns;
}

std::vector<encode::ArrowTarget> RowEncoder::arrow_targets() const {
  std::vector<encode::ArrowTarget> targets;
  targets.reserve(slots_.size());
  for (const Slot& slot : slots_) targets.push_back(encode::ArrowTarget{slot.target.column, slot.target.parse});
  return targets;
}

std::pair<std::shared_ptr<encode::EncodedPage>, std::vector<std::string>> RowEncoder::encode(const py::object& rows,
                                                                                             std::int64_t page_no) {
  auto page = std::make_shared<encode::EncodedPage>(columns());
  page->reserve_rows(static_cast<std::size_t>(PySequence_Fast_GET_SIZE(rows.ptr())));
  unknown_.clear();
  unknown_names_ = py::set{};

  Py_ssize_t index = 0;
  const auto fail = [&](const char* reason) {
    raise_misfit(page_no, index, column_ < slots_.size() ? &slots_[column_].target.column.name : nullptr, reason);
  };
  // The size is read again each time, and the row held: encoding may run Python code, which may change the list.
  for (; index < PySequence_Fast_GET_SIZE(rows.ptr()); ++index) {
    const auto row = py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(rows.ptr(), index));
    column_ = slots_.size();
    try {
      encode_row(page->buffer(), row.ptr());
    } catch (const Misfit& misfit) {
      fail(misfit.what());
    } catch (py::error_already_set& error) {
      // What a value's own methods raise (a broken tzinfo, an int of too many digits) belongs to its row.
      if (!error.matches(PyExc_ValueError) && !error.matches(PyExc_ArithmeticError)) throw;
      const std::string reason =
          "the value could not be read: " + py::str(error.type().attr("__name__")).cast<std::string>();
      fail(reason.c_str());
    }
    page->end_row();
  }
  return {std::move(page), std::move(unknown_)};
}

void RowEncoder::encode_row(core::TextBuffer& out, PyObject* row) {
  if (PyTuple_CheckExact(row) || PyList_CheckExact(row)) {
    encode_positions(out, row);
    return;
  }
  const py::object members = members_.by_name(row);
  if (!members) {
    encode_positions(out, row);
  } else {
    encode_names(out, members.ptr());
  }
}

void RowEncoder::encode_names(core::TextBuffer& out, PyObject* members) {
  if (static_cast<std::size_t>(PyDict_GET_SIZE(members)) == slots_.size()) {
    const std::size_t start = out.size();
    if (encode_in_order(out, members)) return;
    out.truncate(start);
  }
  std::size_t found = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    PyObject* value = PyDict_GetItemWithError(members, slots_[i].name.ptr());  // borrowed
    if (value == nullptr && PyErr_Occurred() != nullptr) throw py::error_already_set();
    if (value != nullptr) ++found;
    encode_value(out, i, value);
  }
  column_ = slots_.size();
  if (static_cast<std::size_t>(PyDict_GET_SIZE(members)) > found) collect_unknown(members);
}

// The usual page: every dict has the columns in one order, with the same key objects. Comparing addresses is several
// times cheaper than a look-up each. False: this row is different.
bool RowEncoder::encode_in_order(core::TextBuffer& out, PyObject* members) {
  Py_ssize_t at = 0;
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (PyDict_Next(members, &at, &key, &value) == 0) return false;
    Slot& slot = slots_[i];
    if (key != slot.seen.ptr()) {
      if (PyUnicode_Check(key) == 0 || PyUnicode_Compare(key, slot.name.ptr()) != 0) return false;
      slot.seen = py::reinterpret_borrow<py::object>(key);
    }
    encode_value(out, i, value);
  }
  column_ = slots_.size();
  return true;
}

void RowEncoder::encode_positions(core::TextBuffer& out, PyObject* row) {
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(row);
  if (slots_.empty()) {
    throw Misfit{"a tuple or list has no column names; declare the schema, or send dicts or named tuples"};
  }
  if (static_cast<std::size_t>(size) != slots_.size()) {
    throw Misfit{"the row has " + std::to_string(size) + " values, the schema " + std::to_string(slots_.size()) +
                 " columns; a tuple holds one value per column, in the schema's order"};
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (PySequence_Fast_GET_SIZE(row) != size) throw Misfit{"the row changed while it was read; send a copy"};
    encode_value(out, i, PySequence_Fast_GET_ITEM(row, static_cast<Py_ssize_t>(i)));
  }
  column_ = slots_.size();
}

void RowEncoder::encode_value(core::TextBuffer& out, std::size_t index, PyObject* value) {
  const Slot& slot = slots_[index];
  column_ = index;
  if (value != nullptr && !null_like(value)) {
    const auto held = py::reinterpret_borrow<py::object>(value);
    slot.put(out, slot.target, value);
    return;
  }
  if (slot.target.column.required) {
    throw Misfit{value == nullptr
                     ? "the row lacks this column, which is required (a key, or declared without Optional); "
                       "send a value or declare it Optional"
                     : "the value is None in a required column (a key, or declared without Optional); send a "
                       "value or declare it Optional"};
  }
  encode::put_null(out);
}

void RowEncoder::collect_unknown(PyObject* members) {
  Py_ssize_t at = 0;
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  while (PyDict_Next(members, &at, &key, &value) != 0) {
    if (PyUnicode_Check(key) == 0) {
      throw Misfit{"a key of the row is " + type_name_of(key) + ", column names are text; call str() at the source"};
    }
    if (null_like(value) || known_.contains(py::handle{key}) || unknown_names_.contains(py::handle{key})) continue;
    unknown_names_.add(py::handle{key});
    unknown_.emplace_back(text_of(key));
  }
}

}  // namespace strandline::bindings
