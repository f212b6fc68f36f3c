#pragma once
// Sources, connections, streams and namespaces: what a request registers before it is planned.

#include <cstdint>
#include <optional>

#include "core/window.hpp"
#include "pg/plan_request.hpp"
#include "pg/session.hpp"

namespace strandline::pg {

struct Enrolled {
  std::int64_t stream_id = 0;
  std::optional<std::int64_t> cursor_id;  // nothing for a value
};

// Makes or updates source, connection, stream and namespace of the request; `window` is where a new namespace begins to count
// when the provider names no origin. Throws ConfigError for a disabled source and for a namespace with nothing to begin from,
// Conflict for a stream whose key, mode or cursor type no longer fits what is loaded.
[[nodiscard]] Enrolled enroll(Transaction& transaction, const PlanRequest& request, const core::Window& window);

}  // namespace strandline::pg
