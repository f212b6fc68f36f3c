#include "pg/target.hpp"

#include <algorithm>

#include "encode/copy_writer.hpp"
#include "pg/failpoint.hpp"
#include "pg/row.hpp"

namespace strandline::pg {
namespace {

constexpr std::string_view batch_column = encode::CopyWriter::batch_column;
constexpr std::string_view generation_column = encode::CopyWriter::generation_column;

template <class Items, class Text>
std::string joined(const Items& items, const char* separator, Text text) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += separator;
    out += text(item);
  }
  return out;
}

std::vector<std::string> with_lineage(std::vector<std::string> names) {
  names.emplace_back(batch_column);
  names.emplace_back(generation_column);
  return names;
}

std::string list(const std::vector<std::string>& names) {
  return joined(names, ", ", [](const std::string& name) { return quote_identifier(name); });
}

bool is_key(const Target& target, const std::string& name) {
  return std::find(target.primary_key.begin(), target.primary_key.end(), name) != target.primary_key.end();
}

std::vector<TableColumn> shape(const Target& target, const std::vector<encode::Column>& columns) {
  std::vector<TableColumn> out;
  // NOT NULL stands on keys only: what is required of a row is checked where the row is, with its page and number.
  for (const auto& column : columns) out.push_back({column.name, column.sql_type, is_key(target, column.name)});
  out.push_back({std::string{batch_column}, "bigint", false});
  out.push_back({std::string{generation_column}, "bigint", false});
  return out;
}

std::string defined(const TableColumn& column) {
  return quote_identifier(column.name) + ' ' + column.type + (column.required ? " not null" : "");
}

struct Statement {
  std::string_view name;
  Markers markers;
};

std::vector<Statement> statements(Transaction& transaction, const Target& target,
                                  const std::vector<encode::Column>& columns) {
  std::vector<Statement> out;
  const auto wanted = shape(target, columns);
  const auto there = describe_target(transaction, target.schema, target.table);
  if (!there) {
    if (!boolean(transaction.run("target.schema_exists", Params{target.schema})[0], "known"))
      out.push_back({"target.schema", {{"schema", quote_identifier(target.schema)}}});
    std::string body = joined(wanted, ", ", defined);
    if (!target.primary_key.empty()) body += ", primary key (" + list(target.primary_key) + ")";
    out.push_back({"target.create", {{"target", target.quoted_name()}, {"columns", body}}});
    return out;
  }
  for (const auto& column : wanted) {
    const auto found =
        std::find_if(there->begin(), there->end(), [&](const auto& other) { return other.name == column.name; });
    if (found == there->end()) {
      out.push_back(
          {"target.add_column",
           {{"target", target.quoted_name()}, {"column", quote_identifier(column.name)}, {"type", column.type}}});
    } else if (found->type != column.type) {
      throw core::Error{core::ErrorCode::Conflict, "column \"" + column.name + "\" of " + target.name() + " is " +
                                                       found->type + ", and the rows bring " + column.type +
                                                       "; declare the column as " + found->type +
                                                       " in the schema, or load into another table"};
    }
  }
  return out;
}

// Sends pages [from, to) into `table` by COPY.
std::int64_t copy_rows(Transaction& transaction, const std::string& table, const std::vector<std::string>& names,
                       std::int64_t generation, const std::vector<TargetPage>& pages,
                       const encode::EncodedPage* TargetPage::* part, const std::vector<std::int64_t>& ids,
                       std::size_t from, std::size_t to) {
  return transaction.copy("target.copy", {{"target", table}, {"columns", list(with_lineage(names))}},
                          [&](const Transaction::Sink& sink) {
                            encode::CopyWriter writer{names, [&](const char* data, std::size_t size) {
                                                        sink(data, size);
                                                        failpoint("copy.during");
                                                      }};
                            for (std::size_t i = from; i < to; ++i) {
                              if (pages[i].*part != nullptr) writer.write(*(pages[i].*part), ids[i], generation);
                            }
                            writer.finish();
                          });
}

// All columns of pages [from, to): a later page may know more columns than an earlier one, never fewer.
std::vector<encode::Column> widest(const std::vector<TargetPage>& pages, const encode::EncodedPage* TargetPage::* part,
                                   std::size_t from, std::size_t to) {
  std::vector<encode::Column> out;
  for (std::size_t i = from; i < to; ++i) {
    const auto* page = pages[i].*part;
    if (page != nullptr && page->columns().size() > out.size()) out = page->columns();
  }
  return out;
}

