#include "pg/row.hpp"

namespace strandline::pg {

std::vector<std::string> texts(const pqxx::row& row, const char* column) {
  std::vector<std::string> out;
  const std::string literal = row[column].c_str();
  if (literal.size() < 3) return out;
  std::string element;
  bool inside = false;
  for (std::size_t i = 1; i + 1 < literal.size(); ++i) {
    const char c = literal[i];
    if (c == '\\') {
      element += literal[++i];
    } else if (c == '"') {
      inside = !inside;
    } else if (c == ',' && !inside) {
      out.push_back(std::move(element));
      element.clear();
    } else {
      element += c;
    }
  }
  out.push_back(std::move(element));
  return out;
}

}  // namespace strandline::pg
