#include "pg/params.hpp"

#include "core/error.hpp"

#include <array>
#include <charconv>

namespace strandline::pg {
namespace {

// An element of an array literal, always quoted, so that no text can mean NULL or end the element.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

template <class Values, class Append>
std::string array(const Values& values, Append append) {
  std::string out = "{";
  for (const auto& value : values) {
    if (out.size() > 1) out += ',';
    append(out, value);
  }
  out += '}';
  return out;
}

}  // namespace

std::string bytea(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "\\x";
  out.reserve(2 + 2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4U];
    out += digits[byte & 0xFU];
  }
  return out;
}

void Params::add(std::string_view text) {
  if (text.find('\0') != std::string_view::npos)
    throw core::Error{core::ErrorCode::ConfigError, "a text holds a NUL character, which PostgreSQL cannot store"};
  values_.emplace_back(std::string{text});
}

void Params::add(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  values_.emplace_back(std::string{text.data(), end});
}

void Params::add(const std::vector<std::int64_t>& values) {
  values_.emplace_back(array(values, [](std::string& out, std::int64_t value) {
    std::array<char, 24> text{};
    out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  }));
}

void Params::add(const std::vector<core::Digest>& values) {
  values_.emplace_back(
      array(values, [](std::string& out, const core::Digest& value) { append_quoted(out, bytea(value)); }));
}

void Params::add(const std::vector<std::string>& values) {
  values_.emplace_back(array(values, [](std::string& out, const std::string& value) { append_quoted(out, value); }));
}

void Params::add(const std::vector<std::optional<std::string>>& values) {
  values_.emplace_back(array(values, [](std::string& out, const std::optional<std::string>& value) {
    if (value) {
      append_quoted(out, *value);
    } else {
      out += "NULL";
    }
  }));
}

}  // namespace strandline::pg
