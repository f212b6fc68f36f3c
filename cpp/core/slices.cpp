#include "core/slices.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "core/error.hpp"

namespace strandline::core {
namespace {

std::int64_t floor_div(std::int64_t value, std::int64_t divisor) {
  const std::int64_t quotient = value / divisor;
  return value % divisor < 0 ? quotient - 1 : quotient;
}

// The multiples of a length; where the next one does not fit into 64 bits, the end of the range stands for it.
class Multiples {
 public:
  explicit Multiples(std::int64_t length) : length_{length} {}

  [[nodiscard]] std::int64_t floor(std::int64_t point) const {
    const std::int64_t over = point % length_ < 0 ? point % length_ + length_ : point % length_;
    return point < std::numeric_limits<std::int64_t>::min() + over ? std::numeric_limits<std::int64_t>::min()
                                                                   : point - over;
  }
  [[nodiscard]] std::int64_t next(std::int64_t point) const {
    const std::int64_t over = point % length_ < 0 ? point % length_ + length_ : point % length_;
    const std::int64_t step = length_ - over;
    return point > std::numeric_limits<std::int64_t>::max() - step ? std::numeric_limits<std::int64_t>::max()
                                                                   : point + step;
  }

 private:
  std::int64_t length_;
};

// `boundaries` has floor() and next(), the aligned points at or before and after a point.
template <typename Boundaries>
std::size_t cut_along(Boundaries& boundaries, Interval missing, std::size_t limit, Order order,
                      std::vector<Interval>& out) {
  const std::size_t before = out.size();
  if (order == Order::Oldest) {
    for (std::int64_t lo = missing.lo; lo < missing.hi && out.size() - before < limit;) {
      const std::int64_t hi = std::min(boundaries.next(lo), missing.hi);
      out.push_back({lo, hi});
      lo = hi;
    }
  } else {
    for (std::int64_t hi = missing.hi; missing.lo < hi && out.size() - before < limit;) {
      const std::int64_t lo = std::max(boundaries.floor(hi - 1), missing.lo);
      out.push_back({lo, hi});
      hi = lo;
    }
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
  }
  return out.size() - before;
}

// The multiple of `unit` strictly inside the interval that has the most factors of two; nothing where none lies inside.
std::optional<std::int64_t> roundest(Interval interval, std::int64_t unit) {
  const std::int64_t first = floor_div(interval.lo, unit) + 1;
  const std::int64_t last = floor_div(interval.hi - 1, unit);
  if (first > last) return std::nullopt;
  if (first <= 0 && last >= 0) return 0;
  const bool negative = last < 0;
  const std::int64_t low = negative ? -last : first;
  std::int64_t number = negative ? -first : last;
  while ((number & (number - 1)) >= low) number &= number - 1;
  return (negative ? -number : number) * unit;
}

std::optional<std::int64_t> middle(const Strategy& strategy, CursorType cursor_type, Interval interval) {
  if (cursor_type == CursorType::Id) return roundest(interval, std::max<std::int64_t>(strategy.min_ids, 1));
  if (strategy.min_step) return roundest(interval, fixed_microseconds(*strategy.min_step));
  if (const auto second = roundest(interval, kMicrosecondsPerSecond)) return second;
  return roundest(interval, 1);
}

std::string between(Interval interval, CursorType type) {
  return bound_text(interval.lo, type) + " to " + bound_text(interval.hi, type);
}

std::int64_t ask(const Estimate& estimate, CursorType cursor_type, Interval interval) {
  const std::int64_t records = estimate(interval.lo, interval.hi);
  if (records < 0) {
    throw Error(ErrorCode::DataError, "estimate() returned " + std::to_string(records) + " records for " +
                                          between(interval, cursor_type) + ". Return 0 or more.");
  }
  return records;
}

void append_integer(std::string& out, std::int64_t value) {
  char text[20];
  out.append(text, std::to_chars(std::begin(text), std::end(text), value).ptr);
}

}  // namespace

Interval frame(const Strategy& strategy, const Zone& zone, Interval window) {
  const bool dates = strategy.kind == StrategyKind::Date;
  const bool whole = dates || (strategy.kind == StrategyKind::Time && strategy.whole);
  if (window.empty() || !whole) return window;
  Grid grid{zone, strategy.step};
  const Interval framed{dates ? grid.floor(window.lo) : window.lo, grid.floor(window.hi)};
  return framed.empty() ? Interval{window.lo, window.lo} : framed;
}

std::size_t cut(const Strategy& strategy, const Zone& zone, Interval missing, std::size_t limit, Order order,
                std::vector<Interval>& out) {
  if (missing.empty() || limit == 0) return 0;
  switch (strategy.kind) {
    case StrategyKind::Single:
    case StrategyKind::Cursor:
      out.push_back(missing);
      return 1;
    case StrategyKind::Time:
    case StrategyKind::Date: {
      Grid grid{zone, strategy.step};
      return cut_along(grid, missing, limit, order, out);
    }
    case StrategyKind::Id: {
      const Multiples multiples{strategy.ids};
      return cut_along(multiples, missing, limit, order, out);
    }
    case StrategyKind::Budget:
    case StrategyKind::Custom:
      break;
  }
  throw Error(ErrorCode::Error, std::string{"slices of the strategy "} + strategy_code(strategy.kind) +
                                    " come from the provider; bisect() or check_slices() has to be called for them.");
}

void cut_at(std::vector<std::int64_t> points, Interval missing, std::vector<Interval>& out) {
  if (missing.empty()) return;
  std::sort(points.begin(), points.end());
  std::int64_t lo = missing.lo;
  for (const std::int64_t point : points) {
    if (point <= lo || point >= missing.hi) continue;
    out.push_back({lo, point});
    lo = point;
  }
  out.push_back({lo, missing.hi});
}

std::size_t bisect(const Strategy& strategy, CursorType cursor_type, Interval missing, const Estimate& estimate,
                   std::size_t limit, Order order, std::vector<Interval>& out) {
  struct Piece {
    Interval interval;
    std::int64_t records;
    int unmoved;  // how many cuts in a row left the estimate of both halves as it was
  };
  // A source may cap what it counts ("10000 or more"), so equal halves are no proof. After 24 halvings, a
  // sixteen-millionth of the window, they are: the estimate does not look at its window, and would be followed down to
  // the microsecond.
  constexpr int kMostUnmoved = 24;
  if (missing.empty() || limit == 0) return 0;

  const std::size_t before = out.size();
  std::vector<Piece> pieces{{missing, ask(estimate, cursor_type, missing), 0}};
  while (!pieces.empty() && out.size() - before < limit) {
    const Piece piece = pieces.back();
    pieces.pop_back();
    const auto point =
        piece.records > strategy.max_records ? middle(strategy, cursor_type, piece.interval) : std::nullopt;
    if (!point) {
      out.push_back(piece.interval);
      continue;
    }
    Piece left{{piece.interval.lo, *point}, 0, 0};
    Piece right{{*point, piece.interval.hi}, 0, 0};
    left.records = ask(estimate, cursor_type, left.interval);
    right.records = ask(estimate, cursor_type, right.interval);
    const bool unmoved = left.records >= piece.records && right.records >= piece.records;
    left.unmoved = right.unmoved = unmoved ? piece.unmoved + 1 : 0;
    if (left.unmoved == kMostUnmoved) {
      throw Error(ErrorCode::DataError,
                  "estimate() returned " + std::to_string(piece.records) + " records for " +
                      between(piece.interval, cursor_type) +
                      " and no less for either half of it, nor for any window around it. It has to "
                      "count the records of the window that it is given.");
    }
    const bool oldest = order == Order::Oldest;
    pieces.push_back(oldest ? right : left);
    pieces.push_back(oldest ? left : right);
  }
  if (order == Order::Newest) std::reverse(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
  return out.size() - before;
}

void check_slices(const std::vector<Interval>& slices, Interval window, CursorType cursor_type) {
  const auto refuse = [&](std::size_t number, const std::string& problem) {
    const std::string which =
        number < slices.size() ? "slice " + std::to_string(number) + " (" + between(slices[number], cursor_type) + ")"
                               : "the end";
    throw Error(ErrorCode::DataError, "slices() returned a wrong list: " + which + ' ' + problem + ". The slices of " +
                                          between(window, cursor_type) +
                                          " have to be ascending, half-open, disjoint and together the whole window.");
  };
  std::int64_t reached = window.lo;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].empty()) refuse(i, slices[i].lo == slices[i].hi ? "is empty" : "is reversed");
    if (slices[i].lo != reached) {
      const std::string place =
          (i == 0 ? "the window's start " : "the end of the one before ") + bound_text(reached, cursor_type);
      refuse(i, (slices[i].lo < reached ? "begins before " : "leaves a gap after ") + place);
    }
    if (slices[i].hi > window.hi) refuse(i, "ends after the window");
    reached = slices[i].hi;
  }
  if (reached < window.hi) refuse(slices.size(), "is missing, from " + bound_text(reached, cursor_type) + " on");
}

void append_slice_spec(std::string& out, CursorType cursor_type, std::int64_t lo, std::int64_t hi) {
  switch (cursor_type) {
    case CursorType::Time:
      out += R"({"from":")";
      append_rfc3339(out, lo);
      out += R"(","to":")";
      append_rfc3339(out, hi);
      out += R"("})";
      return;
    case CursorType::Id:
      out += R"({"from":)";
      append_integer(out, lo);
      out += R"(,"to":)";
      append_integer(out, hi);
      out += '}';
      return;
    case CursorType::Token:
      out += R"({"after":)";
      append_integer(out, lo);
      out += '}';
      return;
    case CursorType::Snapshot:
      out += "{}";
      return;
  }
}

}  // namespace strandline::core
