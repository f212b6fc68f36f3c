#include "encode/column.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

#include "core/error.hpp"

namespace strandline::encode {
namespace {

struct Name {
  std::string_view text;
  Type type;
};

// The first name of each type is the one that format_type prints.
constexpr std::array names{
    Name{"boolean", Type::Bool},
    Name{"bool", Type::Bool},
    Name{"smallint", Type::Int2},
    Name{"int2", Type::Int2},
    Name{"integer", Type::Int4},
    Name{"int", Type::Int4},
    Name{"int4", Type::Int4},
    Name{"bigint", Type::Int8},
    Name{"int8", Type::Int8},
    Name{"real", Type::Float4},
    Name{"float4", Type::Float4},
    Name{"double precision", Type::Float8},
    Name{"float8", Type::Float8},
    Name{"float", Type::Float8},
    Name{"double", Type::Float8},
    Name{"numeric", Type::Numeric},
    Name{"decimal", Type::Numeric},
    Name{"text", Type::Text},
    Name{"character varying", Type::Text},
    Name{"varchar", Type::Text},
    Name{"character", Type::Text},
    Name{"char", Type::Text},
    Name{"bpchar", Type::Text},
    Name{"bytea", Type::Bytea},
    Name{"date", Type::Date},
    Name{"time without time zone", Type::Time},
    Name{"time", Type::Time},
    Name{"timestamp without time zone", Type::Timestamp},
    Name{"timestamp", Type::Timestamp},
    Name{"timestamp with time zone", Type::TimestampTz},
    Name{"timestamptz", Type::TimestampTz},
    Name{"uuid", Type::Uuid},
    Name{"json", Type::Json},
    Name{"jsonb", Type::Jsonb},
};

// A type name taken apart: "CHARACTER  Varying (12)" is {"character varying", "12"}.
struct Parts {
  std::string base;
  std::string modifier;
  bool has_modifier = false;
};

Parts take_apart(std::string_view sql_type) {
  Parts parts;
  bool inside = false;
  for (const char c : sql_type) {
    if (c == '(' && !parts.has_modifier) {
      inside = parts.has_modifier = true;
    } else if (c == ')' && inside) {
      inside = false;
    } else if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      if (!inside && !parts.base.empty() && parts.base.back() != ' ') parts.base.push_back(' ');
    } else if (inside) {
      parts.modifier.push_back(c);
    } else {
      parts.base.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    }
  }
  if (inside) parts.base.clear();  // an unclosed parenthesis is no type
  while (!parts.base.empty() && parts.base.back() == ' ') parts.base.pop_back();
  return parts;
}

[[noreturn]] void unsupported(std::string_view sql_type, const std::string& where) {
  std::string list;
  const Name* previous = nullptr;
  for (const Name& name : names) {
    if (previous == nullptr || previous->type != name.type) list.append(list.empty() ? "" : ", ").append(name.text);
    previous = &name;
  }
  throw core::Error{
      core::ErrorCode::ConfigError,
      where + "SQL type '" + std::string{sql_type} + "' is not supported; use one of: " + list +
          ", with their usual modifiers (numeric(10,2), character varying(12), timestamp(3) with time zone)"};
}

bool is_number(std::string_view text, int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// numeric takes (precision) or (precision,scale), the other types one whole number; most take none.
bool fits(Type type, std::string_view base, std::string_view modifier, int& first) {
  if (type == Type::Numeric) {
    const std::size_t comma = modifier.find(',');
    int scale = 0;
    if (comma != std::string_view::npos && !is_number(modifier.substr(comma + 1), scale)) return false;
    return is_number(modifier.substr(0, comma), first) && first > 0;
  }
  const bool takes_length = type == Type::Text && base != "text";
  const bool takes_precision = type == Type::Time || type == Type::Timestamp || type == Type::TimestampTz;
  if (!takes_length && !takes_precision) return false;
  return is_number(modifier, first) && (takes_length ? first > 0 : first >= 0 && first <= 6);
}

// The spelling of format_type, so that a declared type and one that the catalog tells compare as text.
std::string spelled(Type type, const Parts& parts) {
  const std::string modifier = parts.has_modifier ? "(" + parts.modifier + ")" : "";
  if (type == Type::Text) {
    if (parts.base == "text" || parts.base == "bpchar") return parts.base + modifier;
    if (parts.base == "char" || parts.base == "character") return "character" + (modifier.empty() ? "(1)" : modifier);
    return "character varying" + modifier;
  }
  std::string name{type_name(type)};
  if (type == Type::Numeric && parts.has_modifier && parts.modifier.find(',') == std::string::npos) {
    return name + "(" + parts.modifier + ",0)";
  }
  return name.insert(std::min(name.find(' '), name.size()), modifier);  // timestamp(3) with time zone
}

Column parse(std::string name, std::string_view sql_type, bool required, const std::string& where) {
  const Parts parts = take_apart(sql_type);
  for (const Name& candidate : names) {
    if (candidate.text != parts.base) continue;
    int first = 0;
    if (parts.has_modifier && !fits(candidate.type, parts.base, parts.modifier, first)) unsupported(sql_type, where);
    Column column{std::move(name), candidate.type, spelled(candidate.type, parts), required};
    if (candidate.type == Type::Text) {
      column.max_length = first;
      // SQL reads a bare character as character(1); bpchar and varchar without a length have no limit.
      if (!parts.has_modifier && (parts.base == "character" || parts.base == "char")) column.max_length = 1;
    }
    return column;
  }
  unsupported(sql_type, where);
}

}  // namespace

Column make_column(std::string name, std::string_view sql_type, bool required) {
  const std::string where = "column \"" + name + "\": ";
  return parse(std::move(name), sql_type, required, where);
}

Type parse_type(std::string_view sql_type) { return parse({}, sql_type, false, {}).type; }

std::string_view type_name(Type type) noexcept {
  for (const Name& name : names) {
    if (name.type == type) return name.text;
  }
  return "unknown";
}

}  // namespace strandline::encode
