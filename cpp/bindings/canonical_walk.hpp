#pragma once
// Python values into the canonical form, straight from the objects.

#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>

#include "core/canonical.hpp"

namespace strandline::bindings {

// Writes `value` between the writer's start() and text(). Throws core::Error (DataError) that names the JSON path, or
// pybind11::error_already_set when a method of the value raised. Needs the GIL.
void write_python(core::CanonicalWriter& writer, PyObject* value);

// The text of a str or of bytes, valid as long as the object. Throws a DataError for anything else, which calls it `what`.
[[nodiscard]] std::string_view python_text(PyObject* object, std::string_view what);

// The thread's writer, so that its memory is reused; a fresh one while that is in use, which happens when a value runs
// Python code (a time zone, a mapping) that canonicalises something itself.
class WriterLoan {
 public:
  WriterLoan();
  ~WriterLoan();
  WriterLoan(const WriterLoan&) = delete;
  WriterLoan& operator=(const WriterLoan&) = delete;

  core::CanonicalWriter& operator*() const noexcept { return *writer_; }
  core::CanonicalWriter* operator->() const noexcept { return writer_; }

 private:
  std::unique_ptr<core::CanonicalWriter> own_;
  core::CanonicalWriter* writer_;
};

// Makes Python's datetime types known to the walk; once, at import.
void prepare_canonical_walk();

}  // namespace strandline::bindings
