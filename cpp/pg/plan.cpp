#include "pg/plan.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/window.hpp"
#include "pg/cursor.hpp"
#include "pg/gate.hpp"
#include "pg/plan_request.hpp"
#include "pg/plan_rows.hpp"
#include "pg/plan_work.hpp"
#include "pg/row.hpp"
#include "pg/stream.hpp"
#include "pg/task.hpp"

namespace strandline::pg {
namespace {

using nlohmann::json;

struct Trigger {
  std::int64_t id = 0;
  std::int64_t triggered_at = 0;
  bool fresh = false;
};

std::string shown(std::int64_t bound, const PlanRequest& request) { return core::bound_text(bound, request.type); }

void check_same(const PlanRequest& request, const pqxx::row& known) {
  if (digest(known, "request_hash") == request.request_hash) return;
  throw core::Error{core::ErrorCode::Conflict,
                    "the trigger (" + request.scheduler + ", " + request.job + ", " + request.log + ") of " +
                        text(known, "created") +
                        " asked for something else; send the same request, or give the new one a trigger of its own"};
}

// The stored answer of a trigger that is known.
std::optional<PlanResult> known_plan(Transaction& transaction, const PlanRequest& request) {
  const auto instance = transaction.run("plan.instance_find", Params{request.scheduler, request.job, request.log});
  if (instance.empty()) return std::nullopt;
  check_same(request, instance[0]);
  const auto plans = transaction.run("plan.by_trigger", Params{integer(instance[0], "id")});
  if (plans.empty()) return std::nullopt;
  const auto& row = plans[0];
  PlanResult out;
  out.plan_id = integer(row, "id");
  out.plan_key = text(row, "plan_key").substr(2);
  out.schedule_instance_id = integer(instance[0], "id");
  out.stream_id = integer(row, "stream_id");
  out.cursor_id = maybe_integer(row, "cursor_id");
  out.status = text(row, "status_code");
  out.reason_code = maybe_text(row, "reason_code");
  out.reason = maybe_text(row, "reason");
  out.slices = integer(row, "total_slices");
  if (const auto lo = maybe_integer(row, "window_from")) out.window = core::Interval{*lo, integer(row, "window_to")};
  out.window_spec = text(row, "window_spec");
  out.generation = integer(row, "generation");
  out.repeated = true;
  if (out.cursor_id && out.window) {
    for (const auto& other : transaction.run(
             "plan.in_flight", Params{*out.cursor_id, out.generation, out.window->lo, out.window->hi, *out.plan_id}))
      out.in_flight_plans.push_back(integer(other, "plan_id"));
  }
  return out;
}

// Writes the trigger. Not fresh: it is known, and the caller answers from the ledger.
Trigger write_trigger(Transaction& transaction, const PlanRequest& request) {
  const auto expr = request.expr == "null" ? std::nullopt : std::optional{request.expr};
  const auto row = transaction.run(
      "plan.instance", Params{request.provenance, request.scheduler, request.job, request.log, request.trigger_type,
                              request.request, request.request_hash, request.snapshot, core::sha256(request.snapshot),
                              expr, request.expr_hash, request.actor});
  if (row.empty()) return {};
  return {integer(row[0], "id"), integer(row[0], "triggered_at"), true};
}

// The window of a plan, and where each bound came from.
struct Bounds {
  core::Interval window;
  std::string from;
  std::string to;
};

Bounds bounds_of(const PlanRequest& request, const pqxx::row& cursor, std::int64_t triggered_at) {
  const core::Window asked = request.resolve(triggered_at);
  Bounds out;
  const std::int64_t mark = integer(cursor, "value_norm");
  if (asked.lo) {
    out = {{*asked.lo, 0}, "argument", ""};
  } else {
    out = {{mark - request.lookback, 0}, mark == integer(cursor, "origin") ? "origin" : "watermark", ""};
  }
  if (asked.hi) {
    out.window.hi = *asked.hi;
    out.to = "argument";
  } else if (request.type == core::CursorType::Time) {
    out.window.hi = triggered_at - request.lag;
    out.to = "now";
  } else {
    throw core::Error{
        core::ErrorCode::ConfigError,
        request.provenance + ": a window of ids needs an end, because ids have no now; give window=(start, stop)"};
  }
  // A watermark beyond now, or a lag that reaches behind it, leaves nothing to ask for.
  out.window.hi = std::max(out.window.hi, out.window.lo);
  if (!request.value) out.window = core::frame(request.strategy, request.time_zone(), out.window);
  return out;
}

std::string window_spec(const PlanRequest& request, const Bounds& bounds) {
  return json{{"asked", json::parse(request.window_asked)}, {"from", bounds.from}, {"to", bounds.to}}.dump();
}

struct Why {
  const char* code = nullptr;
  std::string text;
};

Why why_empty(const PlanRequest& request, const Bounds& bounds, const std::vector<std::int64_t>& in_flight) {
  const std::string window = '[' + shown(bounds.window.lo, request) + ", " +
                             (bounds.window.hi == open_end ? std::string{"open"} : shown(bounds.window.hi, request)) +
                             ')';
  if (bounds.window.empty())
    return {"EMPTY_WINDOW", "the window is empty: it begins and ends at " + shown(bounds.window.lo, request) + " (" +
                                bounds.from + ", " + bounds.to + ")"};
  if (request.only == PlanRequest::Only::Failed) return {"NOTHING_FAILED", "nothing in " + window + " has failed"};
  if (!in_flight.empty())
    return {"IN_FLIGHT",
            "what is missing of " + window + " is in the hands of plan " + std::to_string(in_flight.front())};
  return {"NOTHING_MISSING", "all of " + window + " is covered; only=\"all\" reads it again"};
}

// Writes the plan row and its work; what is shared by windows and values.
void write_plan(Transaction& transaction, const PlanRequest& request, const Enrolled& known, const Trigger& trigger,
                const Bounds& bounds, const Work& work, const Why& why, bool held, PlanResult& result) {
  const core::Digest key = core::plan_key(request.scheduler, request.job, request.log, request.stream, 0);
  const auto total = static_cast<std::int64_t>(work.slices.size() + work.reopened.size());
  std::optional<std::int64_t> from;
  std::optional<std::int64_t> to;
  if (!request.value) {
    from = bounds.window.lo;
    to = bounds.window.hi;
  }
  const auto reason_code = why.code == nullptr ? std::nullopt : std::optional<std::string>{why.code};
  const auto reason = why.code == nullptr ? std::nullopt : std::optional{why.text};
  result.status = total == 0 ? "SUCCEEDED" : "ACTIVE";
  result.plan_key = core::to_hex(key);
  result.reason_code = reason_code;
  result.reason = reason;
  result.slices = total;
  result.window_spec = window_spec(request, bounds);
  if (request.dry_run) return;
  result.schedule_instance_id = trigger.id;
  Parents parents;
  // What it waits for is locked before its own row is there, plans and tasks in their order.
  if (total > 0) parents = lock_parents(transaction, request, known.cursor_id, result.window, reopened_tasks(work));
  result.plan_id = integer(
      transaction.run(
          "plan.insert",
          Params{key, trigger.id, known.stream_id, known.cursor_id, request.provenance, request.operation,
                 request.value ? "SINGLE" : core::strategy_code(request.strategy.kind),
                 core::strategy_json(request.strategy), from, to, result.window_spec, request.zone, request.expr_hash,
                 result.generation, total, result.status, reason_code, reason, request.pool})[0],
      "id");
  write_work(transaction, request,
             {*result.plan_id, known.cursor_id, result.generation, request.pool,
              static_cast<std::int64_t>(work.reopened.size()) + 1, static_cast<std::int64_t>(parents.ids.size()),
              parents.fallen, held},
             work, parents);
}

void plan_window(Transaction& transaction, const PlanRequest& request, const Enrolled& known, const Trigger& trigger,
                 PlanResult& result) {
  if (!known.cursor_id) throw core::Error{core::ErrorCode::Error, "a window was enrolled without a cursor"};
  const std::int64_t cursor = *known.cursor_id;
  const auto locked = transaction.run("plan.lock", Params{cursor});
  const auto& row = locked[0];
  result.generation = integer(row, "minimum_generation");
  Bounds bounds;
  if (request.type == core::CursorType::Token) {
    const auto end = transaction.run("plan.token_end", Params{cursor, result.generation});
    bounds = {{maybe_integer(end[0], "hi").value_or(0), open_end}, "watermark", "done"};
  } else {
    bounds = bounds_of(request, row, trigger.triggered_at);
  }
  bool rereads = request.only == PlanRequest::Only::All || (request.lookback > 0 && bounds.from == "watermark");
  if (rereads && !request.target.merge) {
    if (integer(row, "head_sequence_no") > 0 || boolean(transaction.run("plan.begun", Params{cursor})[0], "begun")) {
      throw core::Error{core::ErrorCode::ConfigError,
                        "only=\"all\" reads what is loaded or planned already once more, which mode append would store "
                        "twice; use a primary_key with mode merge"};
    }
    rereads = false;  // nothing is there: the first reading, in the generation that later ones subtract
  }
  if (integer(row, "head_sequence_no") > 0 && !rereads &&
      !describe_target(transaction, request.target.schema, request.target.table) &&
      boolean(transaction.run("plan.has_records", Params{cursor})[0], "known")) {
    throw core::Error{core::ErrorCode::Conflict,
                      request.target.name() +
                          " is gone, and the ledger says that it was loaded; restore the table, or load into another "
                          "one, or read everything again with only=\"all\" and a primary_key"};
  }
  if (rereads) {
    result.generation = integer(transaction.run("plan.new_generation", Params{cursor})[0], "generation");
    if (request.type == core::CursorType::Token) bounds.window.lo = 0;
  }
  // What failed in a reread lies in the reread's generation.
  const std::int64_t newest = integer(row, "generation");
  if (request.only == PlanRequest::Only::Failed && newest > result.generation && !bounds.window.empty()) {
    const auto closed = closed_cuts(transaction, cursor, newest, bounds.window);
    if (std::any_of(closed.begin(), closed.end(), [](const Cut& each) { return each.failed && !each.superseded; })) {
      result.generation = newest;
    }
  }
  result.window = bounds.window;
  Work work;
  if (!bounds.window.empty()) work = lay_out(transaction, request, cursor, result.generation, bounds.window);
  result.missing = work.missing;
  for (const auto& other : transaction.run(
           "plan.in_flight", Params{cursor, result.generation, bounds.window.lo, bounds.window.hi, std::int64_t{0}}))
    result.in_flight_plans.push_back(integer(other, "plan_id"));
  Why why;
  if (work.slices.empty() && work.reopened.empty()) {
    if (work.missing.empty() || !request.dry_run) why = why_empty(request, bounds, result.in_flight_plans);
  } else if (work.left_from) {
    why = {"CAPPED", "max_slices (" + std::to_string(request.max_slices) + ") is reached; what lies " +
                         (request.order == core::Order::Oldest ? "from " : "up to ") + shown(*work.left_from, request) +
                         " is left for the next plan"};
  }
  for (const auto& slice : work.slices) {
    if (result.slice_bounds.size() < 1000 && request.dry_run) result.slice_bounds.push_back(slice.bounds);
  }
  for (const auto& each : work.reopened) {
    if (result.slice_bounds.size() < 1000 && request.dry_run) result.slice_bounds.push_back(each.bounds);
  }
  write_plan(transaction, request, known, trigger, bounds, work, why, boolean(row, "held"), result);
}

void plan_value(Transaction& transaction, const PlanRequest& request, const Enrolled& known, const Trigger& trigger,
                PlanResult& result) {
  const bool iterator = request.value_spec.empty();
  const std::string spec =
      iterator
          ? R"({"plan":")" +
                core::to_hex(core::plan_key(request.scheduler, request.job, request.log, request.stream, 0)) + "\"}"
          : request.value_spec;
  Work work;
  Why why;
  for (result.generation = 1;; ++result.generation) {
    NewSlice slice = identified(request, {}, spec, result.generation);
    const auto found = transaction.run("plan.find_task", Params{slice.key});
    if (found.empty()) {
      work.slices.push_back(std::move(slice));
      break;
    }
    const auto status = text(found[0], "status_code");
    const auto holder = integer(found[0], "plan_id");
    if (status == "FAILED" || status == "CANCELLED") {
      work.reopened.push_back(
          {integer(found[0], "id"), integer(found[0], "slice_id"), holder, {}, false, false, false, slice.key});
      break;
    }
    if (status == "SUCCEEDED" && request.only == PlanRequest::Only::All) continue;
    if (status == "SUCCEEDED" && !describe_target(transaction, request.target.schema, request.target.table) &&
        boolean(transaction.run("plan.task_has_rows", Params{integer(found[0], "id")})[0], "known")) {
      throw core::Error{core::ErrorCode::Conflict,
                        request.target.name() + " is gone, and plan " + std::to_string(holder) +
                            " has loaded this value into it; restore the table, or load again with only=\"all\""};
    }
    if (status == "SUCCEEDED") {
      why = {"NOTHING_MISSING", "already loaded by plan " + std::to_string(holder) + "; only=\"all\" loads it again"};
    } else {
      why = {"IN_FLIGHT", "the same value is being loaded by plan " + std::to_string(holder)};
      result.in_flight_plans.push_back(holder);
    }
    break;
  }
  write_plan(transaction, request, known, trigger, {{}, "value", "value"}, work, why, false, result);
}

}  // namespace

