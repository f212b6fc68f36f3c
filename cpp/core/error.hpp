#pragma once
// The one error type of the native layers. It carries a code, so that the bindings can raise the Python class of the
// same name (strandline.errors) at a single translation point; nothing below the bindings knows about Python.

#include <stdexcept>
#include <string>
#include <utility>

namespace strandline::core {

enum class ErrorCode {
  Error,  // a broken invariant of strandline itself
  ConfigError,
  DataError,
  CountMismatch,
  Conflict,
  LeaseLost,
  InDoubt,
  Unreachable,
  Transient,
  Cancelled,
};

class Error : public std::runtime_error {
 public:
  // `message` says what is wrong, where, and what to do. `context` is the text of a JSON object with the machine-readable
  // parts (task, attempt, sqlstate, query ...); it never holds parameters, rows or connection strings.
  Error(ErrorCode code, const std::string& message, std::string context = "{}")
      : std::runtime_error{message}, code_{code}, context_{std::move(context)} {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& context() const noexcept { return context_; }

 private:
  ErrorCode code_;
  std::string context_;
};

}  // namespace strandline::core
