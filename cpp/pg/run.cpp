#include "pg/run.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <utility>

#include "pg/plan.hpp"
#include "pg/row.hpp"
#include "pg/task.hpp"

namespace strandline::pg {
namespace {

struct Claimed {
  Run run;
  std::size_t priority = 0;
  std::string low_water;
};

// Verbs whose wish ends a run, by the reason code that the run then has.
struct Wish {
  std::string_view reason;
  const char* verb;
};
constexpr std::array<Wish, 5> wishes{{{"CANCELLED", "cancel"},
                                      {"PAUSED", "pause"},
                                      {"QUARANTINED", "quarantine"},
                                      {"DRAINING", "stop"},
                                      {"SPLIT", "split"}}};

// Who ended a run, and why.
struct Ending {
  std::string by;
  Cause cause;
};

// The names under which an operator can have asked something of a worker: itself, its process, its host.
std::vector<std::string> subjects_of(const Run& run) {
  std::vector<std::string> out{"task:" + std::to_string(run.task_id), "plan:" + std::to_string(run.plan_id)};
  if (run.cursor_id) out.push_back("cursor:" + std::to_string(*run.cursor_id));
  std::string name = run.worker;
  for (;;) {
    out.push_back("worker:" + name);
    const auto colon = name.rfind(':');
    if (colon == std::string::npos) return out;
    name.erase(colon);
  }
}

// What an operator asked for is told with their name and their words; everything else by the worker.
Ending ending_of(Transaction& transaction, const Run& run, const std::string& reason, const Cause& cause) {
  const auto* wish =
      std::find_if(wishes.begin(), wishes.end(), [&](const Wish& each) { return each.reason == reason; });
  if (cause || wish == wishes.end()) return {run.worker, cause};
  const auto asked = transaction.run("audit.last", Params{wish->verb, subjects_of(run)});
  if (asked.empty()) return {run.worker, cause};
  const std::string actor = text(asked[0], "actor");
  return {actor,
          operator_cause(wish->verb, actor, "asked for it", text(asked[0], "reason"), text(asked[0], "subject"))};
}

// The task's status in what its lock returned.
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

Run read_run(const pqxx::row& row, const std::string& worker) {
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
  run.reached = maybe_integer(row, "reached");
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

std::string operator_cause(const char* verb, const std::string& actor, const std::string& did,
                           const std::string& reason, const std::string& where) {
  return nlohmann::json{{"origin", "operator"},
                        {"kind", verb},
                        {"message", actor + ' ' + did + (reason.empty() ? "" : ": " + reason)},
                        {"where", where}}
      .dump();
}

bool end_run(Transaction& transaction, const Run& run, const char* status, const std::string& reason,
             const std::string& by, const Cause& cause) {
  const Cause errors = cause ? Cause{'[' + *cause + ']'} : std::nullopt;
  if (!transaction.run("run.end", Params{run.task_id, run.attempt_no, status, reason, by, errors}).empty()) return true;
  const std::vector<std::int64_t> task{run.task_id};
  const std::vector<std::int64_t> attempt{run.attempt_no};
  const auto states = transaction.run("run.states", Params{task, attempt});
  if (states.empty() || text(states[0], "status_code") != status || text(states[0], "end_reason_code") != reason ||
      text(states[0], "ended_by") != by)
    lease_lost(run);
  return false;
}

std::vector<Run> Claimer::claim(Session& session, const std::string& worker, std::int64_t limit, std::int64_t lease,
                                const Source& source) {
  static const LowWater everything{std::vector<std::string>(9, "-infinity"), std::vector<std::int64_t>(9, 0)};
  const auto once = [&](const LowWater& low) {
    return session.transact(page_limits, [&](Transaction& transaction) {
      std::vector<Claimed> found;
      const auto take = [&](const std::string& pool, const std::vector<std::int64_t>& plans) {
        const auto left = limit - static_cast<std::int64_t>(found.size());
        if (left <= 0) return;
        for (const auto& row :
             transaction.run("task.claim", Params{left, low.times, worker, lease, pool, plans, low.ids})) {
          found.push_back(
              {read_run(row, worker), static_cast<std::size_t>(integer(row, "priority")), text(row, "low_water")});
        }
      };
      if (source.plans.empty()) take(source.pool, {});
      for (const auto& [pool, plans] : pools_of(transaction, source.plans)) take(pool, plans);
      return found;
    });
  };
  // The lanes of several plans stand beside each other, and one mark would not hold for all of them.
  const std::string key = source.plans.empty() ? source.pool : '#' + std::to_string(source.plans.front());
  auto& marks = low_water_.try_emplace(key, everything).first->second;
  const bool full = source.plans.size() > 1 || ++claims_ % 100 == 0;
  auto found = once(full ? everything : marks);
  if (found.empty() && !full && marks.times != everything.times) found = once(everything);
  if (found.empty() && admit_idle(session)) found = once(everything);
  std::vector<Run> runs;
  std::array<bool, 10> seen{};
  for (auto& each : found) {
    runs.push_back(std::move(each.run));
    // They come in the order of the claim: the first of a priority carries its smallest time.
    if (source.plans.size() > 1 || std::exchange(seen.at(each.priority), true)) continue;
    marks.times[each.priority - 1] = each.low_water;
    marks.ids[each.priority - 1] = runs.back().task_id;
  }
  return runs;
}

std::map<std::string, std::vector<std::int64_t>> Claimer::pools_of(Transaction& transaction,
                                                                   const std::vector<std::int64_t>& plans) {
  std::vector<std::int64_t> unknown;
  for (const auto plan : plans) {
    if (pools_.count(plan) == 0) unknown.push_back(plan);
  }
  if (!unknown.empty()) {
    for (const auto& row : transaction.run("plan.pools", Params{unknown}))
      pools_[integer(row, "id")] = text(row, "pool");
  }
  std::map<std::string, std::vector<std::int64_t>> out;
  for (const auto plan : plans) out[pools_[plan]].push_back(plan);
  return out;
}

std::string give_back(Session& session, const Run& run, const std::string& reason, std::int64_t pause,
                      const Cause& cause) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    const auto locked = lock_below(transaction, {run.task_id});
    const Ending ending = ending_of(transaction, run, reason, cause);
    if (!end_run(transaction, run, "YIELDED", reason, ending.by, ending.cause)) return status_of(locked, run);
    return leave(transaction, {run.task_id}, {"QUEUED", reason, pause}).at(0).status;
  });
}

