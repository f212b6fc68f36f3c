#pragma once
// Parameters of a statement, in PostgreSQL's text form. They travel beside the SQL, never inside it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"

namespace strandline::pg {

// "\x0123.." for a bytea.
[[nodiscard]] std::string bytea(std::string_view bytes);
[[nodiscard]] inline std::string bytea(const core::Digest& digest) {
  return bytea({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

class Params {
 public:
  // Each argument becomes one parameter, in order.
  template <class... Values>
  explicit Params(const Values&... values) {
    values_.reserve(sizeof...(values));
    (add(values), ...);
  }

  void add(std::nullopt_t) { values_.emplace_back(std::nullopt); }
  void add(bool value) { values_.emplace_back(value ? "t" : "f"); }
  void add(int value) { values_.emplace_back(std::to_string(value)); }
  void add(std::int64_t value) { values_.emplace_back(std::to_string(value)); }
  void add(std::size_t value) { values_.emplace_back(std::to_string(value)); }
  void add(double value);
  void add(const char* text) { values_.emplace_back(std::string{text}); }
  // Throws ConfigError for a NUL character, at which libpq would end the text.
  void add(std::string_view text);
  void add(const std::string& text) { add(std::string_view{text}); }
  void add(const core::Digest& digest) { values_.emplace_back(bytea(digest)); }
  template <class Value>
  void add(const std::optional<Value>& value) {
    if (value) {
      add(*value);
    } else {
      add(std::nullopt);
    }
  }
  // Arrays: integers, digests, and texts in which nothing is NULL's.
  void add(const std::vector<std::int64_t>& values);
  void add(const std::vector<core::Digest>& values);
  void add(const std::vector<std::string>& values);
  void add(const std::vector<std::optional<std::string>>& values);

  [[nodiscard]] const std::vector<std::optional<std::string>>& values() const noexcept { return values_; }

 private:
  std::vector<std::optional<std::string>> values_;
};

}  // namespace strandline::pg
