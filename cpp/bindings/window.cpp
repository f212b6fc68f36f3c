// Windows, durations, zones, slices and interval sets for Python. Bounds are int64: microseconds since
// 1970-01-01T00:00Z for time, ids otherwise. The class that users see is strandline.window.Window.

#include "core/window.hpp"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "bindings/register.hpp"
#include "core/calendar.hpp"
#include "core/duration.hpp"
#include "core/error.hpp"
#include "core/interval.hpp"
#include "core/quote.hpp"
#include "core/slices.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using core::Interval;
using core::Intervals;
using core::Zone;
using Bounds = std::pair<std::int64_t, std::int64_t>;

Intervals to_intervals(const std::vector<Bounds>& bounds) {
  Intervals intervals;
  intervals.reserve(bounds.size());
  for (const auto& [lo, hi] : bounds) intervals.push_back({lo, hi});
  return intervals;
}

std::vector<Bounds> to_bounds(const Intervals& intervals) {
  std::vector<Bounds> bounds;
  bounds.reserve(intervals.size());
  for (const Interval& interval : intervals) bounds.emplace_back(interval.lo, interval.hi);
  return bounds;
}

// Neighbouring slices as their cut points, first and last bound included; no slices are no points.
py::list to_points(const std::vector<Interval>& slices) {
  py::list points(slices.empty() ? 0 : slices.size() + 1);
  const auto set = [&points](std::size_t at, std::int64_t value) {
    PyObject* const number = PyLong_FromLongLong(value);
    if (number == nullptr) throw py::error_already_set();
    PyList_SET_ITEM(points.ptr(), static_cast<py::ssize_t>(at), number);
  };
  if (!slices.empty()) set(0, slices.front().lo);
  for (std::size_t i = 0; i < slices.size(); ++i) set(i + 1, slices[i].hi);
  return points;
}

core::Strategy to_strategy(const std::optional<std::string>& spec) {
  return core::parse_strategy(spec.value_or("null"));
}

core::Order to_order(const std::string& order) {
  if (order == "oldest") return core::Order::Oldest;
  if (order == "newest") return core::Order::Newest;
  throw core::Error(core::ErrorCode::ConfigError,
                    "the order " + core::quote(order) + R"( is unknown. It is "oldest" or "newest".)");
}

const char* unit_text(core::Unit unit) {
  constexpr const char* kNames[] = {"microsecond", "second", "minute",  "hour", "day",
                                    "week",        "month",  "quarter", "year"};
  return kNames[static_cast<std::size_t>(unit)];
}

core::Estimate to_estimate(const py::function& function) {
  return [function](std::int64_t lo, std::int64_t hi) {
    const py::object records = function(lo, hi);
    // A float, a bool or None is a mistake in the provider, even where it could be read as a number.
    if (!PyLong_Check(records.ptr()) || PyBool_Check(records.ptr())) {
      throw core::Error(core::ErrorCode::DataError, "estimate() returned " + std::string{py::repr(records)} +
                                                        ". Return the number of records as an int.");
    }
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(records.ptr(), &overflow);
    if (overflow != 0) {
      throw core::Error(core::ErrorCode::DataError, "estimate() returned a number that does not fit into 64 bits.");
    }
    return static_cast<std::int64_t>(value);
  };
}

void register_durations(py::module_& module) {
  module.def(
      "parse_duration",
      [](const std::string& text) {
        const core::Step step = core::parse_step(text);
        py::dict result;
        result["unit"] = unit_text(step.unit);
        result["count"] = step.count;
        result["text"] = core::step_text(step);
        return result;
      },
      py::arg("text"),
      "A duration as {unit, count, text}; text is its canonical spelling. ConfigError lists the units.");
  module.def("duration_us", &core::duration_microseconds, py::arg("text"),
             "The length of a duration in microseconds; a day is 24 h. ConfigError for months, quarters and years.");
}

