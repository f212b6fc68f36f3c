// Arrow values of any shape as JSON text, for json and jsonb columns.

#include <cmath>
#include <cstring>

#include "core/json_string.hpp"
#include "core/number.hpp"
#include "encode/arrow_cell.hpp"
#include "encode/field.hpp"
#include "encode/temporal.hpp"

namespace strandline::encode {
namespace {

using core::TextBuffer;

void write_text(TextBuffer& out, std::string_view text) {
  if (!text.empty() && std::memchr(text.data(), '\0', text.size()) != nullptr) {
    throw Misfit{"the nested value holds a NUL character (U+0000), which jsonb cannot store; remove it at the source"};
  }
  if (core::append_json_string(out, text) == core::StringForm::Invalid) {
    throw Misfit{"the nested value holds text that is not UTF-8; decode it properly at the source"};
  }
}

void write_number(TextBuffer& out, double value) {
  if (!std::isfinite(value)) {
    throw Misfit{"the nested value holds NaN or an infinity, which JSON has no form for; send null instead"};
  }
  out.advance_to(core::write_double(out.reserve(core::kDoubleSize), value));
}

void write_integer(TextBuffer& out, const View& view, std::int64_t index) {
  const std::int64_t value = view.integer(index);
  if (view.layout->storage == Storage::Uint && value < 0) {
    out.append(std::to_string(static_cast<std::uint64_t>(value)));
  } else {
    out.advance_to(core::write_integer(out.reserve(core::kIntegerSize), value));
  }
}

void write_uuid(TextBuffer& out, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  out.append('"');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.append('-');
    const auto byte = static_cast<unsigned char>(bytes[i]);
    out.append(digits[byte >> 4U]);
    out.append(digits[byte & 15U]);
  }
  out.append('"');
}

void write_items(TextBuffer& out, const View& view, std::int64_t index) {
  const auto [first, last] = view.items(index);
  out.append('[');
  for (std::int64_t item = first; item < last; ++item) {
    if (item != first) out.append(',');
    write_json(out, view.children[0], item);
  }
  out.append(']');
}

void write_struct(TextBuffer& out, const View& view, std::int64_t index) {
  out.append('{');
  for (std::size_t i = 0; i < view.children.size(); ++i) {
    if (i != 0) out.append(',');
    write_text(out, view.layout->children[i].name);
    out.append(':');
    write_json(out, view.children[i], index + view.offset);
  }
  out.append('}');
}

void write_map(TextBuffer& out, const View& view, std::int64_t index) {
  const View& entries = view.children[0];
  const View& keys = entries.children[0];
  if (keys.layout->storage != Storage::Text)
    throw Misfit{"the map's keys are no text, as JSON needs them; cast them at the source"};
  const auto [first, last] = view.items(index);
  out.append('{');
  for (std::int64_t item = first; item < last; ++item) {
    if (item != first) out.append(',');
    const std::int64_t entry = item + entries.offset;
    const View& texts = keys.values != nullptr ? *keys.values : keys;
    write_text(out, texts.bytes(keys.values != nullptr ? keys.key(entry) : entry));
    out.append(':');
    write_json(out, entries.children[1], entry);
  }
  out.append('}');
}

void write_quoted(TextBuffer& out, const std::string& text) {
  out.append('"');
  out.append(text);
  out.append('"');
}

}  // namespace

void write_json(TextBuffer& out, const View& view, std::int64_t index) {
  if (view.is_null(index)) {
    out.append(std::string_view{"null"});
    return;
  }
  if (view.values != nullptr) {
    write_json(out, *view.values, view.key(index));
    return;
  }
  switch (view.layout->storage) {
    case Storage::Null:
      break;  // is_null said so
    case Storage::Bool:
      out.append(view.boolean(index) ? std::string_view{"true"} : std::string_view{"false"});
      break;
    case Storage::Int:
    case Storage::Uint:
      write_integer(out, view, index);
      break;
    case Storage::Float:
      write_number(out, view.floating(index));
      break;
    case Storage::Decimal:
      out.append(view.decimal(index));
      break;
    case Storage::Text:
      write_text(out, view.bytes(index));
      break;
    case Storage::FixedBinary:
      if (view.layout->extension == "arrow.uuid" && view.layout->width == 16) {
        write_uuid(out, view.bytes(index));
        break;
      }
      [[fallthrough]];
    case Storage::Binary:
      throw Misfit{"the nested value holds bytes, which JSON has no form for; send base64 text"};
    case Storage::Date:
      write_quoted(out, date_text(view.days(index)));
      break;
    case Storage::Time:
      write_quoted(out, time_text(view.micros(index)));
      break;
    case Storage::Timestamp:
      write_quoted(out, timestamp_text(view.micros(index)) + (view.layout->zone ? "Z" : ""));
      break;
    case Storage::List:
    case Storage::FixedList:
      write_items(out, view, index);
      break;
    case Storage::Struct:
      write_struct(out, view, index);
      break;
    case Storage::Map:
      write_map(out, view, index);
      break;
  }
}

}  // namespace strandline::encode
