#pragma once
// Algebra of half-open int64 intervals. Coverage, work in flight and what is missing are all sets of such intervals,
// and the watermark is a function of one of them, so the rules live here once, without units: the bounds may be
// microseconds, ids or ordinals.

#include <cstdint>
#include <vector>

namespace strandline::core {

// [lo, hi). Empty when hi <= lo; the algebra drops empty ones.
struct Interval {
  std::int64_t lo = 0;
  std::int64_t hi = 0;

  [[nodiscard]] bool empty() const noexcept { return hi <= lo; }
  friend bool operator==(const Interval& a, const Interval& b) noexcept { return a.lo == b.lo && a.hi == b.hi; }
  friend bool operator!=(const Interval& a, const Interval& b) noexcept { return !(a == b); }
};

// Every function takes intervals in any order, overlapping or not, and returns the normal form: ascending, disjoint, no
// two touching, none empty. Two equal sets of points are therefore equal vectors.
using Intervals = std::vector<Interval>;

[[nodiscard]] Intervals normalize(Intervals intervals);
[[nodiscard]] Intervals unite(const Intervals& a, const Intervals& b);
[[nodiscard]] Intervals subtract(const Intervals& a, const Intervals& b);
[[nodiscard]] Intervals intersect(const Intervals& a, const Intervals& b);

// True where every point of `part` lies in `intervals`; an empty part is contained in anything.
[[nodiscard]] bool contains(const Intervals& intervals, const Interval& part);

// The end of the contiguous covered stretch that reaches from `origin`: the hi of the interval that contains or begins
// at it (or ends exactly there), else `origin` itself. It never leads what is covered.
[[nodiscard]] std::int64_t watermark(const Intervals& intervals, std::int64_t origin);

}  // namespace strandline::core
