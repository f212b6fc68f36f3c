#include "encode/field.hpp"

#include <algorithm>
#include <cmath>

#include "encode/temporal.hpp"

namespace strandline::encode {
namespace {

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

template <typename Integer>
Integer narrowed(std::int64_t value, const char* sql_type) {
  if (value < std::numeric_limits<Integer>::min() || value > std::numeric_limits<Integer>::max()) {
    throw Misfit{std::string{"the integer is beyond the range of "} + sql_type + "; declare the column bigint"};
  }
  return static_cast<Integer>(value);
}

int hexadecimal(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Hyphens in the usual places or none at all.
void put_uuid_text(core::TextBuffer& out, std::string_view text) {
  std::uint64_t half[2] = {0, 0};
  std::size_t digits = 0;
  bool good = text.size() == 32 || text.size() == 36;
  for (std::size_t i = 0; good && i < text.size(); ++i) {
    if (text.size() == 36 && (i == 8 || i == 13 || i == 18 || i == 23)) {
      good = text[i] == '-';
      continue;
    }
    const int digit = hexadecimal(text[i]);
    good = digit >= 0;
    std::uint64_t& word = half[digits++ / 16 % 2];
    word = word << 4U | static_cast<std::uint64_t>(digit & 15);
  }
  if (!good) throw Misfit{"the text is no UUID (8-4-4-4-12 hexadecimal digits); repair it or declare the column text"};
  put_uuid(out, half[0], half[1]);
}

}  // namespace

void put_float4(core::TextBuffer& out, double value) {
  if (std::isfinite(value) && std::fabs(value) > static_cast<double>(std::numeric_limits<float>::max())) {
    throw Misfit{"the number is beyond the range of real; declare the column double precision"};
  }
  const auto narrow = static_cast<float>(value);
  std::int32_t bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  put_word32(out, bits);
}

void put_bytes(core::TextBuffer& out, std::string_view bytes) {
  if (bytes.size() > max_field_bytes) {
    throw Misfit{"the value has 1 GiB or more, which no PostgreSQL column holds; split it or store it elsewhere"};
  }
  char* at = store32(out.reserve(4 + bytes.size()), static_cast<std::uint32_t>(bytes.size()));
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  out.advance_to(at + bytes.size());
}

void put_text(core::TextBuffer& out, std::string_view text, std::int32_t max_length) {
  if (!text.empty() && std::memchr(text.data(), '\0', text.size()) != nullptr) {
    throw Misfit{"the text holds a NUL character (U+0000), which PostgreSQL cannot store; remove it or use bytea"};
  }
  if (max_length > 0 && text.size() > static_cast<std::size_t>(max_length) &&
      characters(text) > static_cast<std::size_t>(max_length)) {
    throw Misfit{"the text has " + std::to_string(characters(text)) + " characters, the column allows " +
                 std::to_string(max_length) + "; shorten it or widen the column"};
  }
  put_bytes(out, text);
}

void put_json(core::TextBuffer& out, Type type, std::string_view text) {
  if (type == Type::Json) {
    put_bytes(out, text);
    return;
  }
  if (text.size() >= max_field_bytes) put_bytes(out, text);  // throws
  char* at = store32(out.reserve(5 + text.size()), static_cast<std::uint32_t>(text.size() + 1));
  *at++ = '\1';  // the version of jsonb's wire format
  std::memcpy(at, text.data(), text.size());
  out.advance_to(at + text.size());
}

void put_integer(core::TextBuffer& out, Type type, std::int64_t value) {
  switch (type) {
    case Type::Int2:
      put_word16(out, narrowed<std::int16_t>(value, "smallint"));
      return;
    case Type::Int4:
      put_word32(out, narrowed<std::int32_t>(value, "integer"));
      return;
    case Type::Int8:
      put_word64(out, value);
      return;
    case Type::Float4:
    case Type::Float8: {
      // 2^63 itself has no int64, so the way back is only defined below it.
      const auto wide = static_cast<double>(value);
      const bool single = type == Type::Float4;
      const double stored = single ? static_cast<double>(static_cast<float>(wide)) : wide;
      if (stored >= 0x1p63 || static_cast<std::int64_t>(stored) != value) {
        throw Misfit{std::string{"the integer has no exact "} + (single ? "real" : "double precision") +
                     "; declare the column bigint or numeric"};
      }
      if (single) {
        put_float4(out, wide);
      } else {
        put_float8(out, wide);
      }
      return;
    }
    case Type::Numeric:
      put_numeric(out, std::to_string(value));
      return;
    default:
      throw Misfit{"an integer does not fit here; convert it at the source or declare the column bigint"};
  }
}

void put_timestamp(core::TextBuffer& out, std::int64_t micros) {
  // PostgreSQL's own limits: 4713 BC to 294276 AD, less what its epoch takes from int64.
  constexpr std::int64_t first = -211813488000000000 + epoch_micros;
  constexpr std::int64_t last = std::numeric_limits<std::int64_t>::max();
  if (micros < first || micros == last) {
    throw Misfit{"the timestamp is before 4713 BC, outside PostgreSQL's range; send NULL for an unknown time"};
  }
  put_word64(out, micros - epoch_micros);
}

void put_date(core::TextBuffer& out, std::int64_t days) {
  constexpr std::int64_t first = -2451545;
  constexpr std::int64_t end = 2147483494 - 2451545;
  if (days - epoch_days < first || days - epoch_days >= end) {
    throw Misfit{"the date is outside PostgreSQL's range (4713 BC to 5874897 AD); send NULL for an unknown date"};
  }
  put_word32(out, static_cast<std::int32_t>(days - epoch_days));
}

void put_time(core::TextBuffer& out, std::int64_t micros) {
  if (micros < 0 || micros > micros_per_day) {
    throw Misfit{"the time of day is not between 00:00 and 24:00; declare the column bigint for a duration"};
  }
  put_word64(out, micros);
}

void put_uuid(core::TextBuffer& out, std::uint64_t high, std::uint64_t low) {
  char* at = out.reserve(20);
  out.advance_to(store64(store64(store32(at, 16), high), low));
}

bool put_parsed(core::TextBuffer& out, Type type, std::string_view text) {
  switch (type) {
    case Type::TimestampTz:
      put_timestamp(out, parse_timestamp(text, Zone::Required));
      return true;
    case Type::Timestamp:
      put_timestamp(out, parse_timestamp(text, Zone::Forbidden));
      return true;
    case Type::Date:
      put_date(out, parse_date(text));
      return true;
    case Type::Time:
      put_time(out, parse_time(text));
      return true;
    case Type::Numeric:
      put_numeric(out, text);
      return true;
    case Type::Uuid:
      put_uuid_text(out, text);
      return true;
    default:
      return false;
  }
}

}  // namespace strandline::encode
