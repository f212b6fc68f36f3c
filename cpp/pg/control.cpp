#include "pg/control.hpp"

#include <nlohmann/json.hpp>

#include "core/keys.hpp"
#include "pg/row.hpp"
#include "pg/run.hpp"

namespace strandline::pg {
namespace {

using nlohmann::json;

// An operator's own run is as long as its transaction.
constexpr std::int64_t moment = 60'000'000;

// Finds the live tasks, locks them, moves them, and says so in the audit trail where anything changed. `first` runs before: for what
// lies above tasks in the order of locks. It returns whether it changed anything.
template <class First, class Move>
std::vector<Left> act(Session& session, const Subject& subject, const char* verb, const std::string& actor,
                      const std::string& reason, First first, Move move) {
  return transact_held(session, page_limits, [&](Transaction& transaction) {
    std::vector<Left> out;
    const bool changed = first(transaction);
    const auto tasks = lock_live(transaction, subject);
    if (!tasks.empty()) {
      for (const auto& row : move(transaction, tasks)) out.push_back({integer(row, "id"), text(row, "status_code"), 0});
    }
    std::vector<std::int64_t> moved;
    for (const auto& each : out) moved.push_back(each.task);
    if (changed || !moved.empty()) audit(transaction, verb, subject, actor, reason, moved);
    return out;
  });
}

const auto nothing_first = [](Transaction&) { return false; };

// The cursor before its tasks, so that no planner slips in between.
auto hold_cursor(const Subject& subject, bool held) {
  return [&subject, held](Transaction& transaction) {
    return subject.cursor != 0 && !transaction.run("plan.hold_cursor", Params{subject.cursor, held}).empty();
  };
}

// A statement that moves tasks and names the mutexes at which others may go on.
auto move_by(const char* query) {
  return [query](Transaction& transaction, const std::vector<std::int64_t>& tasks) {
    auto rows = transaction.run(query, Params{tasks});
    admit(transaction, rows);
    return rows;
  };
}

// The page that a task failed at, as its run described it.
struct BadPage {
  std::optional<std::string> before;
  std::optional<std::string> after;
  bool done = false;
  std::int64_t size = 0;
  std::string error;
};

std::optional<std::string> token(const json& page, const char* name) {
  const auto found = page.find(name);
  if (found == page.end() || found->is_null()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<BadPage> bad_page(const pqxx::row& task) {
  const auto error = maybe_text(task, "last_error");
  if (!error) return std::nullopt;
  const json told = json::parse(*error);
  const auto page = told.find("page");
  if (page == told.end() || !page->is_object()) return std::nullopt;
  return BadPage{token(*page, "before"), token(*page, "after"), page->value("done", false),
                 page->value("size", std::int64_t{0}), *error};
}

}  // namespace

void refuse(std::int64_t task, const std::string& why) {
  throw core::Error{core::ErrorCode::Conflict, "task " + std::to_string(task) + " " + why};
}

std::vector<Left> pause(Session& session, const Subject& subject, const std::string& actor, const std::string& reason) {
  return act(session, subject, "pause", actor, reason, hold_cursor(subject, true), move_by("task.pause"));
}

std::vector<Left> resume(Session& session, const Subject& subject, const std::string& actor,
                         const std::string& reason) {
  return act(session, subject, "resume", actor, reason, hold_cursor(subject, false), move_by("task.resume"));
}

std::vector<Left> trigger(Session& session, const Subject& subject, const std::string& actor,
                          const std::string& reason) {
  return act(session, subject, "trigger", actor, reason, nothing_first, move_by("task.trigger"));
}

std::vector<Left> set_priority(Session& session, const Subject& subject, std::int64_t priority,
                               const std::string& actor, const std::string& reason) {
  if (priority < 1 || priority > 9)
    throw core::Error{core::ErrorCode::ConfigError,
                      "priority is " + std::to_string(priority) + "; it goes from 1 (first) to 9 (last)"};
  return act(session, subject, "priority", actor, reason, nothing_first,
             [priority](Transaction& transaction, const std::vector<std::int64_t>& tasks) {
               return transaction.run("task.priority", Params{tasks, priority});
             });
}

namespace {

bool same_token(const std::optional<std::string>& a, const std::optional<std::string>& b) {
  if (!a || !b) return !a && !b;
  return json::parse(*a) == json::parse(*b);
}

// The task as it stands, under the locks of everything that the move needs; a closed one is queued again first, with all that waits
// for it.
pqxx::row take_up(Transaction& transaction, const Subject& subject, Held& held) {
  const auto known = transaction.run("task.look", Params{subject.task});
  if (known.empty()) refuse(subject.task, "is not known");
  const auto status = text(known[0], "status_code");
  if (status == "FAILED" || status == "CANCELLED") {
    if (bad_page(known[0])) queue_again(transaction, subject, held);
  } else {
    held.plans.insert(integer(known[0], "plan_id"));
    if (const auto cursor = maybe_integer(known[0], "cursor_id")) held.cursors.insert(*cursor);
    for (const auto cursor : held.cursors) transaction.run("plan.lock", Params{cursor});
    lock_below(transaction, {subject.task});
  }
  return transaction.run("task.look", Params{subject.task})[0];
}

void pass_over(Transaction& transaction, Run& run, const BadPage& page, const std::string& actor,
               const std::string& reason) {
  const std::int64_t batch = run.batch_no + 1;
  transaction.run("run.fence",
                  Params{run.task_id, run.attempt_no, run.batch_no, std::int64_t{1}, moment,
                         page.after ? page.after : run.checkpoint, std::int64_t{0}, page.done, std::nullopt});
  transaction.run("run.skip", Params{run.task_id, batch, run.run_id, run.walk_no, page.before, page.after, page.size,
                                     core::sha256({}), core::batch_key(run.task_key, run.walk_no, batch), page.error});
  if (page.done) {
    cover(transaction, run, batch);
    leave(transaction, {run.task_id}, {"SUCCEEDED", "DONE"});
    return;
  }
  const auto cause =
      operator_cause("skip", actor, "passed over page " + std::to_string(batch), reason, of_task(run.task_id).name());
  end_run(transaction, run, "YIELDED", "SKIPPED", actor, cause);
  leave(transaction, {run.task_id}, {"QUEUED", "SKIPPED"});
}

}  // namespace

Skipped skip(Session& session, std::int64_t task, const std::string& actor, const std::string& reason) {
  const Subject subject = of_task(task);
  Held held;
  Skipped out = transact_held(session, plan_limits, [&](Transaction& transaction) {
    const auto row = take_up(transaction, subject, held);
    const auto page = bad_page(row);
    if (!page) {
      // An earlier call has passed over it.
      const auto last = transaction.run("run.skipped", Params{task});
      if (!last.empty()) return Skipped{integer(last[0], "batch_no"), text(last[0], "status_code")};
      refuse(task,
             "has no page to pass over: skip is for a page that came and could not be stored, and its last error"
             " names none");
    }
    const auto status = text(row, "status_code");
    if (status == "RUNNING") refuse(task, "runs: it may store the page yet; pause or cancel it first");
    if (status == "SUCCEEDED") refuse(task, "has succeeded: there is nothing to pass over");
    if (!page->after && !page->done)
      refuse(task, "failed at a page without a cursor behind it: there is nothing to go on from. Repair the page");
    const auto taken = transaction.run("task.take", Params{task, actor, moment});
    if (taken.empty()) refuse(task, "is no longer what it was; look again");
    Run run = read_run(taken[0], actor);
    if (!same_token(page->before, run.checkpoint))
      refuse(task, "has stored that page since, or has begun again: there is nothing to pass over");
    pass_over(transaction, run, *page, actor, reason);
    transaction.run("task.error", Params{task, std::nullopt});
    audit(transaction, "skip", subject, actor, reason, {task});
    return Skipped{run.batch_no + 1, page->done ? "SUCCEEDED" : "QUEUED"};
  });
  let_go(session, held);
  return out;
}

}  // namespace strandline::pg
