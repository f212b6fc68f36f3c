#pragma once
// Dependencies: tasks that wait for tasks, for whole plans, or until a stream is covered up to a bound. A plan and a bound are
// stood for by a gate, a task that nobody claims, so that n tasks that wait for m others need n edges and not n times m.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pg/plan_request.hpp"
#include "pg/session.hpp"

namespace strandline::pg {

// What the tasks of a new plan wait for: ids of gates and tasks, each with its kind, and whether any of them has fallen already.
struct Parents {
  std::vector<std::int64_t> ids;
  std::vector<std::string> kinds;  // ALL_SUCCEEDED, ALL_RESOLVED
  bool fallen = false;
};

// Finds, makes and locks what the request depends on, after its cursor is locked; what is satisfied already is left out.
// `older` are tasks that the plan takes up again; `window` is nothing for a value. Throws ConfigError for what cannot be waited for.
[[nodiscard]] Parents lock_parents(Transaction& transaction, const PlanRequest& request,
                                   std::optional<std::int64_t> cursor, std::optional<core::Interval> window,
                                   const std::vector<std::int64_t>& older);

// What the tasks wait for, as people name it, if it waits for them in turn, itself or through others. The transaction has made them
// wait, and has begun with gate.turn.
[[nodiscard]] std::optional<std::string> circle(Transaction& transaction, const std::vector<std::int64_t>& tasks);

// Opens the gates of a cursor (nothing: of every cursor) whose bound its watermark has reached.
void open_gates(Session& session, std::optional<std::int64_t> cursor);

// In the transaction that closes a plan: lets those who wait for it go on, or fall with it. Returns the plans that fell.
std::vector<std::int64_t> end_gate(Transaction& transaction, std::int64_t plan, const std::string& status);

}  // namespace strandline::pg
