#pragma once
// What a plan consists of: the parts of a window that are missing, cut into new slices, and the closed cuts that are taken up again.

#include <cstdint>
#include <optional>
#include <vector>

#include "core/digest.hpp"
#include "core/interval.hpp"
#include "pg/gate.hpp"
#include "pg/plan_request.hpp"
#include "pg/plan_rows.hpp"
#include "pg/session.hpp"

namespace strandline::pg {

constexpr std::int64_t open_end = INT64_MAX;  // of a walk by token that is not done

// A cut that ended without success.
struct Cut {
  std::int64_t task = 0;
  std::int64_t slice = 0;
  std::int64_t plan = 0;
  core::Interval bounds;
  bool pages = false;
  bool failed = false;
  bool superseded = false;
  core::Digest key{};
};

struct Work {
  core::Intervals missing;
  std::vector<NewSlice> slices;  // in the order of the claim
  std::vector<Cut> reopened;
  std::vector<std::int64_t> superseded;   // slices
  std::optional<std::int64_t> left_from;  // where max_slices ended the plan
};

[[nodiscard]] std::vector<Cut> closed_cuts(Transaction& transaction, std::int64_t cursor, std::int64_t generation,
                                           core::Interval window);

// What is to be done of a window, under the lock of its cursor.
[[nodiscard]] Work lay_out(Transaction& transaction, const PlanRequest& request, std::int64_t cursor,
                           std::int64_t generation, core::Interval window);

// Writes it into a plan: new slices with their tasks, what is taken up again, and what all of them wait for. Returns the new tasks.
std::vector<std::int64_t> write_work(Transaction& transaction, const PlanRequest& request, const RowsContext& context,
                                     const Work& work, const Parents& parents);

// The ids of the tasks that are taken up again, ascending.
[[nodiscard]] std::vector<std::int64_t> reopened_tasks(const Work& work);

}  // namespace strandline::pg