void register_calendar(py::module_& module) {
  module.def(
      "zone", [](const std::string& name) { return Zone::locate(name).name(); }, py::arg("name"),
      "The name of a time zone that exists, else ConfigError.");
  module.def(
      "local",
      [](std::int64_t us, const std::string& zone) {
        return Zone::locate(zone).period(us).offset / core::kMicrosecondsPerSecond;
      },
      py::arg("us"), py::arg("time_zone"), "The offset of a zone from UTC at an instant, in seconds.");
  module.def(
      "shift",
      [](std::int64_t now, const std::string& step, const std::string& zone) {
        return core::shift(now, core::parse_step(step), Zone::locate(zone));
      },
      py::arg("now"), py::arg("step"), py::arg("time_zone"),
      "An instant moved by a signed duration: by elapsed time below a day, by the zone's calendar from there on.");
  module.def("rfc3339", &core::rfc3339, py::arg("us"), "An instant as RFC 3339 in UTC, without trailing zeros.");
}

void register_windows(py::module_& module) {
  module.def(
      "parse_window",
      [](const std::string& text, const std::string& zone, std::int64_t now, const std::string& type) {
        const core::Window window = core::parse_window(text, Zone::locate(zone), now, core::parse_cursor_type(type));
        return std::pair{window.lo, window.hi};
      },
      py::arg("text"), py::arg("time_zone"), py::arg("now"), py::arg("cursor_type"),
      "A window's text as (lo, hi), None for an open side. ConfigError says what is wrong and shows examples.");
  module.def(
      "parse_bound",
      [](const std::string& text, const std::string& zone, std::int64_t now, const std::string& type) {
        return core::parse_bound(text, Zone::locate(zone), now, core::parse_cursor_type(type));
      },
      py::arg("text"), py::arg("time_zone"), py::arg("now"), py::arg("cursor_type"), "The text of one bound.");
}

