// The transition table as C++ sees it.

#include "core/states.hpp"

#include "check.hpp"
#include "core/error.hpp"

using strandline::core::allowed;
using strandline::core::Error;
using strandline::core::machine;
using strandline::core::machines;
using strandline::core::reason_text;
using strandline::core::reasons;
using strandline::core::terminal;

int main() {
  CHECK(machines().size() == 5);
  CHECK(allowed("task", "QUEUED", "RUNNING"));
  CHECK(allowed("task", "FAILED", "QUEUED"));
  CHECK(!allowed("task", "SUCCEEDED", "QUEUED"));
  CHECK(!allowed("run", "LOST", "RUNNING"));
  CHECK(allowed("slice", "CANCELLED", "SUPERSEDED"));
  CHECK(terminal("plan", "PARTIAL"));
  CHECK(!terminal("batch", "RUNNING"));

  // What is written wrong is an error, not a refusal.
  CHECK_THROWS(Error, machine("tusk"));
  CHECK_THROWS(Error, allowed("task", "QUEUE", "RUNNING"));
  CHECK_THROWS(Error, allowed("task", "QUEUED", "RUN"));

  for (const auto& each : machines()) {
    for (const auto& move : each.moves) CHECK(allowed(each.object, move.from, move.to));
  }
  for (const auto& reason : reasons()) CHECK(reason_text(reason.code) == reason.description);
  CHECK(reason_text("FROM_THE_FUTURE").empty());
  return 0;
}
