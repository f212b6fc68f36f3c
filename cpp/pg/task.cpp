#include "pg/task.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "pg/cursor.hpp"
#include "pg/gate.hpp"
#include "pg/plan.hpp"
#include "pg/pool.hpp"
#include "pg/row.hpp"

namespace strandline::pg {
namespace {

// After a lost lease a task rests, longer each time, so that a page that kills its worker does not kill them all at once.
constexpr std::int64_t loss_pause = 100'000;

std::vector<std::int64_t> ids(const pqxx::result& rows, const char* column = "id") {
  std::vector<std::int64_t> out;
  for (const auto& row : rows) out.push_back(integer(row, column));
  return out;
}

// The queued descendants that `tasks` take down. lock_below has them; who was planned while it waited is locked here, until no new
// one appears.
std::vector<std::int64_t> doomed(Transaction& transaction, const std::vector<std::int64_t>& tasks) {
  std::vector<std::int64_t> known;
  for (;;) {
    auto found = ids(transaction.run("task.doomed", Params{tasks}));
    if (found == known) return known;
    known = std::move(found);
    lock_below(transaction, tasks);
  }
}

std::vector<Left> leave_one_way(Transaction& transaction, const std::vector<std::int64_t>& tasks, const Exit& exit) {
  const auto rows =
      transaction.run("task.leave", Params{tasks, exit.want, exit.reason, exit.pause, exit.failures, exit.losses});
  admit(transaction, rows);
  std::vector<Left> out;
  for (const auto& row : rows) out.push_back({integer(row, "id"), text(row, "want"), integer(row, "plan_id")});
  return out;
}

// Whether nobody has loaded or taken any part of the task's window since it was closed.
bool missing(Transaction& transaction, const pqxx::row& task) {
  const auto cursor = maybe_integer(task, "cursor_id");
  if (!cursor) return true;
  const auto lo = integer(task, "lo");
  const auto hi = integer(task, "hi");
  const auto parts = transaction.run("plan.missing", Params{*cursor, integer(task, "generation"), lo, hi});
  return parts.size() == 1 && integer(parts[0], "lo") == lo && integer(parts[0], "hi") == hi;
}

}  // namespace

void check_missing(Transaction& transaction, const pqxx::row& task) {
  const auto id = std::to_string(integer(task, "id"));
  if (boolean(task, "superseded")) {
    throw core::Error{
        core::ErrorCode::Conflict,
        "task " + id + " was cut anew; retry the tasks of the plan that replaced it, or ingest the window again"};
  }
  if (missing(transaction, task)) return;
  throw core::Error{core::ErrorCode::Conflict, "task " + id +
                                                   ": its window is no longer missing, because other tasks have loaded "
                                                   "or hold a part of it; ingest the window again instead"};
}

std::string Subject::name() const {
  if (task != 0) return "task:" + std::to_string(task);
  if (plan != 0) return "plan:" + std::to_string(plan);
  return "cursor:" + std::to_string(cursor);
}

std::vector<std::int64_t> find_tasks(Transaction& transaction, const Subject& subject,
                                     const std::vector<std::string>& states) {
  if (subject.task != 0) return {subject.task};
  if (subject.plan != 0) return ids(transaction.run("task.of_plan", Params{subject.plan, states}));
  return ids(transaction.run("task.of_cursor", Params{subject.cursor, states}));
}

std::vector<std::int64_t> lock_live(Transaction& transaction, const Subject& subject, Lock lock) {
  auto tasks = find_tasks(transaction, subject, {"QUEUED", "RUNNING"});
  if (tasks.empty()) return tasks;
  lock(transaction, tasks);
  if (subject.task != 0) return tasks;
  for (const auto task : find_tasks(transaction, subject, {"QUEUED", "RUNNING"})) {
    // Cut anew or queued again by whom the locks waited for: it may come before what is locked.
    if (!std::binary_search(tasks.begin(), tasks.end(), task)) throw More{};
  }
  return tasks;
}

void audit(Transaction& transaction, const char* verb, const Subject& subject, const std::string& actor,
           const std::string& reason, const std::vector<std::int64_t>& tasks) {
  const nlohmann::json detail{{"tasks", tasks.size()},
                              {"first", tasks.empty() ? nlohmann::json{} : nlohmann::json{tasks.front()}}};
  transaction.run("audit.write", Params{verb, subject.name(), actor, reason, detail.dump()});
}

void admit(Transaction& transaction, const pqxx::result& left) {
  if (left.empty()) return;
  const auto keys = texts(left[0], "admit");
  if (!keys.empty()) transaction.run("task.admit", Params{keys});
}

pqxx::result lock_tasks(Transaction& transaction, const std::vector<std::int64_t>& tasks) {
  return transaction.run("task.lock", Params{tasks});
}

pqxx::result lock_below(Transaction& transaction, const std::vector<std::int64_t>& tasks) {
  return transaction.run("task.lock_below", Params{tasks});
}

std::vector<Left> leave(Transaction& transaction, const std::vector<std::int64_t>& tasks, const Exit& exit) {
  std::vector<Left> out = leave_one_way(transaction, tasks, exit);
  std::vector<std::int64_t> fallen;
  for (const auto& left : out) {
    if (left.status == "FAILED" || left.status == "CANCELLED") fallen.push_back(left.task);
  }
  if (fallen.empty()) return out;
  if (const auto below = doomed(transaction, fallen); !below.empty()) {
    const auto also = leave_one_way(transaction, below, {"FAILED", "UPSTREAM_FAILED"});
    out.insert(out.end(), also.begin(), also.end());
  }
  return out;
}

std::vector<Left> cancel(Session& session, const Subject& subject, const std::string& actor,
                         const std::string& reason) {
  std::set<std::int64_t> plans;
  auto out = transact_held(session, page_limits, [&](Transaction& transaction) {
    plans.clear();
    std::vector<Left> ended;
    const auto tasks = lock_live(transaction, subject, lock_below);
    if (tasks.empty()) return ended;
    std::vector<std::int64_t> queued;
    std::vector<std::int64_t> running;
    for (const auto& row : transaction.run("task.cancel_ask", Params{tasks})) {
      (text(row, "status_code") == "QUEUED" ? queued : running).push_back(integer(row, "id"));
    }
    if (queued.empty() && running.empty()) return ended;
    if (!queued.empty()) ended = leave(transaction, queued, {"CANCELLED", "CANCELLED"});
    for (const auto& each : ended) plans.insert(each.plan);
    if (!running.empty()) transaction.run("run.cancel_copy", Params{running});
    for (const auto task : running) ended.push_back({task, "RUNNING", 0});
    audit(transaction, "cancel", subject, actor, reason, tasks);
    return ended;
  });
  close_plans(session, plans);
  return out;
}

namespace {

bool closed(const pqxx::row& row) {
  const auto status = text(row, "status_code");
  return status == "FAILED" || status == "CANCELLED";
}

pqxx::result find_closed(Transaction& transaction, const std::vector<std::int64_t>& wanted, Held& held) {
  auto rows = transaction.run("task.retry_find", Params{wanted});
  for (const auto& row : rows) {
    if (!closed(row) || maybe_integer(row, "gate_plan")) continue;
    held.turn = held.turn || boolean(row, "waits");
    if (const auto cursor = maybe_integer(row, "cursor_id")) held.cursors.insert(*cursor);
    held.plans.insert(integer(row, "plan_id"));
  }
  return rows;
}

// Takes cursors, then plans, and looks again behind each: what the locks waited for may have cut a window anew, queued its task, or
// ended a plan together with those who wait for it.
pqxx::result lock_closed(Transaction& transaction, const std::vector<std::int64_t>& wanted, Held& held) {
  const bool turn = held.turn;
  find_closed(transaction, wanted, held);
  if (held.turn != turn) throw More{};
  for (const auto cursor : held.cursors) transaction.run("plan.lock", Params{cursor});
  const std::size_t cursors = held.cursors.size();
  find_closed(transaction, wanted, held);
  transaction.run("task.retry_plans", Params{std::vector<std::int64_t>(held.plans.begin(), held.plans.end())});
  const std::size_t plans = held.plans.size();
  auto rows = find_closed(transaction, wanted, held);
  if (held.turn != turn || held.cursors.size() != cursors || held.plans.size() != plans) throw More{};
  return rows;
}

// Those of the tasks found that can be queued again, with the gates of their plans, ascending.
std::vector<std::int64_t> retryable(Transaction& transaction, const pqxx::result& rows, const Subject& subject,
                                    std::set<std::int64_t> plans) {
  std::vector<std::int64_t> tasks;
  std::map<std::int64_t, std::int64_t> gates;  // of plans
  for (const auto& row : rows) {
    if (!closed(row)) continue;
    const auto id = integer(row, "id");
    if (const auto plan = maybe_integer(row, "gate_plan")) {
      gates.emplace(*plan, id);
      continue;
    }
    // Of a whole plan, and of what fell with its tasks, only what can be retried is: the rest was loaded or cut anew
    // meanwhile and has nothing left to do. A task asked for by name says why it cannot.
    if (id == subject.task) {
      check_missing(transaction, row);
    } else if (boolean(row, "superseded") || !missing(transaction, row)) {
      continue;
    }
    plans.insert(integer(row, "plan_id"));
    tasks.push_back(id);
  }
  // Those who wait for a plan wait again when it is open again.
  for (const auto& [plan, gate] : gates) {
    if (plans.count(plan) != 0) tasks.push_back(gate);
  }
  std::sort(tasks.begin(), tasks.end());
  return tasks;
}

}  // namespace

std::vector<std::int64_t> queue_again(Transaction& transaction, const Subject& subject, Held& held, bool dependents) {
  std::vector<std::int64_t> queued;
  if (held.turn) transaction.run("gate.turn");
  std::vector<std::int64_t> wanted;
  if (!dependents) wanted = find_tasks(transaction, subject, {"FAILED", "CANCELLED"});
  std::set<std::int64_t> plans;
  if (subject.plan != 0) {
    // Later plans may have loaded its window: then those who waited for it in vain go on.
    const auto gate = transaction.run("gate.fallen_of_plan", Params{subject.plan});
    if (!gate.empty() && boolean(gate[0], "loaded")) {
      wanted.push_back(integer(gate[0], "id"));
      plans.insert(subject.plan);
      held.plans.insert(subject.plan);
    }
  }
  if (wanted.empty()) return queued;
  const auto rows = lock_closed(transaction, wanted, held);
  const auto tasks = retryable(transaction, rows, subject, std::move(plans));
  if (tasks.empty()) return queued;
  lock_tasks(transaction, tasks);
  // A child that was planned on one of them while the lock was waited for was born fallen.
  if (ids(find_closed(transaction, wanted, held)) != ids(rows)) throw More{};
  std::vector<std::string> keys;
  std::vector<std::int64_t> waiting;
  const std::set<std::int64_t> named(wanted.begin(), wanted.end());
  bool asked = false;  // any of those that were asked for
  for (const auto task : tasks) {
    const auto moved = transaction.run("task.retry", Params{task});
    if (moved.empty()) continue;
    asked = asked || named.count(task) != 0;
    if (task > 0) queued.push_back(task);
    if (integer(moved[0], "unmet") > 0) waiting.push_back(task);
    if (const auto key = maybe_text(moved[0], "mutex_key")) keys.push_back(*key);
  }
  if (!keys.empty()) transaction.run("task.admit", Params{keys});
  if (const auto parent = circle(transaction, waiting))
    throw core::Error{core::ErrorCode::Conflict, subject.name() + " waits for " + *parent +
                                                     ", which has come to wait for it: ingest its window again without "
                                                     "depends_on, or cancel what waits for it"};
  if (asked) return queued;
  if (const auto why = transaction.run("gate.fallen", Params{tasks}); !why.empty()) {
    throw core::Error{core::ErrorCode::Conflict,
                      "task " + text(why[0], "task_id") + " needs " + text(why[0], "parent") + ", which is " +
                          text(why[0], "status_code") + ": retry that first, or ingest the window again without it"};
  }
  return queued;
}

namespace {

std::vector<std::int64_t> retry(Session& session, const Subject& subject, const std::string& actor,
                                const std::string& reason, bool dependents) {
  Held held;
  auto out = transact_held(session, plan_limits, [&](Transaction& transaction) {
    auto queued = queue_again(transaction, subject, held, dependents);
    if (!queued.empty()) audit(transaction, "retry", subject, actor, reason, queued);
    return queued;
  });
  let_go(session, held);
  return out;
}

}  // namespace

std::vector<std::int64_t> retry(Session& session, const Subject& subject, const std::string& actor,
                                const std::string& reason) {
  return retry(session, subject, actor, reason, false);
}

void revive(Session& session, std::int64_t plan, const std::string& reason) {
  Subject of;
  of.plan = plan;
  try {
    retry(session, of, "strandline", reason, true);
  } catch (const core::Error& error) {
    // What cannot go on stays fallen, and says why to whoever asks for it.
    if (error.code() != core::ErrorCode::Conflict) throw;
  }
}

void let_go(Session& session, const Held& held) {
  // Whoever held a cursor looks again for coverage that a fold left to it.
  for (const auto cursor : held.cursors) fold(session, cursor);
  // A plan that was opened for a task that somebody else has retried and finished.
  close_plans(session, held.plans);
}

namespace {

Reaped& operator+=(Reaped& sum, const Reaped& more) {
  sum.lost += more.lost;
  sum.cancelled += more.cancelled;
  sum.failed += more.failed;
  return sum;
}

// Ends what query `name` finds, `most` a time, until nothing is left. It takes only what is free, in no order. So those for whom
// others wait end one by one, each in a transaction that first takes all below it and then looks again.
template <class End>
Reaped end_found(Session& session, const char* name, const Params& params, std::int64_t most, End end) {
  Reaped sum;
  for (;;) {
    std::int64_t found = 0;
    std::vector<std::int64_t> tied;
    Reaped round = session.transact(page_limits, [&](Transaction& transaction) {
      found = 0;
      tied.clear();
      std::vector<pqxx::row> free;
      for (const auto& row : transaction.run(name, params)) {
        ++found;
        if (boolean(row, "tied")) {
          tied.push_back(integer(row, "id"));
        } else {
          free.push_back(row);
        }
      }
      return end(transaction, free);
    });
    for (const auto task : tied) {
      round += session.transact(page_limits, [&](Transaction& transaction) {
        lock_below(transaction, {task});
        std::vector<pqxx::row> again;
        for (const auto& row : transaction.run(name, params)) {
          if (integer(row, "id") == task) again.push_back(row);
        }
        return end(transaction, again);
      });
    }
    sum += round;
    if (found < most || round.lost + round.cancelled + round.failed == 0) return sum;
  }
}

// Ends runs whose lease has passed; their tasks are queued again, as long as they may.
auto lose_runs(std::set<std::int64_t>& plans) {
  return [&plans](Transaction& transaction, const std::vector<pqxx::row>& rows) {
    Reaped reaped;
    for (const auto& row : rows) {
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
      for (const auto& each : left) plans.insert(each.plan);
      const auto status = left.empty() ? std::string{} : left[0].status;
      (status == "CANCELLED" ? reaped.cancelled : status == "FAILED" ? reaped.failed : reaped.lost) += 1;
    }
    return reaped;
  };
}

// Ends queued tasks in one way.
auto end_queued(const Exit& exit, std::set<std::int64_t>& plans) {
  return [&plans, exit](Transaction& transaction, const std::vector<pqxx::row>& rows) {
    std::vector<std::int64_t> tasks;
    for (const auto& row : rows) tasks.push_back(integer(row, "id"));
    if (tasks.empty()) return Reaped{};
    for (const auto& each : leave(transaction, tasks, exit)) plans.insert(each.plan);
    Reaped reaped;
    (exit.want == "CANCELLED" ? reaped.cancelled : reaped.failed) = static_cast<std::int64_t>(tasks.size());
    return reaped;
  };
}

}  // namespace

bool admit_idle(Session& session) {
  return session.transact(page_limits, [](Transaction& transaction) {
    std::vector<std::string> keys;
    for (const auto& row : transaction.run("task.mutex_idle")) keys.push_back(text(row, "key"));
    return !keys.empty() && !transaction.run("task.admit", Params{keys}).empty();
  });
}

Reaped reap(Session& session, std::int64_t most, std::int64_t lease) {
  Reaped out;
  std::set<std::int64_t> plans;
  out += end_found(session, "run.reap_lock", Params{most}, most, lose_runs(plans));
  out += end_found(session, "task.deadline_due", Params{most}, most, end_queued({"FAILED", "DEADLINE"}, plans));
  out += end_found(session, "task.orphans", Params{most, 3 * lease}, most,
                   end_queued({"CANCELLED", "PROVIDER_GONE"}, plans));
  session.transact(page_limits, [&](Transaction& transaction) {
    admit(transaction, transaction.run("task.hand_on", Params{most, lease}));
  });
  admit_idle(session);
  tidy_pools(session);
  open_gates(session, std::nullopt);
  session.transact(page_limits, [&](Transaction& transaction) {
    for (const auto plan : ids(transaction.run("plan.close_look", Params{std::nullopt, most}))) plans.insert(plan);
  });
  plans.erase(0);  // of gates
  out.plans.assign(plans.begin(), plans.end());
  close_plans(session, plans);
  return out;
}

}  // namespace strandline::pg
