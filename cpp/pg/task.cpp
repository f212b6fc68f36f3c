#include "pg/task.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "pg/cursor.hpp"
#include "pg/plan.hpp"
#include "pg/row.hpp"

namespace strandline::pg {
namespace {

// After a lost lease a task rests, longer each time, so that a page that kills its worker does not kill them all at once.
constexpr std::int64_t loss_pause = 100'000;

void admit(Transaction& transaction, const pqxx::result& left) {
  if (left.empty()) return;
  const auto keys = texts(left[0], "admit");
  if (!keys.empty()) transaction.run("task.admit", Params{keys});
}

std::vector<std::int64_t> ids(const pqxx::result& rows, const char* column = "id") {
  std::vector<std::int64_t> out;
  for (const auto& row : rows) out.push_back(integer(row, column));
  return out;
}

std::vector<std::int64_t> find(Transaction& transaction, const Subject& subject,
                               const std::vector<std::string>& states) {
  if (subject.task != 0) return {subject.task};
  if (subject.plan != 0) return ids(transaction.run("task.of_plan", Params{subject.plan, states}));
  return ids(transaction.run("task.of_cursor", Params{subject.cursor, states}));
}

void audit(Transaction& transaction, const char* verb, const Subject& subject, const std::string& actor,
           const std::string& reason, const std::vector<std::int64_t>& tasks) {
  const nlohmann::json detail{{"tasks", tasks.size()},
                              {"first", tasks.empty() ? nlohmann::json{} : nlohmann::json{tasks.front()}}};
  transaction.run("audit.write", Params{verb, subject.name(), actor, reason, detail.dump()});
}

// The queued descendants that `tasks` take down, found and locked until no new one appears.
std::vector<std::int64_t> doomed(Transaction& transaction, const std::vector<std::int64_t>& tasks) {
  std::vector<std::int64_t> known;
  for (;;) {
    auto found = ids(transaction.run("task.doomed", Params{tasks}));
    if (found == known) return known;
    known = std::move(found);
    std::vector<std::int64_t> all = tasks;
    all.insert(all.end(), known.begin(), known.end());
    transaction.run("task.lock", Params{all});
  }
}

std::vector<Left> leave_one_way(Transaction& transaction, const std::vector<std::int64_t>& tasks, const Exit& exit) {
  const auto rows =
      transaction.run("task.leave", Params{tasks, exit.want, exit.reason, exit.pause, exit.failures, exit.losses});
  admit(transaction, rows);
  std::vector<Left> out;
  for (const auto& row : rows) out.push_back({integer(row, "id"), text(row, "want")});
  return out;
}

// A closed task may be queued again only while its whole window is still missing: otherwise somebody has loaded or taken a
// part of it, and its rows would be there twice.
void check_missing(Transaction& transaction, const pqxx::row& task) {
  const auto cursor = maybe_integer(task, "cursor_id");
  const auto id = std::to_string(integer(task, "id"));
  if (boolean(task, "superseded")) {
    throw core::Error{
        core::ErrorCode::Conflict,
        "task " + id + " was cut anew; retry the tasks of the plan that replaced it, or ingest the window again"};
  }
  if (!cursor) return;
  const auto lo = integer(task, "lo");
  const auto hi = integer(task, "hi");
  const auto missing = transaction.run("plan.missing", Params{*cursor, integer(task, "generation"), lo, hi});
  if (missing.size() == 1 && integer(missing[0], "lo") == lo && integer(missing[0], "hi") == hi) return;
  throw core::Error{core::ErrorCode::Conflict, "task " + id +
                                                   ": its window is no longer missing, because other tasks have loaded "
                                                   "or hold a part of it; ingest the window again instead"};
}

}  // namespace

std::string Subject::name() const {
  if (task != 0) return "task:" + std::to_string(task);
  if (plan != 0) return "plan:" + std::to_string(plan);
  return "cursor:" + std::to_string(cursor);
}

pqxx::result lock_tasks(Transaction& transaction, const std::vector<std::int64_t>& tasks) {
  return transaction.run("task.lock", Params{tasks});
}

std::vector<Left> leave(Transaction& transaction, const std::vector<std::int64_t>& tasks, const Exit& exit) {
  std::vector<Left> out = leave_one_way(transaction, tasks, exit);
  std::vector<std::int64_t> fallen;
  for (const auto& left : out) {
    if (left.status == "FAILED" || left.status == "CANCELLED") fallen.push_back(left.task);
  }
  if (fallen.empty()) return out;
  if (const auto below = doomed(transaction, fallen); !below.empty())
    leave_one_way(transaction, below, {"FAILED", "UPSTREAM_FAILED"});
  return out;
}

std::vector<Left> cancel(Session& session, const Subject& subject, const std::string& actor,
                         const std::string& reason) {
  std::set<std::int64_t> plans;
  auto out = session.transact(page_limits, [&](Transaction& transaction) {
    plans.clear();
    std::vector<Left> ended;
    const auto tasks = find(transaction, subject, {"QUEUED", "RUNNING"});
    if (tasks.empty()) return ended;
    std::vector<std::int64_t> queued;
    std::vector<std::int64_t> running;
    for (const auto& row : lock_tasks(transaction, tasks)) plans.insert(integer(row, "plan_id"));
    for (const auto& row : transaction.run("task.cancel_ask", Params{tasks})) {
      (text(row, "status_code") == "QUEUED" ? queued : running).push_back(integer(row, "id"));
    }
    if (queued.empty() && running.empty()) return ended;
    if (!queued.empty()) ended = leave(transaction, queued, {"CANCELLED", "CANCELLED"});
    if (!running.empty()) transaction.run("run.cancel_copy", Params{running});
    for (const auto task : running) ended.push_back({task, "RUNNING"});
    audit(transaction, "cancel", subject, actor, reason, tasks);
    return ended;
  });
  for (const auto plan : plans) close_plan(session, plan);
  return out;
}

std::vector<std::int64_t> retry(Session& session, const Subject& subject, const std::string& actor,
                                const std::string& reason) {
  std::set<std::int64_t> cursors;
  std::set<std::int64_t> plans;
  auto out = session.transact(plan_limits, [&](Transaction& transaction) {
    cursors.clear();
    plans.clear();
    std::vector<std::int64_t> queued;
    const auto wanted = find(transaction, subject, {"FAILED", "CANCELLED"});
    if (wanted.empty()) return queued;
    // The lock order: cursors, plans, tasks. The cursor keeps planners away while the windows are checked.
    for (const auto& row : transaction.run("task.retry_find", Params{wanted})) {
      if (const auto cursor = maybe_integer(row, "cursor_id")) cursors.insert(*cursor);
    }
    for (const auto cursor : cursors) transaction.run("plan.lock", Params{cursor});
    // Read again: what the locks waited for may have cut a window anew, or queued its task.
    std::vector<std::int64_t> tasks;
    for (const auto& row : transaction.run("task.retry_find", Params{wanted})) {
      const auto status = text(row, "status_code");
      if (status != "FAILED" && status != "CANCELLED") continue;
      // Of a whole plan only what can be retried is; a task asked for by name says why it cannot.
      if (subject.task == 0 && boolean(row, "superseded")) continue;
      // A descendant that fell since, under a cursor that is not ours.
      if (const auto cursor = maybe_integer(row, "cursor_id"); cursor && cursors.count(*cursor) == 0) continue;
      check_missing(transaction, row);
      plans.insert(integer(row, "plan_id"));
      tasks.push_back(integer(row, "id"));
    }
    if (tasks.empty()) return queued;
    transaction.run("task.retry_plans", Params{std::vector<std::int64_t>(plans.begin(), plans.end())});
    lock_tasks(transaction, tasks);
    std::vector<std::string> keys;
    for (const auto task : tasks) {
      const auto moved = transaction.run("task.retry", Params{task});
      if (moved.empty()) continue;
      queued.push_back(task);
      if (const auto key = maybe_text(moved[0], "mutex_key")) keys.push_back(*key);
    }
    if (!keys.empty()) transaction.run("task.admit", Params{keys});
    audit(transaction, "retry", subject, actor, reason, queued);
    return queued;
  });
  // Whoever held a cursor looks again for coverage that a fold left to it.
  for (const auto cursor : cursors) fold(session, cursor);
  // A plan that was opened for a task that somebody else has retried and finished.
  for (const auto plan : plans) close_plan(session, plan);
  return out;
}

Reaped reap(Session& session, std::int64_t most, std::int64_t lease) {
  std::set<std::int64_t> plans;
  Reaped out = session.transact(page_limits, [&](Transaction& transaction) {
    Reaped reaped;
    plans.clear();
    for (const auto& row : transaction.run("run.reap_lock", Params{most})) {
      const std::vector<std::int64_t> task{integer(row, "id")};
      const std::vector<std::int64_t> attempt{integer(row, "attempt_no")};
      if (transaction.run("run.reap", Params{task, attempt}).empty()) continue;
      // A page since the last loss is progress: the count begins again, as it does in leave.
      const std::int64_t losses = (boolean(row, "progressed") ? 0 : integer(row, "losses")) + 1;
      const bool spent = losses >= integer(row, "max_losses");
      const bool cancelled = boolean(row, "cancel");
      const auto left = leave(transaction, task,
                              spent && !cancelled ? Exit{"FAILED", "LEASE_LOST", 0, 0, 1}
                                                  : Exit{"QUEUED", "LEASE_LOST", losses * loss_pause, 0, 1});
      plans.insert(integer(row, "plan_id"));
      const auto status = left.empty() ? std::string{} : left[0].status;
      (status == "CANCELLED" ? reaped.cancelled : status == "FAILED" ? reaped.failed : reaped.lost) += 1;
    }
    return reaped;
  });
  session.transact(page_limits, [&](Transaction& transaction) {
    const auto late = ids(transaction.run("task.deadline_due", Params{most}));
    if (!late.empty()) {
      for (const auto& row : lock_tasks(transaction, late)) plans.insert(integer(row, "plan_id"));
      out.failed += static_cast<std::int64_t>(leave(transaction, late, {"FAILED", "DEADLINE"}).size());
    }
  });
  session.transact(page_limits, [&](Transaction& transaction) {
    const auto orphans = ids(transaction.run("task.orphans", Params{most, 3 * lease}));
    if (!orphans.empty()) {
      for (const auto& row : lock_tasks(transaction, orphans)) plans.insert(integer(row, "plan_id"));
      out.cancelled += static_cast<std::int64_t>(leave(transaction, orphans, {"CANCELLED", "PROVIDER_GONE"}).size());
    }
  });
  session.transact(page_limits, [&](Transaction& transaction) {
    std::vector<std::string> keys;
    for (const auto& row : transaction.run("task.mutex_idle")) keys.push_back(text(row, "key"));
    if (!keys.empty()) transaction.run("task.admit", Params{keys});
  });
  out.plans.assign(plans.begin(), plans.end());
  for (const auto plan : out.plans) close_plan(session, plan);
  return out;
}

}  // namespace strandline::pg
