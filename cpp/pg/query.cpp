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

std::string fill(const Query& query, const Markers& values) { return fill(query, query.text, values); }

std::string fill(const Query& query, std::string_view text, const Markers& values) {
  const bool known = std::all_of(values.begin(), values.end(),
                                 [&query](const auto& value) { return has_marker(query.markers, value.first); });
  if (!known || values.size() != marker_count(query.markers)) {
    throw core::Error{core::ErrorCode::Error,
                      "query '" + std::string{query.name} +
                          "' needs values for exactly these markers: " + std::string{query.markers}};
  }
  // One pass over the template: a value that itself spells a marker must not be replaced again.
  std::string out;
  std::size_t from = 0;
  for (auto open = text.find('{'); open != std::string_view::npos; open = text.find('{', open)) {
    const auto close = text.find('}', open);
    const auto value =
        close == std::string_view::npos ? values.end() : values.find(text.substr(open + 1, close - open - 1));
    if (value == values.end()) {  // a brace inside a literal
      ++open;
      continue;
    }
    out.append(text, from, open - from).append(value->second);
    from = open = close + 1;
  }
  return out.append(text.substr(from));
}

}  // namespace strandline::pg
