#include "pg/verify.hpp"

#include <algorithm>
#include <array>

#include "core/chain.hpp"
#include "core/keys.hpp"
#include "pg/cursor.hpp"
#include "pg/query.hpp"
#include "pg/row.hpp"
#include "pg/target.hpp"

namespace strandline::pg {
namespace {

constexpr std::string_view check_prefix = "verify.check_";

class Report {
 public:
  void add(std::string check, std::string subject, std::string message) {
    found_.push_back({std::move(check), std::move(subject), std::move(message)});
  }
  void add(const std::string& check, const pqxx::result& rows) {
    for (const auto& row : rows) add(check, text(row, "subject"), text(row, "message"));
  }
  [[nodiscard]] std::vector<Difference> take() { return std::move(found_); }

 private:
  std::vector<Difference> found_;
};

core::Event event_of(const pqxx::row& row, const std::string& actor, const std::string& reason,
                     const std::string& direction) {
  core::Event event;
  event.actor = actor;
  event.reason = reason;
  event.prev_hash = digest(row, "prev_hash");
  event.sequence_no = integer(row, "sequence_no");
  event.generation = integer(row, "generation");
  event.prev_value = maybe_integer(row, "prev_value");
  event.new_value = maybe_integer(row, "new_value");
  event.direction_code = direction;
  const auto los = integers(row, "los");
  const auto his = integers(row, "his");
  for (std::size_t i = 0; i < std::min(los.size(), his.size()); ++i) event.intervals.emplace_back(los[i], his[i]);
  event.count = integer(row, "coverage_count");
  event.coverage_digest = digest(row, "coverage_digest").value_or(core::Digest{});
  return event;
}

// Every hash of the ledger, computed again from what it covers. Pages of events keep the memory flat.
void recompute(Transaction& transaction, const std::optional<std::int64_t>& cursor, Report& report) {
  std::int64_t last_cursor = 0;
  std::int64_t last_sequence = 0;
  for (;;) {
    const auto events = transaction.run("verify.events", Params{cursor, last_cursor, last_sequence});
    if (events.empty()) return;
    for (const auto& row : events) {
      last_cursor = integer(row, "cursor_id");
      last_sequence = integer(row, "sequence_no");
      const std::string subject = "cursor:" + std::to_string(last_cursor);
      const std::string actor = text(row, "actor");
      const std::string reason = text(row, "reason");
      const std::string direction = text(row, "direction_code");
      const core::Event event = event_of(row, actor, reason, direction);
      if (core::event_hash(namespace_of(row), event) != digest(row, "event_hash").value_or(core::Digest{})) {
        report.add("event_hash", subject,
                   "event " + std::to_string(last_sequence) + " is not what its hash was made of");
      }
      core::CoverageDigest parts;
      for (const auto& part : transaction.run("verify.coverage", Params{last_cursor, last_sequence})) {
        parts.append({integer(part, "task_id"), integer(part, "batch_no"), integer(part, "generation"),
                      integer(part, "lo"), integer(part, "hi"), integer(part, "record_count")});
      }
      if (event.count > 0 && parts.finish() != event.coverage_digest) {
        report.add("coverage_digest", subject,
                   "the parts that event " + std::to_string(last_sequence) + " folded are not what they were");
      }
    }
  }
}

void check_targets(Transaction& transaction, const std::optional<std::int64_t>& cursor, Report& report) {
  for (const auto& row : transaction.run("verify.targets", Params{cursor})) {
    const std::string schema = text(row, "target_schema");
    const std::string table = text(row, "target_table");
    std::string name = schema;
    name.append(1, '.').append(table);
    const auto columns = describe_target(transaction, schema, table);
    const bool traced = columns && std::any_of(columns->begin(), columns->end(),
                                               [](const TableColumn& column) { return column.name == "_sl_batch"; });
    if (!traced) continue;
    const auto found = transaction.render("verify.target_rows",
                                          {{"target", quote_identifier(schema) + '.' + quote_identifier(table)},
                                           {"name", quote_text(name)},
                                           {"schema", quote_text(schema)},
                                           {"table", quote_text(table)}},
                                          Params{boolean(row, "moves")});
    report.add("target_rows", found);
  }
}

}  // namespace

std::vector<Difference> verify(Session& session, std::optional<std::int64_t> cursor,
                               const std::optional<core::Digest>& anchor) {
  const std::lock_guard<std::recursive_mutex> guard{session.turn()};
  Transaction transaction{session, plan_limits, Transaction::Access::Snapshot};
  Report report;
  for (const Query& each : queries()) {
    if (each.name.substr(0, check_prefix.size()) == check_prefix)
      report.add(std::string{each.name.substr(check_prefix.size())}, transaction.run(each.name, Params{cursor}));
  }
  recompute(transaction, cursor, report);
  check_targets(transaction, cursor, report);
  if (anchor && !boolean(transaction.run("verify.anchors", Params{cursor, *anchor})[0], "known")) {
    report.add("anchor", cursor ? "cursor:" + std::to_string(*cursor) : "ledger",
               "no event has the hash " + core::to_hex(*anchor) + "; events that were there are gone");
  }
  return report.take();
}

}  // namespace strandline::pg
