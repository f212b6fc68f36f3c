#include "bindings/python_value.hpp"

#include <datetime.h>

#include <cmath>
#include <string>

#include "bindings/python_types.hpp"
#include "core/number.hpp"
#include "encode/field.hpp"
#include "encode/temporal.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using core::TextBuffer;
using encode::Misfit;
using encode::Type;

std::string article(const std::string& noun) {
  return (std::string_view{"aeiou"}.find(noun.front()) == std::string_view::npos ? "a " : "an ") + noun;
}

[[noreturn]] void misfit(const ValueTarget& target, PyObject* value, const std::string& advice = {}) {
  std::string text = article(type_name_of(value)) + " does not fit " + target.column.sql_type;
  throw Misfit{text + "; " + (advice.empty() ? "convert it at the source or declare the column's type" : advice)};
}

// A new reference to the exact int behind an int, or behind a numpy integer; null for anything else, bool included.
py::object integer_of(PyObject* value) {
  if (PyBool_Check(value)) return {};
  if (PyLong_Check(value)) return py::reinterpret_borrow<py::object>(value);
  if (PyIndex_Check(value) == 0) return {};
  PyObject* index = PyNumber_Index(value);
  if (index == nullptr) PyErr_Clear();  // numpy.bool has the slot and refuses
  return py::reinterpret_steal<py::object>(index);
}

std::string str_of(PyObject* value) {
  auto text = py::reinterpret_steal<py::object>(PyObject_Str(value));
  if (!text) {
    if (PyErr_ExceptionMatches(PyExc_ValueError) == 0) throw py::error_already_set();
    PyErr_Clear();
    throw Misfit{
        "the integer has more digits than Python turns into text (sys.set_int_max_str_digits); declare the column "
        "text"};
  }
  return std::string{text_of(text.ptr())};
}

void put_boolean(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (PyBool_Check(value) == 0) {
    if (std::string_view{Py_TYPE(value)->tp_name}.substr(0, 10) != "numpy.bool") {
      misfit(target, value, "send True or False, or declare the column's type");
    }
    encode::put_bool(out, PyObject_IsTrue(value) == 1);
    return;
  }
  encode::put_bool(out, value == Py_True);
}

void put_big_integer(TextBuffer& out, const ValueTarget& target, PyObject* integer) {
  switch (target.column.type) {
    case Type::Numeric:
      encode::put_numeric(out, str_of(integer));
      return;
    case Type::Float8: {
      const double wide = PyLong_AsDouble(integer);
      if (wide == -1.0 && PyErr_Occurred() != nullptr) PyErr_Clear();
      auto back = py::reinterpret_steal<py::object>(std::isfinite(wide) ? PyLong_FromDouble(wide) : nullptr);
      PyErr_Clear();
      if (!back || PyObject_RichCompareBool(back.ptr(), integer, Py_EQ) != 1) {
        throw Misfit{"the integer has no exact double precision; declare the column numeric"};
      }
      encode::put_float8(out, wide);
      return;
    }
    default:
      throw Misfit{"the integer is beyond the range of " + target.column.sql_type + "; declare the column numeric"};
  }
}

// For int2, int4 and int8, and the way of integers into float and numeric columns.
bool put_any_integer(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  const py::object integer = integer_of(value);
  if (!integer) return false;
  int overflow = 0;
  const long long small = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
  if (overflow != 0) {
    put_big_integer(out, target, integer.ptr());
  } else {
    encode::put_integer(out, target.column.type, small);
  }
  return true;
}

void put_int(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (target.column.type == Type::Int8 && PyLong_CheckExact(value)) {
    int overflow = 0;
    const long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
      encode::put_word64(out, small);
      return;
    }
  }
  if (put_any_integer(out, target, value)) return;
  if (PyFloat_Check(value)) misfit(target, value, "declare the column double precision, or send integers");
  if (PyUnicode_Check(value)) misfit(target, value, "text is never read as a number; call int() at the source");
  misfit(target, value);
}

