#pragma once
// One register function per concept; module.cpp calls each of them once.

#include <pybind11/pybind11.h>

namespace strandline::bindings {

void register_errors(pybind11::module_& module);
void register_canonical(pybind11::module_& module);
void register_keys(pybind11::module_& module);
void register_window(pybind11::module_& module);
void register_rows(pybind11::module_& module);
void register_ledger(pybind11::module_& module);
void register_runs(pybind11::module_& module);

}  // namespace strandline::bindings
