#pragma once
// New slices and their tasks, as one COPY each. A plan may hold a million of them.

#include <cstdint>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/interval.hpp"
#include "pg/plan_request.hpp"
#include "pg/session.hpp"

namespace strandline::pg {

// One slice to be written, and the identity of its work.
struct NewSlice {
  core::Interval bounds;  // not used for a value
  std::string spec;       // canonical JSON
  core::Digest signature{};
  core::Digest key{};
};

// Spec, signature and key of a slice.
[[nodiscard]] NewSlice identified(const PlanRequest& request, core::Interval bounds, std::string spec,
                                  std::int64_t generation);

struct RowsContext {
  std::int64_t plan_id = 0;
  std::optional<std::int64_t> cursor_id;
  std::int64_t generation = 1;
  std::string pool;
  std::int64_t first_slice_no = 1;
  std::int64_t unmet = 0;  // what each of them waits for
  bool fallen = false;     // what they need has failed already
  bool held = false;
};

// Writes slices and tasks in the order given, which is the order in which they will be claimed, after attaching partitions for
// the new task ids. Returns those.
std::vector<std::int64_t> write_rows(Transaction& transaction, const PlanRequest& request, const RowsContext& context,
                                     const std::vector<NewSlice>& slices);

}  // namespace strandline::pg
