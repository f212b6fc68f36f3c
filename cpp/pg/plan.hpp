#pragma once
// Planning: a request becomes a trigger, a plan, slices and tasks, in one transaction, under the lock of the cursor.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/interval.hpp"
#include "pg/session.hpp"

namespace strandline::pg {

struct PlanResult {
  std::optional<std::int64_t> plan_id;  // nothing for a dry run
  std::string plan_key;                 // hex
  std::optional<std::int64_t> schedule_instance_id;
  std::optional<std::int64_t> stream_id;
  std::optional<std::int64_t> cursor_id;
  std::string status;
  std::optional<std::string> reason_code;
  std::optional<std::string> reason;
  std::int64_t slices = 0;
  std::optional<core::Interval> window;
  std::string window_spec;  // JSON: as asked, and where each bound came from
  core::Intervals missing;
  std::int64_t generation = 1;
  bool repeated = false;  // this trigger had been planned before; nothing was changed
  std::vector<std::int64_t> in_flight_plans;
  std::vector<core::Interval> slice_bounds;  // of a dry run, the first thousand
};

// Plans what is asked for (its fields: python/strandline/request.py). The same trigger and request return the stored plan. Throws
// ConfigError for a request that cannot be planned, Conflict for a trigger that asked for something else before, for a stream
// whose shape no longer fits what is loaded, and for a target that vanished under its coverage. A dry run writes nothing.
PlanResult plan(Session& session, const nlohmann::json& asked);

// Closes the plan if no task of it lives, in a transaction of its own; returns the final status if this call closed it. Folds
// nothing: fold first, so that whoever reads the closed plan sees the mark. Those who wait for it go on, or fall with it.
std::optional<std::string> close_plan(Session& session, std::int64_t plan);

// Closes those of the plans that are over, and those that fall with them. 0 stands for no plan.
void close_plans(Session& session, std::set<std::int64_t> plans);

}  // namespace strandline::pg
