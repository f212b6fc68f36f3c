#include "core/interval.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

namespace strandline::core {
namespace {

bool is_normal(const Intervals& intervals) {
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    if (intervals[i].empty() || (i != 0 && intervals[i - 1].hi >= intervals[i].lo)) return false;
  }
  return true;
}

// An operand in normal form. It is so already nearly always (it comes from here or from an ordered query), and then the
// caller's vector is looked at, not copied.
class Normal {
 public:
  explicit Normal(const Intervals& intervals) : view_{&intervals} {
    if (is_normal(intervals)) return;
    copy_ = normalize(intervals);
    view_ = &copy_;
  }
  Normal(const Normal&) = delete;
  Normal& operator=(const Normal&) = delete;
  ~Normal() = default;

  [[nodiscard]] const Intervals& operator*() const noexcept { return *view_; }

 private:
  const Intervals* view_;
  Intervals copy_;
};

}  // namespace

Intervals normalize(Intervals intervals) {
  if (is_normal(intervals)) return intervals;
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.lo < b.lo; });
  Intervals merged;
  for (const Interval& interval : intervals) {
    if (interval.empty()) continue;
    if (!merged.empty() && interval.lo <= merged.back().hi) {
      merged.back().hi = std::max(merged.back().hi, interval.hi);
    } else {
      merged.push_back(interval);
    }
  }
  return merged;
}

Intervals unite(const Intervals& a, const Intervals& b) {
  Intervals all;
  all.reserve(a.size() + b.size());
  all.insert(all.end(), a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  return normalize(std::move(all));
}

Intervals subtract(const Intervals& a, const Intervals& b) {
  const Normal normal_a{a};
  const Normal normal_b{b};
  const Intervals& from = *normal_a;
  const Intervals& what = *normal_b;
  Intervals left;
  std::size_t first = 0;
  for (const Interval& interval : from) {
    while (first < what.size() && what[first].hi <= interval.lo) ++first;
    std::int64_t lo = interval.lo;
    for (std::size_t i = first; i < what.size() && what[i].lo < interval.hi; ++i) {
      if (what[i].lo > lo) left.push_back({lo, what[i].lo});
      lo = what[i].hi;
    }
    if (lo < interval.hi) left.push_back({lo, interval.hi});
  }
  return left;
}

Intervals intersect(const Intervals& a, const Intervals& b) {
  const Normal normal_a{a};
  const Normal normal_b{b};
  const Intervals& one = *normal_a;
  const Intervals& two = *normal_b;
  Intervals both;
  for (std::size_t i = 0, j = 0; i < one.size() && j < two.size();) {
    const Interval overlap{std::max(one[i].lo, two[j].lo), std::min(one[i].hi, two[j].hi)};
    if (!overlap.empty()) both.push_back(overlap);
    if (one[i].hi < two[j].hi) {
      ++i;
    } else {
      ++j;
    }
  }
  return both;
}

bool contains(const Intervals& intervals, const Interval& part) {
  if (part.empty()) return true;
  const Normal normal{intervals};
  const Intervals& all = *normal;
  auto after = std::upper_bound(all.begin(), all.end(), part.lo,
                                [](std::int64_t point, const Interval& interval) { return point < interval.lo; });
  return after != all.begin() && part.hi <= std::prev(after)->hi;
}

std::int64_t watermark(const Intervals& intervals, std::int64_t origin) {
  const Normal normal{intervals};
  const Intervals& all = *normal;
  auto after = std::upper_bound(all.begin(), all.end(), origin,
                                [](std::int64_t point, const Interval& interval) { return point < interval.lo; });
  return after == all.begin() ? origin : std::max(origin, std::prev(after)->hi);
}

}  // namespace strandline::core
