// Cutting a live slice anew: what it has brought becomes coverage, the rest becomes new slices of the same plan, in one transaction.

#include <algorithm>

#include "core/keys.hpp"
#include "core/slices.hpp"
#include "pg/control.hpp"
#include "pg/cursor.hpp"
#include "pg/plan.hpp"
#include "pg/plan_work.hpp"
#include "pg/row.hpp"
#include "pg/run.hpp"

namespace strandline::pg {
namespace {

// The cursor is held meanwhile.
constexpr std::int64_t most_parts = 10'000;

// The request that would plan the task's slice, cut by another strategy.
PlanRequest request_of(const pqxx::row& task, const core::Strategy& strategy) {
  PlanRequest out;
  out.provenance = text(task, "provenance_code");
  out.operation = text(task, "operation_code");
  out.space.provenance_code = out.provenance;
  out.space.operation_code = text(task, "space_operation");
  out.space.cursor_key = text(task, "cursor_key");
  out.space.namespace_scope_code = text(task, "namespace_scope_code");
  out.space.namespace_key = digest(task, "namespace_key").value_or(core::Digest{});
  out.type_code = text(task, "cursor_type_code");
  out.type = core::parse_cursor_type(out.type_code);
  out.zone = text(task, "time_zone");
  out.strategy = strategy;
  out.params = maybe_text(task, "params").value_or("{}");
  out.expr = maybe_text(task, "expr_proto_snapshot").value_or("null");
  out.pool = text(task, "pool");
  out.priority = integer(task, "priority");
  out.mutex_key = maybe_text(task, "mutex_key");
  out.labels = maybe_text(task, "labels").value_or("{}");
  out.max_attempts = integer(task, "max_attempts");
  out.max_losses = integer(task, "max_losses");
  out.delay = std::max<std::int64_t>(0, integer(task, "delay"));
  out.deadline = maybe_integer(task, "deadline");
  out.credential = maybe_text(task, "credential");
  out.max_slices = most_parts;
  return out;
}

void check(const pqxx::row& task, std::int64_t id) {
  const auto status = text(task, "status_code");
  if (text(task, "kind_code") != "SLICE" || !maybe_integer(task, "cursor_id"))
    refuse(id, "loads a value, which has no window to cut");
  if (integer(task, "hi") == open_end) refuse(id, "is a walk by token, which has no window to cut");
  if (status == "SUCCEEDED") refuse(id, "has succeeded: its whole window is loaded");
  if (status != "QUEUED" && status != "RUNNING")
    refuse(id, "is " + status + "; retry it first, or ingest its window again with another slice");
  if (boolean(task, "cancel")) refuse(id, "is being cancelled: its end comes with its next page");
  if (boolean(task, "needed"))
    refuse(id,
           "is needed by another task that waits for it by name; split it when that one is over, or cancel that one");
}

// How far the slice has come, and the run that brought it there.
struct Progress {
  std::int64_t run = 0;
  std::int64_t batch_no = 0;
  std::int64_t records = 0;
  std::optional<std::int64_t> reached;
};

// Ends the run of a running task, which is the fence: what commits after this finds its lease lost.
std::optional<Progress> stop(Transaction& transaction, const pqxx::row& task, std::int64_t id, const std::string& actor,
                             const std::string& cause) {
  const bool running = text(task, "status_code") == "RUNNING";
  const auto last = running ? transaction.run("run.end", Params{id, integer(task, "attempt_no"), "CANCELLED", "SPLIT",
                                                                actor, '[' + cause + ']'})
                            : transaction.run("run.last", Params{id});
  if (last.empty()) {
    if (running) refuse(id, "has just ended its run; ask again");
    return std::nullopt;
  }
  const auto walk = integer(last[0], "walk_no");
  if (walk != integer(task, "walk_no") || integer(last[0], "batch_no") == 0) return std::nullopt;
  if (integer(transaction.run("run.walk_start", Params{id, walk})[0], "last") == 0) return std::nullopt;
  return Progress{integer(last[0], "id"), integer(last[0], "batch_no"),
                  integer(transaction.run("run.walk_records", Params{id, walk})[0], "records"),
                  maybe_integer(last[0], "reached")};
}

}  // namespace

SplitResult split(Session& session, std::int64_t task, const std::string& strategy, const std::string& actor,
                  const std::string& reason) {
  const auto cut = core::parse_strategy(strategy);
  if (cut.kind == core::StrategyKind::Budget || cut.kind == core::StrategyKind::Custom ||
      cut.kind == core::StrategyKind::Single)
    throw core::Error{core::ErrorCode::ConfigError, "a split cuts by time or by ids, such as \"1 day\" or 1000; " +
                                                        std::string{core::strategy_code(cut.kind)} +
                                                        " is for planning"};
  const Subject subject = of_task(task);
  std::int64_t cursor = 0;
  std::int64_t plan = 0;
  SplitResult out = session.transact(plan_limits, [&](Transaction& transaction) {
    SplitResult result;
    auto found = transaction.run("plan.split_look", Params{task});
    if (found.empty()) refuse(task, "is not known");
    check(found[0], task);
    cursor = integer(found[0], "cursor_id");
    plan = integer(found[0], "plan_id");
    // The order of the locks: cursor, plan, tasks, run.
    transaction.run("plan.lock", Params{cursor});
    transaction.run("plan.close_lock", Params{plan});
    // Whoever ends what it waits for, and has not seen it when they took their locks, would not see its parts either.
    transaction.run("gate.hold", Params{task});
    lock_below(transaction, {task});
    found = transaction.run("plan.split_look", Params{task});
    const auto& row = found[0];
    check(row, task);
    const PlanRequest request = request_of(row, cut);
    core::check_strategy(cut, request.type);

    const auto progress = stop(transaction, row, task, actor,
                               operator_cause("split", actor, "cut the slice anew", reason, subject.name()));
    const std::int64_t lo = integer(row, "lo");
    const std::int64_t hi = integer(row, "hi");
    std::int64_t rest = lo;
    if (progress) {
      if (!progress->reached)
        refuse(task,
               "has committed pages, and its provider does not say how far they reach (ordered = True and"
               " Page(upto=)): it can be split before its first page only");
      rest = std::clamp(*progress->reached, lo, hi);
      if (rest > lo) {
        transaction.run("run.coverage", Params{task, progress->batch_no, progress->run, lo, rest, progress->records});
        result.covered = core::Interval{lo, rest};
      }
    }
    leave(transaction, {task}, {"CANCELLED", "SPLIT"});
    transaction.run("plan.supersede", Params{std::vector<std::int64_t>{integer(row, "slice_id")}, true});

    Work work;
    const std::int64_t generation = integer(row, "generation");
    if (rest < hi) work = lay_out(transaction, request, cursor, generation, {rest, hi});
    if (work.left_from)
      throw core::Error{core::ErrorCode::ConfigError,
                        "a split into more than " + std::to_string(most_parts) + " parts; cut into larger ones"};
    result.tasks = reopened_tasks(work);
    const std::int64_t unmet = integer(row, "unmet");
    if (unmet > 0 && !result.tasks.empty())
      refuse(task, "waits for others, and a part of it was cut so before; split it when they are over");
    const auto made = write_work(transaction, request,
                                 {plan, cursor, generation, request.pool,
                                  integer(transaction.run("plan.slice_numbers", Params{plan})[0], "last") + 1, unmet,
                                  false, boolean(row, "held")},
                                 work, {});
    if (!made.empty()) transaction.run("gate.inherit", Params{task, made});
    result.tasks.insert(result.tasks.end(), made.begin(), made.end());
    transaction.run("plan.grow", Params{plan, static_cast<std::int64_t>(result.tasks.size()) - 1});
    audit(transaction, "split", subject, actor, reason, result.tasks);
    return result;
  });
  // Whoever held the cursor looks again for coverage.
  fold(session, cursor);
  close_plan(session, plan);
  return out;
}

}  // namespace strandline::pg