void put_floating(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  double number;
  if (PyFloat_Check(value)) {
    number = PyFloat_AS_DOUBLE(value);
  } else if (is_numpy_float(value)) {
    number = PyFloat_AsDouble(value);
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
  } else {
    if (put_any_integer(out, target, value)) return;
    if (is_decimal(value)) misfit(target, value, "declare the column numeric, which keeps every digit");
    if (PyUnicode_Check(value)) misfit(target, value, "text is never read as a number; call float() at the source");
    misfit(target, value);
  }
  if (target.column.type == Type::Float4) {
    encode::put_float4(out, number);
  } else {
    encode::put_float8(out, number);
  }
}

void put_decimal(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (is_decimal(value)) {
    const std::string text = str_of(value);
    if (text.find("NaN") != std::string::npos) {  // also sNaN, -NaN and a payload: numeric has one NaN
      encode::put_numeric(out, "NaN");
    } else {
      encode::put_numeric(out, text);
    }
  } else if (PyFloat_Check(value) || is_numpy_float(value)) {
    // The shortest text that reads back as the same double: what Python prints is what is stored.
    const double number = PyFloat_AsDouble(value);
    if (std::isfinite(number)) {
      char text[core::kDoubleSize];
      const char* end = core::write_double(text, number);
      encode::put_numeric(out, {text, static_cast<std::size_t>(end - text)});
    } else {
      encode::put_numeric(out, std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
    }
  } else if (PyUnicode_Check(value)) {
    if (!target.parse)
      misfit(target, value, "declare the column numeric to have text read, or call Decimal() at the source");
    encode::put_numeric(out, text_of(value));
  } else if (!put_any_integer(out, target, value)) {
    misfit(target, value);
  }
}

void put_string(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (PyUnicode_Check(value) == 0) {
    if (PyBytes_Check(value)) misfit(target, value, "decode() it at the source or declare the column bytea");
    misfit(target, value, "call str() at the source or declare the column's type");
  }
  encode::put_text(out, text_of(value), target.column.max_length);
}

void put_binary(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (PyBytes_Check(value)) {
    encode::put_bytes(out, {PyBytes_AS_STRING(value), static_cast<std::size_t>(PyBytes_GET_SIZE(value))});
    return;
  }
  if (PyByteArray_Check(value) == 0 && PyMemoryView_Check(value) == 0) {
    misfit(target, value, PyUnicode_Check(value) ? "encode() it at the source or declare the column text" : "");
  }
  Py_buffer view;
  if (PyObject_GetBuffer(value, &view, PyBUF_CONTIG_RO) != 0) {
    PyErr_Clear();
    throw Misfit{"the memoryview is not contiguous; send bytes(view)"};
  }
  try {
    encode::put_bytes(out, {static_cast<const char*>(view.buf), static_cast<std::size_t>(view.len)});
  } catch (...) {
    PyBuffer_Release(&view);
    throw;
  }
  PyBuffer_Release(&view);
}

std::int64_t micros_of_day(int hour, int minute, int second, int microsecond) noexcept {
  return ((hour * 60LL + minute) * 60 + second) * encode::micros_per_second + microsecond;
}

std::int64_t wall_clock(PyObject* value) noexcept {
  const std::int64_t days =
      encode::days_from_civil(PyDateTime_GET_YEAR(value), static_cast<unsigned>(PyDateTime_GET_MONTH(value)),
                              static_cast<unsigned>(PyDateTime_GET_DAY(value)));
  return days * encode::micros_per_day +
         micros_of_day(PyDateTime_DATE_GET_HOUR(value), PyDateTime_DATE_GET_MINUTE(value),
                       PyDateTime_DATE_GET_SECOND(value), PyDateTime_DATE_GET_MICROSECOND(value));
}

// pandas.Timestamp is a datetime with nanoseconds behind it, which the datetime part would drop silently.
void refuse_nanoseconds(PyObject* value) {
  if (PyDateTime_CheckExact(value)) return;
  auto nanoseconds = py::reinterpret_steal<py::object>(PyObject_GetAttrString(value, "nanosecond"));
  if (!nanoseconds) {
    PyErr_Clear();
  } else if (PyObject_IsTrue(nanoseconds.ptr()) == 1) {
    throw Misfit{"the timestamp has nanoseconds, PostgreSQL keeps microseconds; round it at the source (.floor('us'))"};
  }
}

// False when the zone has no offset to tell: Python then takes the datetime for naive.
bool utc_offset(PyObject* value, std::int64_t& micros) {
  if (PyDateTime_DATE_GET_TZINFO(value) == PyDateTime_TimeZone_UTC) {
    micros = 0;
    return true;
  }
  const auto delta = py::reinterpret_steal<py::object>(PyObject_CallMethod(value, "utcoffset", nullptr));
  if (!delta) throw py::error_already_set();
  if (PyDelta_Check(delta.ptr()) == 0) return false;
  micros = (PyDateTime_DELTA_GET_DAYS(delta.ptr()) * 86400LL + PyDateTime_DELTA_GET_SECONDS(delta.ptr())) *
               encode::micros_per_second +
           PyDateTime_DELTA_GET_MICROSECONDS(delta.ptr());
  return true;
}

bool put_declared_text(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (PyUnicode_Check(value) == 0) return false;
  if (!target.parse) {
    misfit(target, value,
           "text is read only where the schema declares the type: declare the column " + target.column.sql_type +
               ", or convert it at the source");
  }
  return encode::put_parsed(out, target.column.type, text_of(value));
}

void put_instant(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (PyDateTime_Check(value) == 0) {
    if (put_declared_text(out, target, value)) return;
    misfit(target, value);
  }
  refuse_nanoseconds(value);
  std::int64_t offset = 0;
  if (PyDateTime_DATE_GET_TZINFO(value) == Py_None || !utc_offset(value, offset)) {
    throw Misfit{"a datetime without a zone names no instant; give it a tzinfo, or declare the column timestamp"};
  }
  encode::put_timestamp(out, wall_clock(value) - offset);
}

void put_local_timestamp(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (PyDateTime_Check(value) == 0) {
    if (put_declared_text(out, target, value)) return;
    misfit(target, value);
  }
  refuse_nanoseconds(value);
  if (PyDateTime_DATE_GET_TZINFO(value) != Py_None) {
    throw Misfit{"a datetime with a zone would lose it in timestamp without time zone; declare the column timestamptz"};
  }
  encode::put_timestamp(out, wall_clock(value));
}

void put_day(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (PyDateTime_Check(value) != 0)
    misfit(target, value, "call .date() at the source or declare the column timestamptz");
  if (PyDate_Check(value) == 0) {
    if (put_declared_text(out, target, value)) return;
    misfit(target, value);
  }
  encode::put_date(
      out, encode::days_from_civil(PyDateTime_GET_YEAR(value), static_cast<unsigned>(PyDateTime_GET_MONTH(value)),
                                   static_cast<unsigned>(PyDateTime_GET_DAY(value))));
}

void put_clock(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (PyTime_Check(value) == 0) {
    if (put_declared_text(out, target, value)) return;
    misfit(target, value);
  }
  if (PyDateTime_TIME_GET_TZINFO(value) != Py_None) {
    misfit(target, value, "it has a zone, which a time without a date cannot keep; drop the tzinfo or send a datetime");
  }
  encode::put_time(out, micros_of_day(PyDateTime_TIME_GET_HOUR(value), PyDateTime_TIME_GET_MINUTE(value),
                                      PyDateTime_TIME_GET_SECOND(value), PyDateTime_TIME_GET_MICROSECOND(value)));
}

void put_uuid_value(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  if (!is_uuid(value)) {
    if (put_declared_text(out, target, value)) return;
    misfit(target, value);
  }
  // .int is a slot; .bytes and .hex are computed in Python.
  static PyObject* const name = PyUnicode_InternFromString("int");
  static PyObject* const shift = PyLong_FromLong(64);
  const auto whole = py::reinterpret_steal<py::object>(PyObject_GetAttr(value, name));
  if (!whole) throw py::error_already_set();
  const auto high = py::reinterpret_steal<py::object>(PyNumber_Rshift(whole.ptr(), shift));
  if (!high) throw py::error_already_set();
  encode::put_uuid(out, PyLong_AsUnsignedLongLongMask(high.ptr()), PyLong_AsUnsignedLongLongMask(whole.ptr()));
}

void put_nested(TextBuffer& out, const ValueTarget& target, PyObject* value) {
  const std::size_t start = out.size();
  out.append(std::string_view{"\0\0\0\0\1", target.column.type == Type::Jsonb ? 5U : 4U});
  write_json(out, value);
  const std::size_t size = out.size() - start - 4;
  if (size > encode::max_field_bytes)
    throw Misfit{"the JSON text has 1 GiB or more, which no PostgreSQL column holds; split it"};
  encode::store32(out.data() + start, static_cast<std::uint32_t>(size));
}

}  // namespace

