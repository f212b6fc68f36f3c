#pragma once
// The column types that strandline can write, and how PostgreSQL's own names map onto them.

#include <cstdint>
#include <string>
#include <string_view>

namespace strandline::encode {

enum class Type : std::uint8_t {
  Bool,
  Int2,
  Int4,
  Int8,
  Float4,
  Float8,
  Numeric,
  Text,  // text, character varying(n) and character(n): the same bytes on the wire
  Bytea,
  Date,
  Time,
  Timestamp,
  TimestampTz,
  Uuid,
  Json,
  Jsonb,
};

struct Column {
  std::string name;
  Type type;
  std::string sql_type;         // spelled as PostgreSQL's format_type does: "character varying(12)", "bigint"
  bool required;                // a NULL is a DataError
  std::int32_t max_length = 0;  // characters that varchar(n) or char(n) allows; 0: no limit
};

// Reads a SQL type name, with or without modifiers, in any case: what format_type prints, and the usual aliases (int8,
// timestamptz, varchar(12)). Throws ConfigError that lists the supported types.
[[nodiscard]] Column make_column(std::string name, std::string_view sql_type, bool required = false);

// The type behind a SQL type name; ConfigError as above.
[[nodiscard]] Type parse_type(std::string_view sql_type);

// The name that format_type prints for the type without modifiers: "bigint", "timestamp with time zone".
[[nodiscard]] std::string_view type_name(Type type) noexcept;

}  // namespace strandline::encode