std::string fail(Session& session, const Run& run, const Failure& failure) {
  std::set<std::int64_t> fallen;
  auto status = session.transact(page_limits, [&](Transaction& transaction) {
    fallen.clear();
    std::int64_t failures = 1;
    bool spent = !failure.retryable;
    const auto locked = lock_below(transaction, {run.task_id});
    for (const auto& row : locked) {
      if (integer(row, "id") != run.task_id) continue;
      // A page since the last failure is progress: the ladder begins again.
      if (integer(row, "batch_no") >= run.batch_no) failures += integer(row, "failures");
      spent = spent || failures >= integer(row, "max_attempts");
    }
    if (!end_run(transaction, run, "FAILED", failure.reason, failure.by.empty() ? run.worker : failure.by,
                 failure.error))
      return status_of(locked, run);
    transaction.run("task.error", Params{run.task_id, failure.error});
    std::int64_t pause = 0;
    if (!spent && !failure.backoff.empty())
      pause = jittered(failure.backoff[std::min(static_cast<std::size_t>(failures), failure.backoff.size()) - 1]);
    const Exit exit = spent ? Exit{"FAILED", failure.reason, 0, 1} : Exit{"QUEUED", "BACKING_OFF", pause, 1};
    const auto left = leave(transaction, {run.task_id}, exit);
    for (const auto& each : left) fallen.insert(each.plan);
    return left.at(0).status;
  });
  // The run's own plan is closed by its worker; those that fell with it have nobody else.
  fallen.erase(run.plan_id);
  close_plans(session, fallen);
  return status;
}

void end_cancelled(Session& session, const Run& run) {
  std::set<std::int64_t> fallen;
  session.transact(page_limits, [&](Transaction& transaction) {
    fallen.clear();
    lock_below(transaction, {run.task_id});
    const Ending ending = ending_of(transaction, run, "CANCELLED", std::nullopt);
    if (!end_run(transaction, run, "CANCELLED", "CANCELLED", ending.by, ending.cause)) return;
    for (const auto& each : leave(transaction, {run.task_id}, {"CANCELLED", "CANCELLED"})) fallen.insert(each.plan);
  });
  fallen.erase(run.plan_id);
  close_plans(session, fallen);
}

void restart_walk(Session& session, const Run& run, const Target& target, const std::string& reason,
                  const Cause& cause) {
  session.transact(plan_limits, [&](Transaction& transaction) {
    if (!target.merge && run.batch_no > 0 && describe_target(transaction, target.schema, target.table)) {
      std::vector<std::int64_t> batches;
      for (const auto& row : transaction.run("run.own_batches", Params{run.task_id, run.batch_no}))
        batches.push_back(integer(row, "id"));
      // Target rows before the task and the run: the lock order.
      transaction.render("target.delete_batches", {{"target", target.quoted_name()}}, Params{batches});
    }
    lock_below(transaction, {run.task_id});
    if (!end_run(transaction, run, "YIELDED", reason, run.worker, cause)) return;
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
    const auto found = transaction.run("run.walk_records", Params{run.task_id, run.walk_no});
    return integer(found[0], "records") + integer(found[0], "skipped");
  });
}

}  // namespace strandline::pg
