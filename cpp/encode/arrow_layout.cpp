#include "encode/arrow_layout.hpp"

#include <array>
#include <charconv>
#include <cstring>

#include "core/error.hpp"

namespace strandline::encode {
namespace {

[[noreturn]] void unsupported(const ArrowSchema& schema) {
  throw core::Error{core::ErrorCode::ConfigError,
                    "column \"" + std::string{schema.name == nullptr ? "" : schema.name} +
                        "\": the Arrow type with format \"" + schema.format +
                        "\" is not supported (durations, intervals, unions, run-end encoding and list views "
                        "are not); cast or drop the column before handing it over"};
}

// The schema's metadata: int32 count, then per entry int32 length and bytes of key and value, in native byte order.
std::string extension_name(const char* metadata) {
  if (metadata == nullptr) return {};
  const auto length = [&metadata] {
    std::int32_t value;
    std::memcpy(&value, metadata, sizeof value);
    metadata += sizeof value;
    return value;
  };
  const auto text = [&metadata, &length] {
    const auto size = static_cast<std::size_t>(length());
    const std::string_view view{metadata, size};
    metadata += size;
    return view;
  };
  for (std::int32_t left = length(); left > 0; --left) {
    const std::string_view key = text();
    const std::string_view value = text();
    if (key == "ARROW:extension:name") return std::string{value};
  }
  return {};
}

std::int32_t number(std::string_view text, const ArrowSchema& schema) {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) unsupported(schema);
  return value;
}

std::int64_t units_per_second(char unit, const ArrowSchema& schema) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 1000;
    case 'u':
      return 1000000;
    case 'n':
      return 1000000000;
    default:
      unsupported(schema);
  }
}

void read_integer(Layout& layout, char format) {
  constexpr std::string_view formats = "cCsSiIlL";
  const auto position = static_cast<unsigned>(formats.find(format));
  layout.storage = position % 2 == 0 ? Storage::Int : Storage::Uint;
  layout.width = 1 << (position / 2);
}

void read_decimal(Layout& layout, std::string_view parameters, const ArrowSchema& schema) {
  const std::size_t comma = parameters.find(',');
  if (comma == std::string_view::npos) unsupported(schema);
  std::string_view scale = parameters.substr(comma + 1);
  std::int32_t bits = 128;
  if (const std::size_t second = scale.find(','); second != std::string_view::npos) {
    bits = number(scale.substr(second + 1), schema);
    scale = scale.substr(0, second);
  }
  layout.storage = Storage::Decimal;
  layout.scale = number(scale, schema);
  layout.width = bits / 8;
  if (bits != 32 && bits != 64 && bits != 128 && bits != 256) unsupported(schema);
}

void read_temporal(Layout& layout, std::string_view format, const ArrowSchema& schema) {
  if (format == "tdD" || format == "tdm") {
    layout.storage = Storage::Date;
    layout.width = format == "tdD" ? 4 : 8;
  } else if (format.size() == 3 && format[1] == 't') {
    layout.storage = Storage::Time;
    layout.units = units_per_second(format[2], schema);
    layout.width = layout.units <= 1000 ? 4 : 8;
  } else if (format.size() >= 4 && format[1] == 's' && format[3] == ':') {
    layout.storage = Storage::Timestamp;
    layout.units = units_per_second(format[2], schema);
    layout.zone = format.size() > 4;
    layout.width = 8;
  } else {
    unsupported(schema);
  }
}

void read_children(Layout& layout, const ArrowSchema& schema) {
  layout.children.reserve(static_cast<std::size_t>(schema.n_children));
  for (std::int64_t i = 0; i < schema.n_children; ++i) layout.children.push_back(read_layout(*schema.children[i]));
}

void read_nested(Layout& layout, std::string_view format, const ArrowSchema& schema) {
  if (format == "+s") {
    layout.storage = Storage::Struct;
  } else if (format == "+l" || format == "+L") {
    layout.storage = Storage::List;
    layout.offsets = format == "+l" ? Offsets::Small : Offsets::Large;
  } else if (format == "+m") {
    layout.storage = Storage::Map;
  } else if (format.substr(0, 3) == "+w:") {
    layout.storage = Storage::FixedList;
    layout.width = number(format.substr(3), schema);
  } else {
    unsupported(schema);
  }
  read_children(layout, schema);
}

Layout read_plain(const ArrowSchema& schema) {
  Layout layout;
  const std::string_view format{schema.format};
  const char first = format.empty() ? '\0' : format.front();
  if (format.size() == 1 && std::strchr("cCsSiIlL", first) != nullptr) {
    read_integer(layout, first);
  } else if (format == "n") {
    layout.storage = Storage::Null;
  } else if (format == "b") {
    layout.storage = Storage::Bool;
  } else if (format == "e" || format == "f" || format == "g") {
    layout.storage = Storage::Float;
    layout.width = first == 'e' ? 2 : first == 'f' ? 4 : 8;
  } else if (format == "u" || format == "U" || format == "vu") {
    layout.storage = Storage::Text;
    layout.offsets = first == 'u' ? Offsets::Small : first == 'U' ? Offsets::Large : Offsets::Views;
  } else if (format == "z" || format == "Z" || format == "vz") {
    layout.storage = Storage::Binary;
    layout.offsets = first == 'z' ? Offsets::Small : first == 'Z' ? Offsets::Large : Offsets::Views;
  } else if (format.substr(0, 2) == "w:") {
    layout.storage = Storage::FixedBinary;
    layout.width = number(format.substr(2), schema);
  } else if (format.substr(0, 2) == "d:") {
    read_decimal(layout, format.substr(2), schema);
  } else if (first == 't') {
    read_temporal(layout, format, schema);
  } else if (first == '+') {
    read_nested(layout, format, schema);
  } else {
    unsupported(schema);
  }
  return layout;
}

