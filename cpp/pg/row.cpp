#include "pg/row.hpp"

namespace strandline::pg {

std::vector<std::optional<std::string>> elements(std::string_view literal) {
  std::vector<std::optional<std::string>> out;
  if (literal.size() < 3) return out;
  std::string element;
  bool inside = false;
  bool quoted = false;
  const auto finish = [&] {
    // NULL is the word without quotes.
    if (!quoted && element == "NULL") {
      out.emplace_back(std::nullopt);
    } else {
      out.emplace_back(std::move(element));
    }
    element.clear();
    quoted = false;
  };
  for (std::size_t i = 1; i + 1 < literal.size(); ++i) {
    const char c = literal[i];
    if (c == '\\') {
      element += literal[++i];
    } else if (c == '"') {
      inside = !inside;
      quoted = true;
    } else if (c == ',' && !inside) {
      finish();
    } else {
      element += c;
    }
  }
  finish();
  return out;
}

std::vector<std::string> texts(const pqxx::row& row, const char* column) {
  std::vector<std::string> out;
  for (auto& element : elements(row[column].c_str())) {
    if (element) out.push_back(std::move(*element));
  }
  return out;
}

}  // namespace strandline::pg
