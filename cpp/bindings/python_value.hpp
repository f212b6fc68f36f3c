#pragma once
// Python objects as COPY BINARY fields. Conversions are strict: a value is stored exactly or refused (encode::Misfit);
// text is read as another type only where the column was declared so.

#include <pybind11/pybind11.h>

#include "core/text_buffer.hpp"
#include "encode/column.hpp"

namespace strandline::bindings {

struct ValueTarget {
  encode::Column column;
  bool parse = false;  // the type was declared: text in its standard form is read (RFC 3339, ISO, decimal, UUID)
};

// Appends `value`, which is not null_like(), as one field. Throws encode::Misfit; Python's own errors pass through.
using PutValue = void (*)(core::TextBuffer& out, const ValueTarget& target, PyObject* value);

// The conversion for a column type. One function per type, looked up once per column and not once per value.
[[nodiscard]] PutValue put_value(encode::Type type) noexcept;

// None, pandas.NA and pandas.NaT (which claims to be a datetime of the year 1).
[[nodiscard]] bool null_like(PyObject* value) noexcept;

// What a value is to type inference. Subclasses count as what they derive from, numpy's scalars as what they hold.
enum class Kind {
  Bool,
  Int,
  Float,
  Decimal,
  Text,
  Bytes,
  AwareDatetime,
  NaiveDatetime,
  Date,
  Time,
  Uuid,
  Nested,  // dict, list, tuple, dataclass, Pydantic model
  Other,
};
[[nodiscard]] Kind kind_of(PyObject* value);

// "datetime.datetime": the type's name as a message shows it.
[[nodiscard]] std::string type_name_of(PyObject* value);

// Appends `value` as compact JSON text that PostgreSQL accepts: no NaN, no U+0000, keys are str. Decimals keep their
// digits, aware datetimes become UTC with Z, UUIDs and dates text.
void write_json(core::TextBuffer& out, PyObject* value);

// Python's datetime C API is a static table that must be loaded before any of the above is called.
void load_datetime_api();

}  // namespace strandline::bindings