// Validity and, where there are any, values or offsets, and data. Views end in a buffer of sizes; null has none at all.
std::int64_t fewest_buffers(const Layout& layout) noexcept {
  if (layout.dictionary) return 2;
  switch (layout.storage) {
    case Storage::Null:
      return 0;
    case Storage::Struct:
    case Storage::FixedList:
      return 1;
    case Storage::Text:
    case Storage::Binary:
      return 3;
    default:
      return 2;
  }
}

}  // namespace

Layout read_layout(const ArrowSchema& schema) {
  Layout layout;
  if (schema.dictionary != nullptr) {
    Layout index = read_plain(schema);
    if (index.storage != Storage::Int && index.storage != Storage::Uint) unsupported(schema);
    layout = read_layout(*schema.dictionary);
    if (layout.dictionary) unsupported(schema);
    layout.dictionary = true;
    layout.index_width = index.width;
    layout.index_signed = index.storage == Storage::Int;
  } else {
    layout = read_plain(schema);
  }
  layout.name = schema.name == nullptr ? "" : schema.name;
  layout.nullable = (schema.flags & ARROW_FLAG_NULLABLE) != 0;
  if (std::string extension = extension_name(schema.metadata); !extension.empty())
    layout.extension = std::move(extension);
  return layout;
}

std::string_view sql_type(const Layout& layout) noexcept {
  switch (layout.storage) {
    case Storage::Null:
      return {};
    case Storage::Bool:
      return "boolean";
    case Storage::Int:
      return layout.width <= 2 ? "smallint" : layout.width == 4 ? "integer" : "bigint";
    case Storage::Uint:
      // bigint has no room for the upper half of uint64, which hashes use; the type is chosen before any value is seen.
      return layout.width == 1 ? "smallint" : layout.width == 2 ? "integer" : layout.width == 4 ? "bigint" : "numeric";
    case Storage::Float:
      return layout.width <= 4 ? "real" : "double precision";
    case Storage::Decimal:
      return "numeric";
    case Storage::Text:
      return layout.extension == "arrow.json" ? "jsonb" : "text";
    case Storage::Binary:
      return "bytea";
    case Storage::FixedBinary:
      return layout.extension == "arrow.uuid" && layout.width == 16 ? "uuid" : "bytea";
    case Storage::Date:
      return "date";
    case Storage::Time:
      return "time without time zone";
    case Storage::Timestamp:
      return layout.zone ? "timestamp with time zone" : "timestamp without time zone";
    case Storage::List:
    case Storage::FixedList:
    case Storage::Struct:
    case Storage::Map:
      break;
  }
  return "jsonb";
}

View bind(const Layout& layout, const ArrowArray& array) {
  const bool nested = !layout.dictionary && !layout.children.empty();
  const bool shaped = array.length >= 0 && array.offset >= 0 && array.n_buffers >= fewest_buffers(layout) &&
                      (!nested || array.n_children == static_cast<std::int64_t>(layout.children.size())) &&
                      layout.dictionary == (array.dictionary != nullptr);
  if (!shaped) {
    throw core::Error{core::ErrorCode::DataError, "column \"" + layout.name +
                                                      "\": an Arrow batch does not have the shape that its schema "
                                                      "describes; the producer is broken or the stream was cut"};
  }
  View view;
  view.layout = &layout;
  view.offset = array.offset;
  view.buffers = array.buffers;
  if (array.null_count != 0 && array.n_buffers > 0) view.validity = static_cast<const std::uint8_t*>(array.buffers[0]);
  if (layout.dictionary) {
    // The layout describes the values; under it the values are bound as a plain array.
    view.values = std::make_unique<View>();
    view.values->layout = &layout;
    view.values->offset = array.dictionary->offset;
    view.values->buffers = array.dictionary->buffers;
    if (array.dictionary->null_count != 0 && array.dictionary->n_buffers > 0) {
      view.values->validity = static_cast<const std::uint8_t*>(array.dictionary->buffers[0]);
    }
  }
  const ArrowArray& parent = layout.dictionary ? *array.dictionary : array;
  View& holder = layout.dictionary ? *view.values : view;
  for (std::size_t i = 0; i < layout.children.size(); ++i) {
    holder.children.push_back(bind(layout.children[i], *parent.children[i]));
  }
  return view;
}

}  // namespace strandline::encode
