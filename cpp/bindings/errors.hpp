#pragma once
// For the few functions that are called too often for pybind11's dispatcher and so translate their errors themselves.

#include "core/error.hpp"

namespace strandline::bindings {

// Sets the Python exception of the class that has the error's code for a name.
void raise_python(const core::Error& error);

}  // namespace strandline::bindings
