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

struct Part {
  std::int64_t generation;
  core::Interval bounds;
  core::CoverageRow row;
};

std::vector<Part> read(const pqxx::result& rows) {
  std::vector<Part> parts;
  parts.reserve(static_cast<std::size_t>(rows.size()));
  for (const auto& row : rows) {
    const core::CoverageRow covered{integer(row, "task_id"), integer(row, "batch_no"), integer(row, "generation"),
                                    integer(row, "lo"),      integer(row, "hi"),       integer(row, "record_count")};
    parts.push_back({covered.generation, {covered.lo, covered.hi}, covered});
  }
  return parts;
}

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
  std::int64_t origin;
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

void write_event(Transaction& transaction, std::int64_t cursor, Head& head, std::int64_t generation,
                 const std::vector<Part>& parts) {
  core::Intervals added;
  std::vector<core::CoverageRow> rows;
  std::vector<std::int64_t> tasks;
  std::vector<std::int64_t> batches;
  for (const auto& part : parts) {
    if (part.generation != generation) continue;
    added.push_back(part.bounds);
    rows.push_back(part.row);
    tasks.push_back(part.row.task_id);
    batches.push_back(part.row.batch_no);
  }
  added = core::normalize(added);
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::pair{a.task_id, a.batch_no} < std::pair{b.task_id, b.batch_no};
  });
  const Bounds limits = bounds(added);
  const bool counts = generation >= head.minimum_generation;
  std::int64_t mark = head.mark;
  if (counts) {
    transaction.run("cursor.merge", Params{cursor, generation, limits.los, limits.his});
    // A reread proves its window a second time; the mark lives in the older generation's intervals.
    if (generation > head.minimum_generation)
      transaction.run("cursor.merge", Params{cursor, head.minimum_generation, limits.los, limits.his});
    mark = integer(transaction.run("cursor.mark", Params{cursor, head.minimum_generation, head.origin})[0], "mark");
  }
  failpoint("fold.during");
  core::Event event;
  event.actor = actor;
  event.reason = "coverage";
  event.prev_hash = head.hash;
  event.sequence_no = head.sequence_no + 1;
  event.generation = generation;
  event.prev_value = head.mark;
  event.new_value = mark;
  event.direction_code = !counts ? "IGNORED" : mark > head.mark ? "FORWARD" : "BACKFILL";
  for (const auto& each : added) event.intervals.emplace_back(each.lo, each.hi);
  event.count = static_cast<std::int64_t>(rows.size());
  event.coverage_digest = core::coverage_digest(rows);
  const core::Digest hash = core::event_hash(head.space, event);
  if (mark != head.mark || !head.value) head.value = spelled(transaction, cursor, head, mark);
  const auto moved =
      transaction.run("cursor.event", Params{cursor, event.sequence_no, generation, event.direction_code, head.mark,
                                             mark, limits.los, limits.his, event.count, event.coverage_digest,
                                             event.actor, *event.reason, head.hash, hash, head.value, added.back().hi});
  if (moved.empty())
    throw core::Error{core::ErrorCode::Error, "cursor " + std::to_string(cursor) +
                                                  ": its head moved while it was locked; run `strandline verify`"};
  transaction.run("cursor.stamp", Params{event.sequence_no, tasks, batches});
  head.sequence_no = event.sequence_no;
  head.mark = mark;
  head.hash = hash;
}

// One fold: the events written, or nothing when somebody else holds the cursor.
std::optional<std::int64_t> fold_once(Session& session, std::int64_t cursor) {
  return session.transact(page_limits, [&](Transaction& transaction) -> std::optional<std::int64_t> {
    const auto locked = transaction.run("cursor.lock", Params{cursor});
    if (locked.empty()) return std::nullopt;
    const auto& row = locked[0];
    Head head{namespace_of(row),
              text(row, "cursor_type_code"),
              integer(row, "origin"),
              integer(row, "minimum_generation"),
              integer(row, "head_sequence_no"),
              integer(row, "value_norm"),
              digest(row, "head_hash"),
              maybe_text(row, "value")};
    const std::vector<Part> parts = read(transaction.run("cursor.read", Params{cursor}));
    std::vector<std::int64_t> generations;
    for (const auto& part : parts) {
      if (generations.empty() || generations.back() != part.generation) generations.push_back(part.generation);
    }
    for (const auto generation : generations) write_event(transaction, cursor, head, generation, parts);
    return static_cast<std::int64_t>(generations.size());
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
  // The look comes after every release of the cursor, also after one that found nothing to fold: whoever committed and
  // passed by meanwhile has left its coverage to us.
  const auto more = [&](Transaction& transaction) {
    return boolean(transaction.run("cursor.again", Params{cursor})[0], "more");
  };
  while (session.transact(page_limits, more)) {
    const auto written = fold_once(session, cursor);
    if (!written) break;  // its holder looks again
    events += *written;
  }
  // Those who wait for the watermark. Who wrote the event that moved it looks after its commit, and so does whoever makes a gate.
  if (events > 0) open_gates(session, cursor);
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
