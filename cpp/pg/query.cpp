#include "pg/query.hpp"

#include <algorithm>
#include <cstddef>

#include "core/error.hpp"
#include "generated/migrations_table.hpp"
#include "generated/queries_table.hpp"

namespace strandline::pg {

const Query& query(std::string_view name) {
  const core::Listing<Query> all = queries();
  const auto* found = std::lower_bound(all.begin(), all.end(), name,
                                       [](const Query& each, std::string_view wanted) { return each.name < wanted; });
  if (found == all.end() || found->name != name) {
    throw core::Error{core::ErrorCode::Error, "no query named '" + std::string{name} + "' in sql/queries"};
  }
  return *found;
}

core::Listing<Query> queries() noexcept { return generated::queries; }

core::Listing<Migration> migrations() noexcept { return generated::migrations; }

namespace {

std::size_t marker_count(std::string_view markers) {
  return markers.empty() ? 0 : 1 + static_cast<std::size_t>(std::count(markers.begin(), markers.end(), ' '));
}

bool has_marker(std::string_view markers, std::string_view name) {
  const std::string padded = " " + std::string{markers} + " ";
  return padded.find(" " + std::string{name} + " ") != std::string::npos;
}

}  // namespace

std::string fill(const Query& query, std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
  const bool known = std::all_of(values.begin(), values.end(),
                                 [&query](const auto& value) { return has_marker(query.markers, value.first); });
  if (!known || values.size() != marker_count(query.markers)) {
    throw core::Error{core::ErrorCode::Error,
                      "query '" + std::string{query.name} +
                          "' needs values for exactly these markers: " + std::string{query.markers}};
  }
  // One pass over the template: a value that itself spells a marker must not be replaced again.
  std::string text;
  std::string_view rest = query.text;
  while (!rest.empty()) {
    const auto* next = values.end();
    std::size_t at = rest.size();
    for (const auto* value = values.begin(); value != values.end(); ++value) {
      const std::size_t found = rest.find("{" + std::string{value->first} + "}");
      if (found < at) {
        at = found;
        next = value;
      }
    }
    text.append(rest.substr(0, at));
    rest.remove_prefix(at);
    if (next != values.end()) {
      text.append(next->second);
      rest.remove_prefix(next->first.size() + 2);
    }
  }
  return text;
}

}  // namespace strandline::pg
