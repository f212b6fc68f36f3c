#pragma once
// Typed access to the columns of a result, the same on every libpqxx.

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"

namespace strandline::pg {

[[nodiscard]] inline std::string text(const pqxx::row& row, const char* column) { return row[column].c_str(); }

[[nodiscard]] inline std::optional<std::string> maybe_text(const pqxx::row& row, const char* column) {
  if (row[column].is_null()) return std::nullopt;
  return text(row, column);
}

[[nodiscard]] inline std::int64_t integer(const pqxx::row& row, const char* column) {
  return std::strtoll(row[column].c_str(), nullptr, 10);
}

[[nodiscard]] inline std::optional<std::int64_t> maybe_integer(const pqxx::row& row, const char* column) {
  if (row[column].is_null()) return std::nullopt;
  return integer(row, column);
}

[[nodiscard]] inline bool boolean(const pqxx::row& row, const char* column) { return row[column].c_str()[0] == 't'; }

// A digest column; nothing for NULL. The ledger stores 32 bytes, so anything else is NULL here.
[[nodiscard]] inline std::optional<core::Digest> digest(const pqxx::row& row, const char* column) {
  if (row[column].is_null() || row[column].size() != 66) return std::nullopt;
  return core::from_hex(row[column].c_str() + 2);
}

// A bigint[] column.
[[nodiscard]] inline std::vector<std::int64_t> integers(const pqxx::row& row, const char* column) {
  std::vector<std::int64_t> out;
  const char* at = row[column].c_str();
  while (*at == '{' || *at == ',') {
    char* end = nullptr;
    const std::int64_t value = std::strtoll(at + 1, &end, 10);
    if (end == at + 1) break;
    out.push_back(value);
    at = end;
  }
  return out;
}

// The elements of a one-dimensional array as PostgreSQL prints it: nothing for NULL.
[[nodiscard]] std::vector<std::optional<std::string>> elements(std::string_view literal);

// A text[] column, without its NULL elements.
[[nodiscard]] std::vector<std::string> texts(const pqxx::row& row, const char* column);

}  // namespace strandline::pg
