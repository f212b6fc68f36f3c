// Column types from the types of Python values, never by reading text.

#include <unordered_map>

#include "bindings/python_types.hpp"
#include "bindings/row_encoder.hpp"
#include "encode/field.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using encode::Misfit;

constexpr unsigned bit(Kind kind) noexcept { return 1U << static_cast<unsigned>(kind); }

constexpr unsigned number_kinds = bit(Kind::Int) | bit(Kind::Float) | bit(Kind::Decimal);

const char* word(Kind kind) noexcept {
  switch (kind) {
    case Kind::Bool:
      return "bool";
    case Kind::Int:
      return "int";
    case Kind::Float:
      return "float";
    case Kind::Decimal:
      return "Decimal";
    case Kind::Text:
      return "str";
    case Kind::Bytes:
      return "bytes";
    case Kind::AwareDatetime:
      return "datetime with a zone";
    case Kind::NaiveDatetime:
      return "datetime without a zone";
    case Kind::Date:
      return "date";
    case Kind::Time:
      return "time";
    case Kind::Uuid:
      return "UUID";
    case Kind::Nested:
      return "nested value";
    case Kind::Other:
      break;
  }
  return "object";
}

class Inferred {
 public:
  explicit Inferred(std::string column) : name{std::move(column)} {}

  std::string name;

  [[nodiscard]] bool typed() const noexcept { return kinds_ != 0; }

  void add(PyObject* value) {
    const Kind kind = kind_of(value);
    if (kind == Kind::Other) {
      throw Misfit{"no column type is known for " + type_name_of(value) +
                   "; convert it at the source to a plain Python value (int, str, datetime, dict ...)"};
    }
    const unsigned before = kinds_;
    kinds_ |= bit(kind);
    if (kind == Kind::Int && !(big_ && inexact_)) add_integer(value);
    const bool numbers = (kinds_ & ~number_kinds) == 0;
    if (kinds_ != bit(kind) && !numbers) {
      throw Misfit{std::string{"the column holds "} + word(first_) + " and " + word(kind) +
                   "; send one type or declare the column's type (jsonb takes any)"};
    }
    if (before == 0) first_ = kind;
    if (kinds_ == (bit(Kind::Int) | bit(Kind::Float)) && inexact_) {
      throw Misfit{"the column holds floats and an integer that no double precision holds exactly; declare it numeric"};
    }
  }

  [[nodiscard]] const char* sql_type() const noexcept {
    if ((kinds_ & bit(Kind::Decimal)) != 0) return "numeric";
    if ((kinds_ & bit(Kind::Float)) != 0) return "double precision";
    switch (first_) {
      case Kind::Bool:
        return "boolean";
      case Kind::Int:
        return big_ ? "numeric" : "bigint";
      case Kind::Bytes:
        return "bytea";
      case Kind::AwareDatetime:
        return "timestamp with time zone";
      case Kind::NaiveDatetime:
        return "timestamp without time zone";
      case Kind::Date:
        return "date";
      case Kind::Time:
        return "time without time zone";
      case Kind::Uuid:
        return "uuid";
      case Kind::Nested:
        return "jsonb";
      default:
        return "text";
    }
  }

 private:
  void add_integer(PyObject* value) {
    const auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(value));
    if (!integer) throw py::error_already_set();
    int overflow = 0;
    const long long small = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
    constexpr long long exact = 1LL << 53;
    if (overflow == 0 && small >= -exact && small <= exact) return;
    big_ = big_ || overflow != 0;
    const double wide = PyLong_AsDouble(integer.ptr());
    const auto back =
        py::reinterpret_steal<py::object>(PyErr_Occurred() == nullptr ? PyLong_FromDouble(wide) : nullptr);
    PyErr_Clear();
    if (!back || PyObject_RichCompareBool(back.ptr(), integer.ptr(), Py_EQ) != 1) inexact_ = true;
  }

  unsigned kinds_ = 0;
  Kind first_ = Kind::Other;
  bool big_ = false;      // an integer beyond int64
  bool inexact_ = false;  // an integer that a double does not hold
};

class Inference {
 public:
  explicit Inference(const py::object& known) {
    for (const py::handle name : known) index_[name] = py::int_(-1);
  }

  void add(PyObject* row) {
    column_.clear();
    const py::object members = members_.by_name(row);
    if (!members) {
      throw Misfit{"a tuple or list has no column names; declare the schema, or send dicts or named tuples"};
    }
    Py_ssize_t at = 0;
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    while (PyDict_Next(members.ptr(), &at, &key, &value) != 0) {
      Inferred* column = find(key);
      if (column == nullptr) continue;
      column_ = column->name;
      if (!null_like(value)) column->add(value);
    }
  }

  [[nodiscard]] const std::string* column() const noexcept { return column_.empty() ? nullptr : &column_; }

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> result() const {
    std::vector<std::pair<std::string, std::string>> columns;
    for (const Inferred& column : columns_) {
      if (column.typed()) columns.emplace_back(column.name, column.sql_type());
    }
    return columns;
  }

 private:
  Inferred* find(PyObject* key) {
    PyObject* index = PyDict_GetItemWithError(index_.ptr(), key);  // borrowed
    if (index == nullptr) {
      if (PyUnicode_Check(key) == 0) {
        throw Misfit{"a key of the row is " + type_name_of(key) + ", column names are text; call str() at the source"};
      }
      columns_.emplace_back(std::string{text_of(key)});
      index_[py::handle{key}] = py::int_(columns_.size() - 1);
      return &columns_.back();
    }
    const long position = PyLong_AsLong(index);
    return position < 0 ? nullptr : &columns_[static_cast<std::size_t>(position)];
  }

  std::vector<Inferred> columns_;
  py::dict index_;  // name -> position in columns_, -1 for a known column
  RowMembers members_;
  std::string column_;
};

}  // namespace

std::vector<std::pair<std::string, std::string>> infer_columns(const py::object& rows, std::int64_t page_no,
                                                               const py::object& known) {
  load_datetime_api();
  Inference inference{known};
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(rows.ptr()); ++i) {
    const auto row = py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(rows.ptr(), i));
    try {
      inference.add(row.ptr());
    } catch (const Misfit& misfit) {
      raise_misfit(page_no, i, inference.column(), misfit.what());
    }
  }
  return inference.result();
}

}  // namespace strandline::bindings
