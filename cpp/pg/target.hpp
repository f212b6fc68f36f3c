#pragma once
// Target tables: their shape, and the statements that bring rows into them inside the ledger's transaction.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "encode/column.hpp"
#include "encode/page.hpp"
#include "pg/session.hpp"

namespace strandline::pg {

struct Target {
  std::string schema;
  std::string table;
  bool merge = false;
  std::vector<std::string> primary_key;
  std::optional<std::string> cursor_field;

  [[nodiscard]] std::string quoted_name() const { return quote_identifier(schema) + '.' + quote_identifier(table); }
  [[nodiscard]] std::string name() const { return schema + '.' + table; }
};

struct TableColumn {
  std::string name;
  std::string type;  // as format_type prints it
  bool required = false;
};

// The columns of a table, lineage columns included; nothing for no such table.
[[nodiscard]] std::optional<std::vector<TableColumn>> describe_target(Transaction& transaction,
                                                                      const std::string& schema,
                                                                      const std::string& table);

// The batches that wrote the rows of a table whose columns have these values, given as text that PostgreSQL reads as the
// columns' types. Throws ConfigError for a table or column that is not there, and for a table that strandline did not write.
[[nodiscard]] std::vector<std::int64_t> batches_of(Transaction& transaction, const std::string& schema,
                                                   const std::string& table, const std::vector<std::string>& columns,
                                                   const std::vector<std::string>& values);

// Makes the table or adds the columns that it lacks, the lineage columns among them, in a transaction of its own. Returns the
// statements; with `dry_run` nothing is run. Throws Conflict where the table is not one, or a column has another type.
std::vector<std::string> ensure_target(Session& session, const Target& target,
                                       const std::vector<encode::Column>& columns, bool dry_run = false);

// What a page did to its target.
struct Counts {
  std::int64_t records = 0;
  std::int64_t inserted = 0;
  std::int64_t updated = 0;
  std::int64_t unchanged = 0;
  std::int64_t deleted = 0;
};

struct TargetPage {
  const encode::EncodedPage* rows = nullptr;     // null for none
  const encode::EncodedPage* deleted = nullptr;  // primary keys that are gone at the source; null for none
};

// Brings the pages into the target under their batch ids, and says what each did. The same order as given: a key that one
// page removes and a later one brings back is there in the end.
[[nodiscard]] std::vector<Counts> write_pages(Transaction& transaction, const Target& target, std::int64_t generation,
                                              const std::vector<TargetPage>& pages,
                                              const std::vector<std::int64_t>& batch_ids);

}  // namespace strandline::pg