PlanResult plan(Session& session, const json& asked) {
  const PlanRequest request = read_request(session, asked);
  // Everything that can be wrong with the window is found before anything is written.
  const auto [window, known] = session.transact(page_limits, [&](Transaction& transaction) {
    return std::pair{request.resolve(integer(transaction.run("tx.clock")[0], "now")),
                     request.dry_run ? std::nullopt : known_plan(transaction, request)};
  });
  if (known) return *known;

  PlanResult result;
  const auto work = [&](Transaction& transaction, const Enrolled& registered, const Trigger& trigger) {
    result = PlanResult{};
    result.stream_id = registered.stream_id;
    result.cursor_id = registered.cursor_id;
    if (request.value) {
      plan_value(transaction, request, registered, trigger, result);
    } else {
      plan_window(transaction, request, registered, trigger, result);
    }
  };

  if (request.dry_run) {
    const std::lock_guard<std::recursive_mutex> guard{session.turn()};
    Transaction transaction{session, plan_limits};  // never committed
    const Enrolled registered = enroll(transaction, request, window);
    work(transaction, registered, {0, integer(transaction.run("tx.clock")[0], "now"), true});
    return result;
  }

  // A transaction of its own, so that planners of other windows do not wait for these rows while this one cuts its slices.
  const Enrolled registered =
      session.transact(page_limits, [&](Transaction& transaction) { return enroll(transaction, request, window); });
  if (request.mutex_key) {
    // Not in the planning transaction, which would hold the mutex while it cuts its slices.
    session.transact(page_limits, [&](Transaction& transaction) {
      transaction.run("task.mutex", Params{*request.mutex_key, request.mutex_slots});
    });
  }
  session.transact(plan_limits, [&](Transaction& transaction) {
    if (!request.depends_on.empty()) transaction.run("gate.turn");
    const Trigger trigger = write_trigger(transaction, request);
    if (trigger.fresh) {
      work(transaction, registered, trigger);
      return;
    }
    auto stored = known_plan(transaction, request);
    if (!stored)
      throw core::Error{core::ErrorCode::Error, "the trigger (" + request.scheduler + ", " + request.job + ", " +
                                                    request.log + ") has no plan; run `strandline verify`"};
    result = std::move(*stored);
  });
  // Whoever held the cursor looks again: a worker that finished meanwhile has left its coverage to us.
  if (result.cursor_id) fold(session, *result.cursor_id);
  bool waits = false;
  for (const auto& each : request.depends_on) {
    // A stream that has come so far meanwhile did not see the gate.
    if (each.kind == Dependency::Kind::Cursor) open_gates(session, each.id);
    waits = true;
  }
  // What it needs had failed: it is over before it began.
  if (waits && result.plan_id) {
    if (const auto closed = close_plan(session, *result.plan_id)) result.status = *closed;
  }
  return result;
}

