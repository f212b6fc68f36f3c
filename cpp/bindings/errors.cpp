// The one place where a native error becomes a Python one.

#include "bindings/errors.hpp"

#include "bindings/register.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

const char* class_name(core::ErrorCode code) {
  switch (code) {
    case core::ErrorCode::ConfigError:
      return "ConfigError";
    case core::ErrorCode::DataError:
      return "DataError";
    case core::ErrorCode::CountMismatch:
      return "CountMismatch";
    case core::ErrorCode::Conflict:
      return "Conflict";
    case core::ErrorCode::LeaseLost:
      return "LeaseLost";
    case core::ErrorCode::InDoubt:
      return "InDoubt";
    case core::ErrorCode::Unreachable:
      return "Unreachable";
    case core::ErrorCode::Transient:
      return "Transient";
    case core::ErrorCode::Cancelled:
      return "Cancelled";
    case core::ErrorCode::Error:
      break;
  }
  return "Error";
}

}  // namespace

// The classes are looked up when an error is raised, not at import: strandline.errors is plain Python and does not need
// the native module, and the native module must not import the package while that is importing it.
void raise_python(const core::Error& error) {
  py::object type = py::module_::import("strandline.errors").attr(class_name(error.code()));
  py::object context = py::module_::import("json").attr("loads")(error.context());
  py::object instance = type(py::str(error.what()), py::arg("context") = context);
  PyErr_SetObject(type.ptr(), instance.ptr());
}

void register_errors(py::module_& /*module*/) {
  // NOLINTNEXTLINE(performance-unnecessary-value-param): the signature is pybind11's
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const core::Error& error) {
      raise_python(error);
    }
  });
}

}  // namespace strandline::bindings
