#pragma once
// Classes of the standard library that values are checked against, without importing their modules: as long as nobody
// has imported decimal, no value is a Decimal.

#include <pybind11/pybind11.h>

#include <string_view>

namespace strandline::bindings {

class KnownClass {
 public:
  constexpr KnownClass(const char* module, const char* name) noexcept : module_{module}, name_{name} {}

  [[nodiscard]] bool matches(PyObject* value) {
    if (type_ == nullptr && !find()) return false;
    return PyObject_TypeCheck(value, reinterpret_cast<PyTypeObject*>(type_)) != 0;
  }

 private:
  bool find() {
    PyObject* module = PyDict_GetItemString(PyImport_GetModuleDict(), module_);  // borrowed
    if (module == nullptr) return false;
    type_ = PyObject_GetAttrString(module, name_);  // kept for the life of the process, as the module keeps it
    if (type_ != nullptr && PyType_Check(type_)) return true;
    Py_CLEAR(type_);
    PyErr_Clear();  // the module is half imported: the class is not there yet, so no value has it
    return false;
  }

  const char* module_;
  const char* name_;
  PyObject* type_ = nullptr;
};

[[nodiscard]] bool is_decimal(PyObject* value);
[[nodiscard]] bool is_uuid(PyObject* value);
// numpy.float16, float32 and longdouble, which are no subclasses of float (float64 is one).
[[nodiscard]] bool is_numpy_float(PyObject* value) noexcept;

// Instances of dataclasses and of Pydantic models.
[[nodiscard]] bool is_dataclass(PyTypeObject* type) noexcept;
[[nodiscard]] bool is_pydantic(PyTypeObject* type) noexcept;

// The UTF-8 text of a str, borrowed from it; Misfit when it holds a lone surrogate.
[[nodiscard]] std::string_view text_of(PyObject* value);

}  // namespace strandline::bindings
