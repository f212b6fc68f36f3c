#pragma once
// The named queries of sql/queries and the migrations of sql/migrations, embedded when the module is built. No SQL text
// stands in C++: a statement is looked up by name, so that its reasons are read beside it and a test can check them all.

#include <map>
#include <string>
#include <string_view>

#include "core/states.hpp"

namespace strandline::pg {

struct Query {
  std::string_view name;         // noun.verb
  std::string_view description;  // what it does and what its parameters are
  std::string_view text;         // one statement without its semicolon; begins with the name as a comment
  int parameters;                // the highest $n; each of $1 .. $n is used
  std::string_view markers;      // names of its {places} for identifiers, separated by spaces, sorted; mostly empty

  [[nodiscard]] constexpr bool templated() const noexcept { return !markers.empty(); }
};

struct Migration {
  int version;  // 1, 2, 3 ...
  std::string_view title;
  std::string_view text;      // the whole file; may hold many statements
  std::string_view checksum;  // SHA-256 of the file in lower-case hex
};

// Finds a query by its name. Throws core::Error for a name that is not there.
[[nodiscard]] const Query& query(std::string_view name);

// Every query, sorted by name.
[[nodiscard]] core::Listing<Query> queries() noexcept;

// Every migration, by version.
[[nodiscard]] core::Listing<Migration> migrations() noexcept;

using Markers = std::map<std::string_view, std::string>;

// The text of a query with its markers replaced, e.g. fill(query("stage.append"), {{"target", "\"public\".\"flights\""}});
// `text` is the query's own where none is given. The values must be quoted already; they are not looked at. Throws core::Error
// unless exactly its markers are given.
[[nodiscard]] std::string fill(const Query& query, const Markers& values);
[[nodiscard]] std::string fill(const Query& query, std::string_view text, const Markers& values);

}  // namespace strandline::pg