namespace {

// Closes one plan; `fallen` takes those that fell with it.
std::optional<std::string> close_one(Session& session, std::int64_t plan, std::set<std::int64_t>& fallen) {
  const bool closable = session.transact(page_limits, [&](Transaction& transaction) {
    return !transaction.run("plan.close_look", Params{plan, 1}).empty();
  });
  if (!closable) return std::nullopt;
  // A gate behind it may have a million tasks: the limits of a plan.
  auto closed_as = session.transact(plan_limits, [&](Transaction& transaction) -> std::optional<std::string> {
    // Two statements: the second sees what the lock waited for.
    if (transaction.run("plan.close_lock", Params{plan}).empty()) return std::nullopt;
    const auto closed = transaction.run("plan.close", Params{plan});
    if (closed.empty()) return std::nullopt;
    auto status = text(closed[0], "status_code");
    for (const auto other : end_gate(transaction, plan, status)) fallen.insert(other);
    return status;
  });
  if (!closed_as || (*closed_as != "SUCCEEDED" && *closed_as != "PARTIAL")) return closed_as;
  // It may have loaded what an earlier plan failed to, for whose sake others have fallen.
  const auto mended = session.transact(
      page_limits, [&](Transaction& transaction) { return transaction.run("gate.mended", Params{plan}); });
  for (const auto& row : mended)
    revive(session, integer(row, "id"), "plan " + std::to_string(plan) + " has loaded what was missing of it");
  return closed_as;
}

}  // namespace

std::optional<std::string> close_plan(Session& session, std::int64_t plan) {
  std::set<std::int64_t> fallen;
  auto status = close_one(session, plan, fallen);
  close_plans(session, std::move(fallen));
  return status;
}

void close_plans(Session& session, std::set<std::int64_t> plans) {
  while (!plans.empty()) {
    const auto plan = *plans.begin();
    plans.erase(plans.begin());
    if (plan != 0) close_one(session, plan, plans);
  }
}

}  // namespace strandline::pg
