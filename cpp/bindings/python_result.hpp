#pragma once
// Results and parameters of statements as Python values.

#include <pybind11/pybind11.h>

#include <string>

#include "pg/params.hpp"
#include "pg/table.hpp"

namespace strandline::bindings {

// One dict per row.
[[nodiscard]] pybind11::list rows_as_dicts(const pg::Table& rows);

// (column names, type names, rows as tuples).
[[nodiscard]] pybind11::tuple rows_as_tuples(const pg::Table& rows);

// None, bool, int, float, str, bytes, aware datetimes, lists of int, str or bytes, dicts (as JSON).
[[nodiscard]] pg::Params params_of(const pybind11::args& values);

// The text of a value as JSON, by Python's own encoder.
[[nodiscard]] std::string json_text(const pybind11::handle& value);

}  // namespace strandline::bindings
