#pragma once
// Strategies: how a window is cut into slices. Cuts lie on a grid that does not depend on where a window begins, so two
// planners that ask for overlapping windows agree about every slice between them.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/calendar.hpp"
#include "core/duration.hpp"
#include "core/interval.hpp"
#include "core/window.hpp"

namespace strandline::core {

enum class StrategyKind { Single, Time, Date, Id, Cursor, Budget, Custom };
enum class Order { Oldest, Newest };

struct Strategy {
  StrategyKind kind = StrategyKind::Single;
  Step step;                     // Time, Date
  bool whole = false;            // Time: leave out the block that has not ended
  std::int64_t ids = 0;          // Id: the length of a slice
  std::int64_t max_records = 0;  // Budget
  std::optional<Step> min_step;  // Budget over time: the shortest slice, of fixed length
  std::int64_t min_ids = 0;      // Budget over ids: the same; 0 where it was not given
};

inline constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// `text` is JSON as it is stored or given: null (SINGLE), "1 week" (TIME), 1000 (ID), or an object with "strategy";
// text that is no JSON is taken as a duration. BUDGET's min_step is a duration or a number of ids. Throws ConfigError
// that lists the strategies and their fields.
[[nodiscard]] Strategy parse_strategy(std::string_view text);

// Canonical JSON text of a strategy, e.g. {"step":"1 week","strategy":"TIME"}; equal strategies have equal texts.
[[nodiscard]] std::string strategy_json(const Strategy& strategy);
[[nodiscard]] const char* strategy_code(StrategyKind kind) noexcept;  // "TIME": the dictionary code

// Throws ConfigError where the strategy cannot cut such bounds (TIME on ids, ID on time, anything but CURSOR or SINGLE
// on tokens).
void check_strategy(const Strategy& strategy, CursorType cursor_type);

// The window that a strategy covers, to be taken once, before covered parts are subtracted: DATE begins and ends at
// whole blocks (the first is read whole, the last only once it has ended); TIME with `whole` ends at the last complete
// block; the others are unchanged. A window that holds no complete block becomes empty at its lo.
[[nodiscard]] Interval frame(const Strategy& strategy, const Zone& zone, Interval window);

// Appends the slices of one missing interval, ascending, at most `limit` of them: the oldest ones, or with
// Order::Newest the newest ones (still ascending). First and last may be partial. Returns how many were appended; an
// empty interval has none. BUDGET and CUSTOM depend on the provider: use bisect() and check_slices(), cut() throws for
// them.
std::size_t cut(const Strategy& strategy, const Zone& zone, Interval missing, std::size_t limit, Order order,
                std::vector<Interval>& out);

// Slices between given points (any order, repeats and outsiders ignored).
void cut_at(std::vector<std::int64_t> points, Interval missing, std::vector<Interval>& out);

// The records in [lo, hi), asked of the provider.
using Estimate = std::function<std::int64_t(std::int64_t lo, std::int64_t hi)>;

// BUDGET: halves `missing` until every slice is estimated at no more than max_records or cannot be cut any more. A cut
// lies on the roundest multiple of the unit inside (the one with the most factors of two), so it does not depend on
// where the interval begins. The unit is min_step, else the second and below that the microsecond; 1 for ids.
// Throws DataError for a negative estimate, and for one that does not become smaller however short the slice.
std::size_t bisect(const Strategy& strategy, CursorType cursor_type, Interval missing, const Estimate& estimate,
                   std::size_t limit, Order order, std::vector<Interval>& out);

// CUSTOM: what a provider's slices(window) returned must be ascending, disjoint, none empty, and together the window.
// Throws DataError that names the first that is not.
void check_slices(const std::vector<Interval>& slices, Interval window, CursorType cursor_type);

// The canonical JSON text of one slice: {"from":...,"to":...} with RFC 3339 instants or ids, {"after":ordinal} for
// tokens, {} for snapshots. Appends without allocating (but for the growth of `out`): it is called once per planned
// slice.
void append_slice_spec(std::string& out, CursorType cursor_type, std::int64_t lo, std::int64_t hi);

}  // namespace strandline::core
