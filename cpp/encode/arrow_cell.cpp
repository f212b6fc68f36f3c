#include "encode/arrow_cell.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/number.hpp"
#include "encode/field.hpp"

namespace strandline::encode {
namespace {

using core::TextBuffer;

void put_boolean(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_bool(out, view.boolean(index));
}

void put_int64(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_word64(out, view.at<std::int64_t>(index));
}

void put_int32(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_word32(out, view.at<std::int32_t>(index));
}

void put_any_integer(TextBuffer& out, const View& view, const Column& column, std::int64_t index) {
  const std::int64_t value = view.integer(index);
  if (view.layout->storage == Storage::Uint && value < 0) {  // the upper half of uint64
    if (column.type != Type::Numeric) {
      throw Misfit{"the integer is beyond the range of " + column.sql_type + "; declare the column numeric"};
    }
    put_numeric(out, std::to_string(static_cast<std::uint64_t>(value)));
    return;
  }
  put_integer(out, column.type, value);
}

void put_double(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_float8(out, view.at<double>(index));
}

void put_any_float(TextBuffer& out, const View& view, const Column& column, std::int64_t index) {
  const double value = view.floating(index);
  if (column.type == Type::Float8) {
    put_float8(out, value);
  } else if (column.type == Type::Float4) {
    put_float4(out, value);
  } else if (std::isfinite(value)) {
    char text[core::kDoubleSize];
    const char* end = core::write_double(text, value);
    put_numeric(out, {text, static_cast<std::size_t>(end - text)});
  } else {
    put_numeric(out, std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
  }
}

void put_decimal(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_numeric(out, view.decimal(index));
}

void put_string(TextBuffer& out, const View& view, const Column& column, std::int64_t index) {
  put_text(out, view.bytes(index), column.max_length);
}

void put_read_text(TextBuffer& out, const View& view, const Column& column, std::int64_t index) {
  static_cast<void>(put_parsed(out, column.type, view.bytes(index)));
}

void put_binary(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_bytes(out, view.bytes(index));
}

void put_day(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_date(out, view.days(index));
}

void put_clock(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_time(out, view.micros(index));
}

void put_instant(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_timestamp(out, view.micros(index));
}

// JSON that the producer has already written (extension arrow.json).
void put_json_text(TextBuffer& out, const View& view, const Column& column, std::int64_t index) {
  const std::string_view text = view.bytes(index);
  if (!nlohmann::json::accept(text) || text.find("\\u0000") != std::string_view::npos) {
    throw Misfit{
        "the text is no JSON that PostgreSQL accepts (valid, without \\u0000); repair it or declare the column text"};
  }
  put_json(out, column.type, text);
}

void put_as_json(TextBuffer& out, const View& view, const Column& column, std::int64_t index) {
  const std::size_t start = out.size();
  out.append(std::string_view{"\0\0\0\0\1", column.type == Type::Jsonb ? 5U : 4U});
  write_json(out, view, index);
  const std::size_t size = out.size() - start - 4;
  if (size > max_field_bytes)
    throw Misfit{"the JSON text has 1 GiB or more, which no PostgreSQL column holds; split it"};
  store32(out.data() + start, static_cast<std::uint32_t>(size));
}

PutCell integer_cell(const Layout& layout, Type type) {
  switch (type) {
    case Type::Int8:
      return layout.storage == Storage::Int && layout.width == 8 ? put_int64 : put_any_integer;
    case Type::Int4:
      return layout.storage == Storage::Int && layout.width == 4 ? put_int32 : put_any_integer;
    case Type::Int2:
    case Type::Float4:
    case Type::Float8:
    case Type::Numeric:
      return put_any_integer;
    default:
      return nullptr;
  }
}

PutCell text_cell(const ArrowTarget& target) {
  switch (target.column.type) {
    case Type::Text:
      return put_string;
    case Type::TimestampTz:
    case Type::Timestamp:
    case Type::Date:
    case Type::Time:
    case Type::Numeric:
    case Type::Uuid:
      return target.parse ? put_read_text : nullptr;
    default:
      return nullptr;
  }
}

void put_uuid_bytes(TextBuffer& out, const View& view, const Column& /*column*/, std::int64_t index) {
  put_bytes(out, view.bytes(index));  // 16 bytes, big-endian on both sides
}

PutCell find_cell(const Layout& layout, const ArrowTarget& target) {
  const Type type = target.column.type;
  const bool json = type == Type::Json || type == Type::Jsonb;
  if (json) return layout.storage == Storage::Text && layout.extension == "arrow.json" ? put_json_text : put_as_json;
  switch (layout.storage) {
    case Storage::Null:
      return put_as_json;  // never called: every value is null
    case Storage::Bool:
      return type == Type::Bool ? put_boolean : nullptr;
    case Storage::Int:
    case Storage::Uint:
      return integer_cell(layout, type);
    case Storage::Float:
      if (type == Type::Float8 && layout.width == 8) return put_double;
      return type == Type::Float8 || type == Type::Float4 || type == Type::Numeric ? put_any_float : nullptr;
    case Storage::Decimal:
      return type == Type::Numeric ? put_decimal : nullptr;
    case Storage::Text:
      return text_cell(target);
    case Storage::Binary:
      return type == Type::Bytea ? put_binary : nullptr;
    case Storage::FixedBinary:
      if (type == Type::Uuid && layout.width == 16) return put_uuid_bytes;
      return type == Type::Bytea ? put_binary : nullptr;
    case Storage::Date:
      return type == Type::Date ? put_day : nullptr;
    case Storage::Time:
      return type == Type::Time ? put_clock : nullptr;
    case Storage::Timestamp:
      return type == (layout.zone ? Type::TimestampTz : Type::Timestamp) ? put_instant : nullptr;
    case Storage::List:
    case Storage::FixedList:
    case Storage::Struct:
    case Storage::Map:
      break;
  }
  return nullptr;
}

}  // namespace

PutCell put_cell(const Layout& layout, const ArrowTarget& target) {
  const PutCell found = find_cell(layout, target);
  if (found != nullptr) return found;
  std::string message = "column \"" + layout.name + "\": an Arrow column that would be " +
                        std::string{sql_type(layout)} + " does not fit " + target.column.sql_type +
                        "; cast it at the source";
  if (layout.storage == Storage::Text) message += ", or declare the column's type in the schema, so that text is read";
  const nlohmann::json context{{"column", layout.name}};
  throw core::Error{core::ErrorCode::DataError, message, context.dump()};
}

}  // namespace strandline::encode
