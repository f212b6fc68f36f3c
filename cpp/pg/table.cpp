#include "pg/table.hpp"

#include "pg/query.hpp"

namespace strandline::pg {
namespace {

Table plain(const pqxx::result& rows) {
  Table out;
  for (pqxx::row_size_type column = 0; column < rows.columns(); ++column) {
    out.columns.push_back({rows.column_name(column), rows.column_type(column)});
  }
  out.rows.reserve(static_cast<std::size_t>(rows.size()));
  for (const auto& row : rows) {
    Table::Row& values = out.rows.emplace_back();
    values.reserve(out.columns.size());
    for (const auto& field : row) {
      if (field.is_null()) {
        values.emplace_back();
      } else {
        values.emplace_back(std::string{field.c_str(), field.size()});
      }
    }
  }
  return out;
}

}  // namespace

Table fetch(Session& session, const std::string& query, const Params& params) {
  const auto& known = pg::query(query);
  if (params.values().size() != static_cast<std::size_t>(known.parameters)) {
    throw core::Error{core::ErrorCode::Error, "query " + query + " takes " + std::to_string(known.parameters) +
                                                  " parameters, not " + std::to_string(params.values().size())};
  }
  return plain(session.transact(plan_limits, [&](Transaction& transaction) { return transaction.run(query, params); }));
}

Table select(Session& session, const std::string& sql, const Params& params) {
  const std::lock_guard<std::recursive_mutex> guard{session.turn()};
  Transaction transaction{session, plan_limits, Transaction::Access::Read};
  return plain(transaction.text(sql, params));
}

}  // namespace strandline::pg
