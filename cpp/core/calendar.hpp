#pragma once
// Time zones, and the grids that slices are cut on. An instant is int64 microseconds since 1970-01-01T00:00Z; a local
// time is the same count for a wall clock. Every decision about daylight saving is made here, once:
//   - a local time that occurs twice means the earlier instant;
//   - a local time that does not occur means the first instant after the gap.
// Both are one rule: the first instant at which the wall clock shows that time or a later one.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/duration.hpp"

namespace strandline::core {

// Years 1 to 9999, what Python's datetime and RFC 3339 can say. The last one is the last microsecond of 9999.
inline constexpr std::int64_t kMinInstant = -62'135'596'800'000'000;
inline constexpr std::int64_t kMaxInstant = 253'402'300'799'999'999;

// A stretch [begin, end) of instants with one offset from UTC (all in microseconds).
struct OffsetPeriod {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t offset = 0;
};

// A zone of the system's time zone data. Zones live as long as the process; look-ups are cached and thread-safe.
class Zone {
 public:
  // Throws ConfigError for a name that the data does not know.
  [[nodiscard]] static const Zone& locate(std::string_view name);

  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone();

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] OffsetPeriod period(std::int64_t instant) const;
  [[nodiscard]] std::int64_t to_local(std::int64_t instant) const { return instant + period(instant).offset; }
  [[nodiscard]] std::int64_t from_local(std::int64_t local) const;

 private:
  struct Rules;
  explicit Zone(std::string name);

  std::string name_;
  std::unique_ptr<Rules> rules_;
};

// The aligned boundaries of a step in a zone, independent of any window:
//   - year, quarter, month: blocks of n, counted from year 0; week: Mondays, counted from 1970-01-05; day: counted
//     from 1970-01-01; each begins at local midnight (or at the first instant after a gap that swallows it);
//   - hour, minute, second, where n of them divide a day: elapsed time from local midnight, so that a day of 23 or 25
//     hours has 23 or 25 one-hour blocks, and the last block of such a day may be shorter;
//   - any other count of them (7 hours, 36 hours), and microseconds (what a timedelta becomes): elapsed time counted
//     from 1970-01-01T00:00Z, the same in every zone.
// Boundaries strictly increase: a day that a zone skipped (Apia, 2011-12-30) is no block.
// A Grid remembers the last block and offset, so stepping through it costs no zone look-up per block; one per thread.
class Grid {
 public:
  // Throws ConfigError for a step that is not positive. The zone must outlive the grid.
  Grid(const Zone& zone, const Step& step);

  [[nodiscard]] std::int64_t floor(std::int64_t instant);  // the boundary at or before
  [[nodiscard]] std::int64_t next(std::int64_t instant);   // the first boundary after

 private:
  void seek(std::int64_t instant);  // makes begin_ <= instant < end_
  [[nodiscard]] std::int64_t block_of(std::int64_t local) const;
  [[nodiscard]] std::int64_t begin_of(std::int64_t block);
  [[nodiscard]] std::int64_t from_local(std::int64_t local);

  const Zone* zone_;
  std::int64_t length_ = 0;  // elapsed length of a block in microseconds; 0: one block per calendar unit
  bool from_epoch_ = false;  // blocks of length_ count from 1970-01-01T00:00Z, else from local midnight
  Unit unit_ = Unit::Day;    // of the calendar block: Day, Week or Month
  std::int64_t count_ = 1;
  std::int64_t begin_ = 0;  // the calendar block that was looked up last
  std::int64_t end_ = 0;
  OffsetPeriod period_;
};

// "2013-05-01T04:00:00Z": UTC, with as many fraction digits as are needed and no trailing zeros, the canonical form of
// an instant. Throws ConfigError outside of kMinInstant .. kMaxInstant.
void append_rfc3339(std::string& out, std::int64_t instant);
[[nodiscard]] std::string rfc3339(std::int64_t instant);

// Days since 1970-01-01 of a proleptic Gregorian date that exists.
[[nodiscard]] std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept;
// A wall clock moved by whole months; a day that the new month does not have becomes its last one.
[[nodiscard]] std::int64_t add_months(std::int64_t local, std::int64_t months) noexcept;
[[nodiscard]] bool is_date(std::int64_t year, unsigned month, unsigned day) noexcept;

}  // namespace strandline::core
