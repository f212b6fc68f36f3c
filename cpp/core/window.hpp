#pragma once
// Windows as people write them: "2013", "2013-Q2", "2013-05-01/2013-06-01", "-7 days/", "100/200". Parsing needs the
// zone that dates are in, the present instant (there is no clock here) and what the cursor counts.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/calendar.hpp"

namespace strandline::core {

// What the bounds of a provider count: Time microseconds since 1970-01-01T00:00Z, Id its ids, Token the ordinals of a
// token's positions, Snapshot nothing (the source is listed whole).
enum class CursorType { Time, Id, Token, Snapshot };

[[nodiscard]] CursorType parse_cursor_type(std::string_view text);     // "time" | "id" | "token" | "snapshot", any case
[[nodiscard]] const char* cursor_type_text(CursorType type) noexcept;  // lower case

// Half-open; a side without a value is open, for the caller to fill from watermark, origin or now.
struct Window {
  std::optional<std::int64_t> lo;
  std::optional<std::int64_t> hi;
};

// Throws ConfigError: not understood, reversed, out of years 1 to 9999, or a cursor type that has no window.
[[nodiscard]] Window parse_window(std::string_view text, const Zone& zone, std::int64_t now, CursorType cursor_type);

// One bound: an ISO date or datetime (without an offset it is in `zone`), a signed duration from now ("-7 days"), a
// calendar unit (its beginning), or an integer for Id.
[[nodiscard]] std::int64_t parse_bound(std::string_view text, const Zone& zone, std::int64_t now,
                                       CursorType cursor_type);

// `now` moved by a step: fixed units by elapsed time, day and longer by the calendar of the zone (the same wall clock;
// the 31st becomes the last day of a shorter month).
[[nodiscard]] std::int64_t shift(std::int64_t now, const Step& step, const Zone& zone);

// Throws ConfigError where lo > hi; "where" names the argument in the message.
void check_order(const Window& window, CursorType cursor_type, std::string_view where);

// A bound in a message: RFC 3339 for Time, digits otherwise.
[[nodiscard]] std::string bound_text(std::int64_t bound, CursorType cursor_type);

}  // namespace strandline::core
