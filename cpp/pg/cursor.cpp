#include "pg/cursor.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/chain.hpp"
#include "core/interval.hpp"
#include "core/window.hpp"
#include "pg/failpoint.hpp"
#include "pg/gate.hpp"
#include "pg/row.hpp"

namespace strandline::pg {
namespace {

constexpr std::string_view actor = "fold";

struct Bounds {
  std::vector<std::int64_t> los;
  std::vector<std::int64_t> his;
};

Bounds bounds(const core::Intervals& intervals) {
  Bounds out;
  for (const auto& each : intervals) {
    out.los.push_back(each.lo);
    out.his.push_back(each.hi);
  }
  return out;
}

// The head of the ledger as this transaction moves it along.
struct Head {
  core::Namespace space;
  std::string type;
  std::int64_t minimum_generation;
  std::int64_t sequence_no;
  std::int64_t mark;
  std::optional<core::Digest> hash;
  std::optional<std::string> value;
};

// How the source spells the watermark: an instant, an id, or the token to go on from.
std::optional<std::string> spelled(Transaction& transaction, std::int64_t cursor, const Head& head, std::int64_t mark) {
  if (head.type == "TIME") return '"' + core::bound_text(mark, core::CursorType::Time) + '"';
  if (head.type == "ID") return std::to_string(mark);
  const auto found = transaction.run("cursor.token", Params{cursor, head.minimum_generation, mark});
  return found.empty() ? head.value : maybe_text(found[0], "after_token");
}

// The event of one generation, from its row of cursor.take: what was unfolded, and the mark with it.
void write_event(Transaction& transaction, std::int64_t cursor, Head& head, const pqxx::row& taken) {
  const auto generation = integer(taken, "generation");
  const auto tasks = integers(taken, "tasks");
  const auto batches = integers(taken, "batches");
  const auto los = integers(taken, "los");
  const auto his = integers(taken, "his");
  const auto counts = integers(taken, "counts");
  core::Intervals added;
  std::vector<core::CoverageRow> rows;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    added.push_back({los[i], his[i]});
    rows.push_back({tasks[i], batches[i], generation, los[i], his[i], counts[i]});
  }
  added = core::normalize(added);
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::pair{a.task_id, a.batch_no} < std::pair{b.task_id, b.batch_no};
  });
  const Bounds limits = bounds(added);
  const bool counted = generation >= head.minimum_generation;
  const std::int64_t mark = counted ? integer(taken, "mark") : head.mark;
  core::Event event;
  event.actor = actor;
  event.reason = "coverage";
  event.prev_hash = head.hash;
  event.sequence_no = head.sequence_no + 1;
  event.generation = generation;
  event.prev_value = head.mark;
  event.new_value = mark;
  event.direction_code = !counted ? "IGNORED" : mark > head.mark ? "FORWARD" : "BACKFILL";
  for (const auto& each : added) event.intervals.emplace_back(each.lo, each.hi);
  event.count = static_cast<std::int64_t>(rows.size());
  event.coverage_digest = core::coverage_digest(rows);
  const core::Digest hash = core::event_hash(head.space, event);
  if (mark != head.mark || !head.value) head.value = spelled(transaction, cursor, head, mark);
  const auto written =
      transaction.run("cursor.write", Params{cursor, event.sequence_no, generation, event.direction_code, head.mark,
                                             mark, limits.los, limits.his, event.coverage_digest, event.actor,
                                             *event.reason, head.hash, hash, head.value, tasks, batches});
  if (!boolean(written[0], "moved"))
    throw core::Error{core::ErrorCode::Error, "cursor " + std::to_string(cursor) +
                                                  ": its head moved while it was locked; run `strandline verify`"};
  head.sequence_no = event.sequence_no;
  head.mark = mark;
  head.hash = hash;
}

// One fold: the events written, or nothing when there is nothing to fold or somebody else holds the cursor.
std::optional<std::int64_t> fold_once(Session& session, std::int64_t cursor) {
  return session.transact(page_limits, [&](Transaction& transaction) -> std::optional<std::int64_t> {
    const auto taken = transaction.run("cursor.take", Params{cursor});
    if (taken.empty()) return std::nullopt;
    failpoint("fold.during");
    const auto& row = taken[0];
    Head head{namespace_of(row),
              text(row, "cursor_type_code"),
              integer(row, "minimum_generation"),
              integer(row, "head_sequence_no"),
              integer(row, "value_norm"),
              digest(row, "head_hash"),
              maybe_text(row, "value")};
    std::int64_t events = 0;
    for (const auto& each : taken) {
      if (each["generation"].is_null()) continue;
      write_event(transaction, cursor, head, each);
      ++events;
    }
    return events;
  });
}

}  // namespace

core::Namespace namespace_of(const pqxx::row& row) {
  core::Namespace space;
  space.provenance_code = text(row, "provenance_code");
  space.operation_code = text(row, "operation_code");
  space.cursor_key = text(row, "cursor_key");
  space.namespace_scope_code = text(row, "namespace_scope_code");
  space.namespace_key = digest(row, "namespace_key").value_or(core::Digest{});
  return space;
}

std::int64_t fold(Session& session, std::int64_t cursor) {
  std::int64_t events = 0;
  bool due = false;
  for (bool more = true; more;) {
    const auto written = fold_once(session, cursor);
    if (!written) break;  // nothing is left, or its holder looks again
    events += *written;
    // The look comes after every release of the cursor, also after one that found nothing to fold: whoever committed and passed
    // by meanwhile has left its coverage to us.
    session.transact(page_limits, [&](Transaction& transaction) {
      const auto look = transaction.run("cursor.again", Params{cursor});
      more = boolean(look[0], "more");
      due = boolean(look[0], "due");
    });
  }
  // Those who wait for the watermark. Who wrote the event that moved it looks after its commit, and so does whoever makes a gate.
  if (events > 0 && due) open_gates(session, cursor);
  return events;
}

std::int64_t fold_all(Session& session) {
  const auto cursors =
      session.transact(page_limits, [](Transaction& transaction) { return transaction.run("cursor.unfolded"); });
  std::int64_t events = 0;
  for (const auto& row : cursors) events += fold(session, integer(row, "cursor_id"));
  return events;
}

}  // namespace strandline::pg