std::vector<std::string> names_of(const std::vector<encode::Column>& columns) {
  std::vector<std::string> out;
  for (const auto& column : columns) out.push_back(column.name);
  return out;
}

// json has no equality; its text does.
std::string comparable(const std::string& alias, const encode::Column& column) {
  return alias + '.' + quote_identifier(column.name) + (column.type == encode::Type::Json ? "::text" : "");
}

std::string changed(const Target& target, const std::vector<encode::Column>& columns, const std::string& incoming) {
  std::string before;
  std::string after;
  for (const auto& column : columns) {
    if (is_key(target, column.name)) continue;
    before += (before.empty() ? "" : ", ") + comparable("t", column);
    after += (after.empty() ? "" : ", ") + comparable(incoming, column);
  }
  return before.empty() ? "false" : "(" + before + ") is distinct from (" + after + ")";
}

std::string assigned(const Target& target, const std::vector<encode::Column>& columns, const std::string& incoming) {
  std::vector<std::string> names = with_lineage(names_of(columns));
  names.erase(std::remove_if(names.begin(), names.end(), [&](const auto& name) { return is_key(target, name); }),
              names.end());
  return joined(names, ", ", [&](const std::string& name) {
    return quote_identifier(name) + " = " + incoming + '.' + quote_identifier(name);
  });
}

std::string newer(const Target& target, const std::string& incoming) {
  if (!target.cursor_field) return "true";
  const std::string field = quote_identifier(*target.cursor_field);
  return "(t." + field + " is null or " + incoming + '.' + field + " >= t." + field + ")";
}

std::string matched(const Target& target) {
  return joined(target.primary_key, " and ", [](const std::string& name) {
    return "t." + quote_identifier(name) + " = s." + quote_identifier(name);
  });
}

void merge(Transaction& transaction, const Target& target, std::int64_t generation,
           const std::vector<TargetPage>& pages, const std::vector<std::int64_t>& ids, std::size_t from, std::size_t to,
           std::vector<Counts>& counts) {
  const auto columns = widest(pages, &TargetPage::rows, from, to);
  if (columns.empty()) return;
  const auto names = names_of(columns);
  const std::string all = list(with_lineage(names));
  const std::string stage = quote_identifier("_sl_stage");
  transaction.render("target.stage", {{"stage", stage}, {"columns", all}, {"target", target.quoted_name()}});
  copy_rows(transaction, stage, names, generation, pages, &TargetPage::rows, ids, from, to);
  failpoint("copy.after");
  const auto merged = transaction.render(
      "target.merge",
      {{"key", list(target.primary_key)},
       {"columns", all},
       {"order", target.cursor_field ? quote_identifier(*target.cursor_field) + " desc nulls last, " : std::string{}},
       {"target", target.quoted_name()},
       {"assign", assigned(target, columns, "s")},
       {"join", matched(target)},
       {"newer", newer(target, "s")},
       {"changed", changed(target, columns, "s")},
       {"assign_excluded", assigned(target, columns, "excluded")},
       {"newer_excluded", newer(target, "excluded")},
       {"changed_excluded", changed(target, columns, "excluded")}});
  transaction.render("target.drop_stage", {{"stage", stage}});
  for (const auto& row : merged) {
    const auto at = static_cast<std::size_t>(std::find(ids.begin(), ids.end(), integer(row, "batch")) - ids.begin());
    counts[at].inserted = integer(row, "inserted");
    counts[at].updated = integer(row, "updated");
  }
  for (std::size_t i = from; i < to; ++i)
    counts[i].unchanged = counts[i].records - counts[i].inserted - counts[i].updated;
}

void append(Transaction& transaction, const Target& target, std::int64_t generation,
            const std::vector<TargetPage>& pages, const std::vector<std::int64_t>& ids, std::size_t from,
            std::size_t to, std::vector<Counts>& counts) {
  const auto columns = widest(pages, &TargetPage::rows, from, to);
  if (columns.empty()) return;
  copy_rows(transaction, target.quoted_name(), names_of(columns), generation, pages, &TargetPage::rows, ids, from, to);
  failpoint("copy.after");
  for (std::size_t i = from; i < to; ++i) counts[i].inserted = counts[i].records;
}

