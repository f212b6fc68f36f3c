#pragma once
// The watermark of a namespace: the fold that turns coverage into intervals, events and the mark.

#include <cstdint>

#include "core/keys.hpp"
#include "pg/session.hpp"

namespace strandline::pg {

// Folds every finished part of the cursor that no event has seen, and looks again after each commit until nothing is left.
// Returns the number of events written. Leaves the cursor to whoever holds it: the holder looks again.
std::int64_t fold(Session& session, std::int64_t cursor);

// The same for every cursor that has unfolded coverage.
std::int64_t fold_all(Session& session);

// The namespace in a row that has its columns.
[[nodiscard]] core::Namespace namespace_of(const pqxx::row& row);

}  // namespace strandline::pg
