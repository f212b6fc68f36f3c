#include "pg/run.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "pg/row.hpp"
#include "pg/task.hpp"

namespace strandline::pg {
namespace {

Run read(const pqxx::row& row, const std::string& worker) {
  Run run;
  run.task_id = integer(row, "task_id");
  run.attempt_no = integer(row, "attempt_no");
  run.run_id = integer(row, "run_id");
  run.plan_id = integer(row, "plan_id");
  run.slice_id = integer(row, "slice_id");
  run.cursor_id = maybe_integer(row, "cursor_id");
  run.generation = integer(row, "generation");
  run.kind_code = text(row, "kind_code");
  run.lo = maybe_integer(row, "lo");
  run.hi = maybe_integer(row, "hi");
  run.walk_no = integer(row, "walk_no");
  run.batch_no = integer(row, "batch_no");
  run.checkpoint = maybe_text(row, "checkpoint");
  run.params = maybe_text(row, "params");
  run.expr = maybe_text(row, "expr_snapshot");
  run.slice_spec = text(row, "slice_spec");
  run.failures = integer(row, "failures");
  run.losses = integer(row, "losses");
  run.deadline = maybe_integer(row, "deadline");
  run.worker = worker;
  run.task_key = digest(row, "idempotent_key").value_or(core::Digest{});
  return run;
}

// Ends the live run. False: an earlier try of this call, whose answer was lost, has ended it in this very way, and its task
// has left with it.
bool end_run(Transaction& transaction, const Run& run, const char* status, const std::string& reason,
             const std::string& by, const std::optional<std::string>& errors) {
  if (!transaction.run("run.end", Params{run.task_id, run.attempt_no, status, reason, by, errors}).empty()) return true;
  const std::vector<std::int64_t> task{run.task_id};
  const std::vector<std::int64_t> attempt{run.attempt_no};
  const auto states = transaction.run("run.states", Params{task, attempt});
  if (states.empty() || text(states[0], "status_code") != status || text(states[0], "end_reason_code") != reason ||
      text(states[0], "ended_by") != by)
    lease_lost(run);
  return false;
}

// The task's status in what lock_tasks returned.
std::string status_of(const pqxx::result& locked, const Run& run) {
  for (const auto& row : locked) {
    if (integer(row, "id") == run.task_id) return text(row, "status_code");
  }
  lease_lost(run);
}

// Jitter of a fifth, so that tasks that failed together do not come back together.
std::int64_t jittered(std::int64_t pause) {
  static thread_local std::mt19937 random{std::random_device{}()};
  return static_cast<std::int64_t>(static_cast<double>(pause) *
                                   std::uniform_real_distribution<double>{0.9, 1.1}(random));
}

}  // namespace

std::vector<Run> Claimer::claim(Session& session, const std::string& worker, std::int64_t limit, std::int64_t lease,
                                const Source& source) {
  std::string key = source.pool;
  for (const auto plan : source.plans) key += '#' + std::to_string(plan);
  const std::vector<std::string> everything(9, "-infinity");
  auto& marks = low_water_.try_emplace(key, everything).first->second;
  const bool full = ++claims_ % 100 == 0;
  const auto once = [&](const std::vector<std::string>& low) {
    return session.transact(page_limits, [&](Transaction& transaction) {
      return source.plans.empty() ? transaction.run("task.claim_pool", Params{limit, low, worker, lease, source.pool})
                                  : transaction.run("task.claim_plan", Params{limit, low, worker, lease, source.plans});
    });
  };
  auto rows = once(full ? everything : marks);
  if (rows.empty() && !full && marks != everything) rows = once(everything);
  std::vector<Run> runs;
  std::array<bool, 10> seen{};
  for (const auto& row : rows) {
    runs.push_back(read(row, worker));
    const auto priority = static_cast<std::size_t>(integer(row, "priority"));
    // Rows come in the order of the claim: the first of a priority carries its smallest time.
    if (!std::exchange(seen.at(priority), true)) marks[priority - 1] = text(row, "low_water");
  }
  return runs;
}

std::string give_back(Session& session, const Run& run, const std::string& reason, std::int64_t pause) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    const auto locked = lock_tasks(transaction, {run.task_id});
    if (!end_run(transaction, run, "YIELDED", reason, run.worker, std::nullopt)) return status_of(locked, run);
    return leave(transaction, {run.task_id}, {"QUEUED", reason, pause}).at(0).status;
  });
}

std::string fail(Session& session, const Run& run, const Failure& failure) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    std::int64_t failures = 1;
    bool spent = !failure.retryable;
    const auto locked = lock_tasks(transaction, {run.task_id});
    for (const auto& row : locked) {
      if (integer(row, "id") != run.task_id) continue;
      // A page since the last failure is progress: the ladder begins again.
      if (integer(row, "batch_no") >= run.batch_no) failures += integer(row, "failures");
      spent = spent || failures >= integer(row, "max_attempts");
    }
    if (!end_run(transaction, run, "FAILED", failure.reason, failure.by.empty() ? run.worker : failure.by,
                 '[' + failure.error + ']'))
      return status_of(locked, run);
    transaction.run("task.error", Params{run.task_id, failure.error});
    std::int64_t pause = 0;
    if (!spent && !failure.backoff.empty())
      pause = jittered(failure.backoff[std::min(static_cast<std::size_t>(failures), failure.backoff.size()) - 1]);
    const Exit exit = spent ? Exit{"FAILED", failure.reason, 0, 1} : Exit{"QUEUED", "BACKING_OFF", pause, 1};
    return leave(transaction, {run.task_id}, exit).at(0).status;
  });
}

void end_cancelled(Session& session, const Run& run) {
  session.transact(page_limits, [&](Transaction& transaction) {
    lock_tasks(transaction, {run.task_id});
    if (end_run(transaction, run, "CANCELLED", "CANCELLED", run.worker, std::nullopt))
      leave(transaction, {run.task_id}, {"CANCELLED", "CANCELLED"});
  });
}

void restart_walk(Session& session, const Run& run, const Target& target, const std::string& reason) {
  session.transact(plan_limits, [&](Transaction& transaction) {
    if (!target.merge && run.batch_no > 0 && describe_target(transaction, target.schema, target.table)) {
      std::vector<std::int64_t> batches;
      for (const auto& row : transaction.run("run.own_batches", Params{run.task_id, run.batch_no}))
        batches.push_back(integer(row, "id"));
      // Target rows before the task and the run: the lock order.
      transaction.render("target.delete_batches", {{"target", target.quoted_name()}}, Params{batches});
    }
    lock_tasks(transaction, {run.task_id});
    if (!end_run(transaction, run, "YIELDED", reason, run.worker, std::nullopt)) return;
    transaction.run("task.walk_next", Params{run.task_id});
    leave(transaction, {run.task_id}, {"QUEUED", reason});
  });
}

void lease_lost(const Run& run) {
  const nlohmann::json context{{"task", run.task_id}, {"attempt", run.attempt_no}};
  throw core::Error{core::ErrorCode::LeaseLost,
                    "task " + std::to_string(run.task_id) + ", attempt " + std::to_string(run.attempt_no) +
                        ": the lease is lost, and nothing of this page was stored; another run goes on",
                    context.dump()};
}

std::int64_t walk_records(Session& session, const Run& run) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    return integer(transaction.run("run.walk_records", Params{run.task_id, run.walk_no})[0], "records");
  });
}

}  // namespace strandline::pg
