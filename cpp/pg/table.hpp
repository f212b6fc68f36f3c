#pragma once
// A result as plain values: what leaves this layer.

#include <optional>
#include <string>
#include <vector>

#include "pg/session.hpp"

namespace strandline::pg {

struct Table {
  struct Column {
    std::string name;
    unsigned type;  // PostgreSQL's oid
  };
  using Row = std::vector<std::optional<std::string>>;  // in PostgreSQL's text form; nothing for NULL

  std::vector<Column> columns;
  std::vector<Row> rows;
};

// A named query, in a transaction of its own that is repeated when it may be.
[[nodiscard]] Table fetch(Session& session, const std::string& query, const Params& params);

// A question of the user's, in a read-only transaction.
[[nodiscard]] Table select(Session& session, const std::string& sql, const Params& params);

}  // namespace strandline::pg
