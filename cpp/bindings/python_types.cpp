#include "bindings/python_types.hpp"

#include <cstring>

#include "encode/field.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

bool has_attribute(PyTypeObject* type, const char* name) noexcept {
  PyObject* found = PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), name);
  if (found == nullptr) {
    PyErr_Clear();
    return false;
  }
  Py_DECREF(found);
  return true;
}

}  // namespace

bool is_decimal(PyObject* value) {
  static KnownClass decimal{"decimal", "Decimal"};
  return decimal.matches(value);
}

bool is_uuid(PyObject* value) {
  static KnownClass uuid{"uuid", "UUID"};
  return uuid.matches(value);
}

bool is_numpy_float(PyObject* value) noexcept {
  constexpr std::string_view prefixes[] = {"numpy.float", "numpy.longdouble"};
  const std::string_view name{Py_TYPE(value)->tp_name};
  for (const std::string_view prefix : prefixes) {
    if (name.substr(0, prefix.size()) == prefix) return true;
  }
  return false;
}

bool is_dataclass(PyTypeObject* type) noexcept { return has_attribute(type, "__dataclass_fields__"); }

// Both names since Pydantic 2.10 and 2.0; a class that only looks alike has no validator.
bool is_pydantic(PyTypeObject* type) noexcept {
  return has_attribute(type, "__pydantic_validator__") && has_attribute(type, "model_fields");
}

std::string_view text_of(PyObject* value) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(value, &size);
  if (text == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    throw encode::Misfit{
        "the text holds a lone surrogate, which is no Unicode character; decode it properly at the source"};
  }
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace strandline::bindings
