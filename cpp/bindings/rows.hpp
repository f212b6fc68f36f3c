#pragma once
// The part of register_rows that lives in arrow.cpp.

#include <pybind11/pybind11.h>

namespace strandline::bindings {

void register_arrow(pybind11::module_& module);

}  // namespace strandline::bindings