void register_strategies(py::module_& module) {
  module.def(
      "strategy", [](const std::optional<std::string>& spec) { return core::strategy_json(to_strategy(spec)); },
      py::arg("spec"), "The canonical JSON of a slice strategy, given as JSON or as a bare duration; None is SINGLE.");
  module.def(
      "check_strategy",
      [](const std::optional<std::string>& spec, const std::string& type) {
        core::check_strategy(to_strategy(spec), core::parse_cursor_type(type));
      },
      py::arg("spec"), py::arg("cursor_type"), "ConfigError where a strategy cannot cut what such a cursor counts.");
  module.def(
      "frame",
      [](const std::optional<std::string>& spec, const std::string& zone, std::int64_t lo, std::int64_t hi) {
        const Interval framed = core::frame(to_strategy(spec), Zone::locate(zone), {lo, hi});
        return Bounds{framed.lo, framed.hi};
      },
      py::arg("spec"), py::arg("time_zone"), py::arg("lo"), py::arg("hi"),
      "The window that a strategy covers: whole blocks only for DATE and for TIME with `whole`.");
  module.def(
      "cut",
      [](const std::optional<std::string>& spec, const std::string& zone, std::int64_t lo, std::int64_t hi,
         std::optional<std::size_t> limit, const std::string& order) {
        std::vector<Interval> slices;
        core::cut(to_strategy(spec), Zone::locate(zone), {lo, hi}, limit.value_or(core::kNoLimit), to_order(order),
                  slices);
        return to_points(slices);
      },
      py::arg("spec"), py::arg("time_zone"), py::arg("lo"), py::arg("hi"), py::arg("limit") = py::none(),
      py::arg("order") = "oldest", "The cut points of [lo, hi), both ends included (without `limit`), ascending.");
  module.def(
      "cut_at",
      [](std::vector<std::int64_t> points, std::int64_t lo, std::int64_t hi) {
        std::vector<Interval> slices;
        core::cut_at(std::move(points), {lo, hi}, slices);
        return to_points(slices);
      },
      py::arg("points"), py::arg("lo"), py::arg("hi"), "[lo, hi) cut at the given points that lie inside.");
  module.def(
      "bisect",
      [](std::int64_t lo, std::int64_t hi, std::int64_t max_records, const py::function& estimate,
         const std::string& type, const std::variant<std::monostate, std::int64_t, std::string>& min_step,
         std::optional<std::size_t> limit, const std::string& order) {
        core::Strategy strategy;
        strategy.kind = core::StrategyKind::Budget;
        strategy.max_records = max_records;
        if (const auto* ids = std::get_if<std::int64_t>(&min_step)) strategy.min_ids = *ids;
        if (const auto* step = std::get_if<std::string>(&min_step)) strategy.min_step = core::parse_step(*step);
        // Through its text: the same checks as for a stored strategy.
        strategy = core::parse_strategy(core::strategy_json(strategy));
        const core::CursorType cursor_type = core::parse_cursor_type(type);
        core::check_strategy(strategy, cursor_type);
        std::vector<Interval> slices;
        core::bisect(strategy, cursor_type, {lo, hi}, to_estimate(estimate), limit.value_or(core::kNoLimit),
                     to_order(order), slices);
        return to_points(slices);
      },
      py::arg("lo"), py::arg("hi"), py::arg("max_records"), py::arg("estimate"), py::arg("cursor_type"),
      py::arg("min_step") = py::none(), py::arg("limit") = py::none(), py::arg("order") = "oldest",
      "Cut points such that estimate(lo, hi) is at most max_records in every slice that can still be cut.");
  module.def(
      "check_slices",
      [](const std::vector<Bounds>& slices, std::int64_t lo, std::int64_t hi, const std::string& type) {
        core::check_slices(to_intervals(slices), {lo, hi}, core::parse_cursor_type(type));
      },
      py::arg("slices"), py::arg("lo"), py::arg("hi"), py::arg("cursor_type") = "time",
      "DataError that names the first slice that breaks the order, overlaps, leaves a gap or leaves the window.");
  module.def(
      "slice_spec",
      [](const std::string& type, std::int64_t lo, std::int64_t hi) {
        std::string text;
        core::append_slice_spec(text, core::parse_cursor_type(type), lo, hi);
        return text;
      },
      py::arg("cursor_type"), py::arg("lo"), py::arg("hi"), "The canonical JSON of one slice.");
}

void register_intervals(py::module_& module) {
  using Set = const std::vector<Bounds>&;
  module.def(
      "intervals_union", [](Set a, Set b) { return to_bounds(core::unite(to_intervals(a), to_intervals(b))); },
      py::arg("a"), py::arg("b"), "The union of two sets of half-open intervals, ascending and merged.");
  module.def(
      "intervals_subtract", [](Set a, Set b) { return to_bounds(core::subtract(to_intervals(a), to_intervals(b))); },
      py::arg("a"), py::arg("b"), "What of `a` is not in `b`, ascending and merged.");
  module.def(
      "intervals_intersect", [](Set a, Set b) { return to_bounds(core::intersect(to_intervals(a), to_intervals(b))); },
      py::arg("a"), py::arg("b"), "What is in both, ascending and merged.");
  module.def(
      "intervals_contain",
      [](Set intervals, std::int64_t lo, std::int64_t hi) { return core::contains(to_intervals(intervals), {lo, hi}); },
      py::arg("intervals"), py::arg("lo"), py::arg("hi"), "Whether every point of [lo, hi) is in the set.");
  module.def(
      "watermark", [](Set intervals, std::int64_t origin) { return core::watermark(to_intervals(intervals), origin); },
      py::arg("intervals"), py::arg("origin"),
      "The end of the contiguous covered stretch that reaches from the origin.");
}

}  // namespace

void register_window(py::module_& module) {
  register_durations(module);
  register_calendar(module);
  register_windows(module);
  register_strategies(module);
  register_intervals(module);
}

}  // namespace strandline::bindings