void remove(Transaction& transaction, const Target& target, std::int64_t generation,
            const std::vector<TargetPage>& pages, const std::vector<std::int64_t>& ids, std::size_t at,
            Counts& counts) {
  const std::string stage = quote_identifier("_sl_gone");
  transaction.render(
      "target.stage",
      {{"stage", stage}, {"columns", list(with_lineage(target.primary_key))}, {"target", target.quoted_name()}});
  copy_rows(transaction, stage, target.primary_key, generation, pages, &TargetPage::deleted, ids, at, at + 1);
  const auto gone =
      transaction.render("target.delete_keys", {{"target", target.quoted_name()}, {"join", matched(target)}});
  transaction.render("target.drop_stage", {{"stage", stage}});
  for (const auto& row : gone) counts.deleted = integer(row, "n");
}

}  // namespace

std::optional<std::vector<TableColumn>> describe_target(Transaction& transaction, const std::string& schema,
                                                        const std::string& table) {
  const auto rows = transaction.run("target.columns", Params{schema, table});
  if (rows.empty()) return std::nullopt;
  if (const auto kind = text(rows[0], "kind"); kind != "r" && kind != "p") {
    throw core::Error{core::ErrorCode::Conflict,
                      schema + '.' + table + " is not a table (a view, or foreign); load into a table"};
  }
  std::vector<TableColumn> out;
  for (const auto& row : rows) {
    if (!row["name"].is_null()) out.push_back({text(row, "name"), text(row, "type"), boolean(row, "required")});
  }
  return out;
}

std::vector<std::int64_t> batches_of(Transaction& transaction, const std::string& schema, const std::string& table,
                                     const std::vector<std::string>& columns, const std::vector<std::string>& values) {
  const auto known = describe_target(transaction, schema, table);
  const auto type_of = [&](const std::string& name) {
    if (!known)
      throw core::Error{core::ErrorCode::ConfigError,
                        "there is no table " + schema + '.' + table + "; name it as it was given to into="};
    const auto found =
        std::find_if(known->begin(), known->end(), [&](const auto& column) { return column.name == name; });
    if (found == known->end())
      throw core::Error{core::ErrorCode::ConfigError,
                        "the table " + schema + '.' + table + " has no column \"" + name + "\""};
    return found->type;
  };
  static_cast<void>(type_of("_sl_batch"));
  std::string match;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) match += " and ";
    match += quote_identifier(columns[i]) + " = ($1::text[])[" + std::to_string(i + 1) + "]::" + type_of(columns[i]);
  }
  std::vector<std::int64_t> out;
  const Target target{schema, table, false, {}, std::nullopt};
  for (const auto& row :
       transaction.render("trace.row", {{"target", target.quoted_name()}, {"match", match}}, Params{values}))
    out.push_back(integer(row, "batch"));
  return out;
}

std::vector<std::string> ensure_target(Session& session, const Target& target,
                                       const std::vector<encode::Column>& columns, bool dry_run) {
  for (const auto& name : target.primary_key) {
    if (std::none_of(columns.begin(), columns.end(), [&](const auto& column) { return column.name == name; })) {
      throw core::Error{core::ErrorCode::ConfigError, "primary_key names \"" + name +
                                                          "\", which is no column of the rows for " + target.name() +
                                                          "; correct primary_key or the schema"};
    }
  }
  return session.transact(plan_limits, [&](Transaction& transaction) {
    // One process at a time shapes a table; most calls find nothing to do and are over at once.
    if (!dry_run) transaction.run("target.lock", Params{target.name()});
    std::vector<std::string> out;
    for (const auto& statement : statements(transaction, target, columns)) {
      out.push_back(transaction.rendered(statement.name, statement.markers));
      if (!dry_run) transaction.render(statement.name, statement.markers);
    }
    return out;
  });
}

std::vector<Counts> write_pages(Transaction& transaction, const Target& target, std::int64_t generation,
                                const std::vector<TargetPage>& pages, const std::vector<std::int64_t>& batch_ids) {
  std::vector<Counts> counts(pages.size());
  for (std::size_t i = 0; i < pages.size(); ++i)
    counts[i].records = pages[i].rows == nullptr ? 0 : static_cast<std::int64_t>(pages[i].rows->rows());
  const auto bring = target.merge ? merge : append;
  std::size_t from = 0;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    const bool removes = pages[i].deleted != nullptr && !pages[i].deleted->empty();
    if (!removes && i + 1 < pages.size()) continue;
    bring(transaction, target, generation, pages, batch_ids, from, i + 1, counts);
    if (removes) remove(transaction, target, generation, pages, batch_ids, i, counts[i]);
    from = i + 1;
  }
  return counts;
}

}  // namespace strandline::pg
