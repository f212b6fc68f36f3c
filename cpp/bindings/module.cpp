#include "bindings/register.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The native core of strandline. Its public faces are the classes of the strandline package.";
  strandline::bindings::register_errors(module);
  strandline::bindings::register_canonical(module);
  strandline::bindings::register_keys(module);
  strandline::bindings::register_window(module);
  strandline::bindings::register_rows(module);
  strandline::bindings::register_runs(module);
  strandline::bindings::register_ledger(module);
}
