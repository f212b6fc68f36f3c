// Nested Python values as JSON text for json and jsonb columns.

#include <cmath>
#include <cstring>

#include "bindings/python_types.hpp"
#include "bindings/python_value.hpp"
#include "core/json_string.hpp"
#include "core/number.hpp"
#include "encode/field.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using core::TextBuffer;
using encode::Misfit;

// Deep enough for every document that people write; below what PostgreSQL's JSON parser has stack for.
constexpr int max_depth = 256;

void write_text(TextBuffer& out, std::string_view text) {
  if (!text.empty() && std::memchr(text.data(), '\0', text.size()) != nullptr) {
    throw Misfit{"the nested value holds a NUL character (U+0000), which jsonb cannot store; remove it at the source"};
  }
  core::append_json_string(out, text);
}

void write_double(TextBuffer& out, double number) {
  if (!std::isfinite(number)) {
    throw Misfit{"the nested value holds NaN or an infinity, which JSON has no form for; send None instead"};
  }
  out.advance_to(core::write_double(out.reserve(core::kDoubleSize), number));
}

void write_str_of(TextBuffer& out, PyObject* value, bool quoted) {
  const auto text = py::reinterpret_steal<py::object>(PyObject_Str(value));
  if (!text) throw py::error_already_set();
  if (quoted) {
    write_text(out, text_of(text.ptr()));
  } else {
    out.append(text_of(text.ptr()));
  }
}

void write_datetime(TextBuffer& out, PyObject* value, bool aware) {
  auto moment = py::reinterpret_borrow<py::object>(value);
  if (aware) {
    const py::object utc = py::module_::import("datetime").attr("timezone").attr("utc");
    moment = moment.attr("astimezone")(utc).attr("replace")(py::arg("tzinfo") = py::none());
  }
  const py::object text = moment.attr("isoformat")();
  std::string written{text_of(text.ptr())};
  if (written.find('.') != std::string::npos) written.erase(written.find_last_not_of('0') + 1);
  write_text(out, aware ? written + "Z" : written);
}

void write(TextBuffer& out, PyObject* value, int depth);

void write_member(TextBuffer& out, bool& first, PyObject* key, PyObject* value, int depth) {
  if (PyUnicode_Check(key) == 0) {
    throw Misfit{"a key of the nested value is " + type_name_of(key) +
                 ", JSON keys are text; call str() at the source"};
  }
  out.append(first ? '{' : ',');
  first = false;
  write_text(out, text_of(key));
  out.append(':');
  write(out, value, depth + 1);
}

void write_dict(TextBuffer& out, PyObject* value, int depth) {
  bool first = true;
  PyObject* key = nullptr;
  PyObject* member = nullptr;
  const Py_ssize_t size = PyDict_GET_SIZE(value);
  for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &member) != 0;) {
    // Writing a member may run Python code (a zone's utcoffset), which may change the dict.
    const auto held = py::reinterpret_borrow<py::object>(member);
    write_member(out, first, key, held.ptr(), depth);
    if (PyDict_GET_SIZE(value) != size) throw Misfit{"the nested dict changed while it was read; copy it first"};
  }
  out.append(first ? std::string_view{"{}"} : std::string_view{"}"});
}

void write_sequence(TextBuffer& out, PyObject* value, int depth) {
  out.append('[');
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i) {
    if (i != 0) out.append(',');
    const auto held = py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(value, i));
    write(out, held.ptr(), depth + 1);
  }
  out.append(']');
}

void write_fields(TextBuffer& out, PyObject* value, int depth) {
  const py::handle instance{value};
  if (is_pydantic(Py_TYPE(value))) {
    const py::object plain = instance.attr("model_dump")();
    write_dict(out, plain.ptr(), depth);
    return;
  }
  bool first = true;
  for (const py::handle field : py::module_::import("dataclasses").attr("fields")(instance)) {
    const py::object name = field.attr("name");
    const py::object member = instance.attr(name);
    write_member(out, first, name.ptr(), member.ptr(), depth);
  }
  out.append(first ? std::string_view{"{}"} : std::string_view{"}"});
}

void write(TextBuffer& out, PyObject* value, int depth) {
  if (depth > max_depth) throw Misfit{"the nested value is deeper than 256 levels; flatten it at the source"};
  if (null_like(value)) {
    out.append(std::string_view{"null"});
    return;
  }
  switch (kind_of(value)) {
    case Kind::Text:
      write_text(out, text_of(value));
      return;
    case Kind::Bool:
      out.append(PyObject_IsTrue(value) == 1 ? std::string_view{"true"} : std::string_view{"false"});
      return;
    case Kind::Int: {
      // int.__repr__ of the plain int: an IntEnum's str() is its name, and True's is True.
      const auto plain = py::reinterpret_steal<py::object>(PyNumber_Index(value));
      const auto text = plain ? py::reinterpret_steal<py::object>(PyLong_Type.tp_repr(plain.ptr())) : py::object{};
      if (!text) throw py::error_already_set();
      out.append(text_of(text.ptr()));
      return;
    }
    case Kind::Float:
      write_double(out, PyFloat_AsDouble(value));
      return;
    case Kind::Decimal:
      if (!py::cast<bool>(py::handle{value}.attr("is_finite")())) write_double(out, std::nan(""));
      write_str_of(out, value, false);
      return;
    case Kind::AwareDatetime:
      write_datetime(out, value, true);
      return;
    case Kind::NaiveDatetime:
      write_datetime(out, value, false);
      return;
    case Kind::Date:
    case Kind::Time:
    case Kind::Uuid:
      write_str_of(out, value, true);
      return;  // str() of a date or time is its ISO form
    case Kind::Nested:
      if (PyDict_Check(value)) {
        write_dict(out, value, depth);
      } else if (PyList_Check(value) || PyTuple_Check(value)) {
        write_sequence(out, value, depth);
      } else {
        write_fields(out, value, depth);
      }
      return;
    case Kind::Bytes:
      throw Misfit{"the nested value holds bytes, which JSON has no form for; send base64 text"};
    case Kind::Other:
      break;
  }
  throw Misfit{"the nested value holds " + type_name_of(value) +
               ", which JSON has no form for; convert it at the source"};
}

}  // namespace

void write_json(TextBuffer& out, PyObject* value) { write(out, value, 0); }

}  // namespace strandline::bindings
