#pragma once
// The native ledger behind strandline._core.Ledger: a session and what belongs to it.

#include <pybind11/pybind11.h>

#include <string>

#include "pg/run.hpp"
#include "pg/session.hpp"
#include "pg/target.hpp"

namespace strandline::bindings {

struct Ledger {
  Ledger(const std::string& dsn, const std::string& schema, const std::string& name) : session{dsn, schema, name} {}

  pg::Session session;
  pg::Claimer claimer;
};

using LedgerClass = pybind11::class_<Ledger>;

// Waits for the database happen without the interpreter lock; this is the one spelling of that.
using WithoutGil = pybind11::call_guard<pybind11::gil_scoped_release>;

[[nodiscard]] pg::Target target_of(const pybind11::dict& target);

// The methods about runs, in runs.cpp.
void bind_runs(pybind11::module_& module, LedgerClass& ledger);

}  // namespace strandline::bindings