void load_datetime_api() {
  if (PyDateTimeAPI == nullptr) PyDateTime_IMPORT;
  if (PyDateTimeAPI == nullptr) throw py::error_already_set();
}

std::string type_name_of(PyObject* value) {
  const std::string name{Py_TYPE(value)->tp_name};
  return name.substr(0, 9) == "datetime." ? name.substr(9) : name;
}

bool null_like(PyObject* value) noexcept {
  if (value == Py_None) return true;
  const PyTypeObject* type = Py_TYPE(value);
  if (type == &PyLong_Type || type == &PyUnicode_Type || type == &PyFloat_Type || type == &PyBool_Type) return false;
  // pandas need not be imported to know its classes by name; those written in C have a dotted one.
  if (type->tp_name[0] != 'N' && type->tp_name[0] != 'p') return false;
  const std::string_view name{type->tp_name};
  return name == "NAType" || name == "NaTType" || name == "pandas._libs.missing.NAType" ||
         name == "pandas._libs.tslibs.nattype.NaTType";
}

PutValue put_value(Type type) noexcept {
  switch (type) {
    case Type::Bool:
      return put_boolean;
    case Type::Int2:
    case Type::Int4:
    case Type::Int8:
      return put_int;
    case Type::Float4:
    case Type::Float8:
      return put_floating;
    case Type::Numeric:
      return put_decimal;
    case Type::Text:
      return put_string;
    case Type::Bytea:
      return put_binary;
    case Type::Date:
      return put_day;
    case Type::Time:
      return put_clock;
    case Type::Timestamp:
      return put_local_timestamp;
    case Type::TimestampTz:
      return put_instant;
    case Type::Uuid:
      return put_uuid_value;
    case Type::Json:
    case Type::Jsonb:
      break;
  }
  return put_nested;
}

