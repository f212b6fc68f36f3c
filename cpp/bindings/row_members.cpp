#include "bindings/row_members.hpp"

#include "bindings/python_types.hpp"
#include "bindings/python_value.hpp"
#include "encode/field.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

void set_member(const py::dict& members, PyObject* name, PyObject* value) {
  if (PyDict_SetItem(members.ptr(), name, value) != 0) throw py::error_already_set();
}

py::tuple dataclass_names(py::handle type) {
  py::list names;
  for (const py::handle field : py::module_::import("dataclasses").attr("fields")(type))
    names.append(field.attr("name"));
  return py::tuple{names};
}

}  // namespace

const RowMembers::Shape& RowMembers::shape_of(PyObject* row) {
  auto* type = reinterpret_cast<PyObject*>(Py_TYPE(row));
  for (const Shape& shape : shapes_) {
    if (shape.type.ptr() == type) return shape;
  }

  const py::handle handle{type};
  Shape shape{py::reinterpret_borrow<py::object>(handle), py::tuple{}, Form::Positional};
  if (PyTuple_Check(row) && py::hasattr(handle, "_fields")) {
    shape.form = Form::NamedTuple;
    shape.names = py::tuple{handle.attr("_fields")};
  } else if (PyTuple_Check(row) || PyList_Check(row)) {
    shape.form = Form::Positional;
  } else if (is_pydantic(Py_TYPE(row))) {
    shape.form = Form::Pydantic;
  } else if (is_dataclass(Py_TYPE(row))) {
    shape.form = Form::Dataclass;
    shape.names = dataclass_names(handle);
  } else if (PyType_Check(row) == 0 && py::hasattr(handle, "keys") && py::hasattr(handle, "__getitem__")) {
    shape.form = Form::Mapping;
  } else {
    throw encode::Misfit{type_name_of(row) +
                         " is no row; send dicts, tuples, dataclass instances, Pydantic models or an Arrow object"};
  }
  shapes_.push_back(std::move(shape));
  return shapes_.back();
}

py::object RowMembers::by_name(PyObject* row) {
  if (PyDict_Check(row)) return py::reinterpret_borrow<py::object>(row);
  const py::handle handle{row};
  const Shape& shape = shape_of(row);
  switch (shape.form) {
    case Form::Positional:
      return {};
    case Form::NamedTuple: {
      py::dict members;
      if (PyTuple_GET_SIZE(row) < PyTuple_GET_SIZE(shape.names.ptr())) return {};
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(shape.names.ptr()); ++i) {
        set_member(members, PyTuple_GET_ITEM(shape.names.ptr(), i), PyTuple_GET_ITEM(row, i));
      }
      return members;
    }
    case Form::Dataclass: {
      py::dict members;
      for (const py::handle name : shape.names) set_member(members, name.ptr(), py::object{handle.attr(name)}.ptr());
      return members;
    }
    case Form::Pydantic: {
      // Fields live in __dict__ under their names (not aliases), what `extra="allow"` kept beside them.
      py::object fields = handle.attr("__dict__");
      const py::object extra = handle.attr("__pydantic_extra__");
      if (extra.is_none() || py::len(extra) == 0) return fields;
      py::dict members{fields.attr("copy")()};
      for (const auto& [name, value] : py::dict{extra}) set_member(members, name.ptr(), value.ptr());
      return members;
    }
    case Form::Mapping:
      break;
  }
  py::dict members;
  if (PyDict_Update(members.ptr(), row) != 0) throw py::error_already_set();
  return members;
}

}  // namespace strandline::bindings
