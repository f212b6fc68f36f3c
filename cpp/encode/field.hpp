#pragma once
// Single values as COPY BINARY fields: a big-endian int32 length and the bytes of PostgreSQL's *_recv functions.
//
// A value that does not fit its column throws Misfit. Encoders know the page, the row and the column, and turn it into a
// DataError; here only the reason is known.

#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/text_buffer.hpp"
#include "encode/big_endian.hpp"
#include "encode/column.hpp"

namespace strandline::encode {

// The reason ends in what to do; it names types and limits, never the value (rows may hold secrets).
class Misfit : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// PostgreSQL cannot hold a field of 1 GiB or more.
constexpr std::size_t max_field_bytes = 0x3FFFFFFF;

// Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch; and the days of it.
constexpr std::int64_t epoch_micros = 946684800000000;
constexpr std::int64_t epoch_days = 10957;

inline void put_null(core::TextBuffer& out) {
  char* at = out.reserve(4);
  out.advance_to(store32(at, 0xFFFFFFFF));
}

inline void put_bool(core::TextBuffer& out, bool value) {
  char* at = store32(out.reserve(5), 1);
  *at++ = value ? '\1' : '\0';
  out.advance_to(at);
}

inline void put_word16(core::TextBuffer& out, std::int16_t value) {
  char* at = out.reserve(6);
  out.advance_to(store16(store32(at, 2), static_cast<std::uint16_t>(value)));
}

inline void put_word32(core::TextBuffer& out, std::int32_t value) {
  char* at = out.reserve(8);
  out.advance_to(store32(store32(at, 4), static_cast<std::uint32_t>(value)));
}

inline void put_word64(core::TextBuffer& out, std::int64_t value) {
  char* at = out.reserve(12);
  out.advance_to(store64(store32(at, 8), static_cast<std::uint64_t>(value)));
}

inline void put_float8(core::TextBuffer& out, double value) {
  std::int64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  put_word64(out, bits);
}

// A finite double that real cannot hold is a misfit; the loss of digits is what declaring real asks for.
void put_float4(core::TextBuffer& out, double value);

// Any bytes as they are: bytea, or text that has been checked.
void put_bytes(core::TextBuffer& out, std::string_view bytes);

// UTF-8 text; a misfit when it holds a NUL byte or, with max_length > 0, more than so many characters.
void put_text(core::TextBuffer& out, std::string_view text, std::int32_t max_length = 0);

// JSON text (valid, without \u0000) for json or jsonb.
void put_json(core::TextBuffer& out, Type type, std::string_view text);

// An integer for any column that holds it exactly: int2, int4, int8, float4, float8, numeric.
void put_integer(core::TextBuffer& out, Type type, std::int64_t value);

// Microseconds and days since 1970-01-01, checked against PostgreSQL's range.
void put_timestamp(core::TextBuffer& out, std::int64_t micros);
void put_date(core::TextBuffer& out, std::int64_t days);
// Microseconds since midnight.
void put_time(core::TextBuffer& out, std::int64_t micros);

void put_uuid(core::TextBuffer& out, std::uint64_t high, std::uint64_t low);

// Decimal text ("-12.50", "1E+3", "NaN", "Infinity") as numeric, digits and trailing zeros kept.
void put_numeric(core::TextBuffer& out, std::string_view text);

// Text that a declared type asks to be read: RFC 3339 for timestamptz (with a zone) and timestamp (without), ISO for
// date and time, decimal text for numeric, 32 hexadecimal digits for uuid. False: text is not read for this type.
[[nodiscard]] bool put_parsed(core::TextBuffer& out, Type type, std::string_view text);

}  // namespace strandline::encode