Kind kind_of(PyObject* value) {
  if (PyUnicode_Check(value)) return Kind::Text;
  if (PyBool_Check(value)) return Kind::Bool;
  if (PyLong_Check(value)) return Kind::Int;
  if (PyFloat_Check(value)) return Kind::Float;
  if (PyDateTime_Check(value)) {
    std::int64_t offset = 0;
    const bool aware = PyDateTime_DATE_GET_TZINFO(value) != Py_None && utc_offset(value, offset);
    return aware ? Kind::AwareDatetime : Kind::NaiveDatetime;
  }
  if (PyDate_Check(value)) return Kind::Date;
  if (PyTime_Check(value)) return Kind::Time;
  if (PyDict_Check(value) || PyList_Check(value) || PyTuple_Check(value)) return Kind::Nested;
  if (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value)) return Kind::Bytes;
  if (is_decimal(value)) return Kind::Decimal;
  if (is_uuid(value)) return Kind::Uuid;
  if (is_numpy_float(value)) return Kind::Float;
  if (std::string_view{Py_TYPE(value)->tp_name}.substr(0, 10) == "numpy.bool") return Kind::Bool;
  if (integer_of(value)) return Kind::Int;
  if (is_dataclass(Py_TYPE(value)) || is_pydantic(Py_TYPE(value))) return Kind::Nested;
  return Kind::Other;
}

}  // namespace strandline::bindings
