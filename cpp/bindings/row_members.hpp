#pragma once
// What counts as a row, and how its members are reached: dicts and other mappings, dataclass instances, Pydantic models
// and named tuples by name; plain tuples and lists by position.

#include <pybind11/pybind11.h>

#include <vector>

namespace strandline::bindings {

class RowMembers {
 public:
  // The members of `row` as a dict (the row itself where it is one), or null for a row without names. Throws
  // encode::Misfit for what is no row.
  [[nodiscard]] pybind11::object by_name(PyObject* row);

 private:
  enum class Form { Positional, NamedTuple, Dataclass, Pydantic, Mapping };

  struct Shape {
    pybind11::object type;  // held: the address of a collected class may be used again
    pybind11::tuple names;  // of a named tuple or dataclass
    Form form;
  };

  const Shape& shape_of(PyObject* row);

  std::vector<Shape> shapes_;  // a page has one or two kinds of rows
};

}  // namespace strandline::bindings
