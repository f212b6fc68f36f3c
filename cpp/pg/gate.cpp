#include "pg/gate.hpp"

#include <map>
#include <set>

#include "pg/row.hpp"
#include "pg/task.hpp"

namespace strandline::pg {
namespace {

using Kind = Dependency::Kind;

[[noreturn]] void refuse(const std::string& why) {
  throw core::Error{core::ErrorCode::ConfigError, "depends_on: " + why};
}

std::vector<std::int64_t> of_kind(const PlanRequest& request, Kind kind) {
  std::set<std::int64_t> out;
  for (const auto& each : request.depends_on) {
    if (each.kind == kind) out.insert(each.id);
  }
  return {out.begin(), out.end()};
}

// Dependencies as edges: the keys of gates, or the ids of tasks, and whether any end of theirs will do.
template <class Key>
using Wanted = std::map<Key, bool>;

template <class Key>
void add(Wanted<Key>& wanted, const Key& key, bool resolved) {
  // Asked for in both ways, the stricter one counts.
  const auto [entry, fresh] = wanted.try_emplace(key, resolved);
  if (!fresh) entry->second = entry->second && resolved;
}

// Gates of plans. A plan that succeeded is no longer waited for.
void add_plans(Transaction& transaction, const PlanRequest& request, Wanted<std::string>& wanted) {
  const auto plans = of_kind(request, Kind::Plan);
  if (plans.empty()) return;
  std::map<std::int64_t, std::string> status;
  bool lax = true;  // what a plan has left to others is waited for as it is itself
  for (const auto& each : request.depends_on) lax = lax && (each.kind != Kind::Plan || each.resolved);
  for (const auto& row : transaction.run("gate.plans", Params{plans})) {
    const auto id = integer(row, "id");
    if (boolean(row, "asked")) {
      status[id] = text(row, "status_code");
    } else {
      transaction.run("gate.plan", Params{id});
      add(wanted, "plan:" + std::to_string(id), lax);
    }
  }
  for (const auto& each : request.depends_on) {
    if (each.kind != Kind::Plan) continue;
    const auto found = status.find(each.id);
    if (found == status.end()) refuse("there is no plan " + std::to_string(each.id));
    if (found->second == "SUCCEEDED" || (each.resolved && found->second != "ACTIVE")) continue;
    transaction.run("gate.plan", Params{each.id});
    add(wanted, "plan:" + std::to_string(each.id), each.resolved);
  }
}

// Gates of streams, at the end of the window.
void add_cursors(Transaction& transaction, const PlanRequest& request, std::optional<std::int64_t> cursor,
                 std::optional<core::Interval> window, Wanted<std::string>& wanted) {
  const auto cursors = of_kind(request, Kind::Cursor);
  if (cursors.empty()) return;
  if (!window || window->hi == INT64_MAX)
    refuse("only a plan with a window can wait until a stream is covered; name a plan or a task instead");
  const auto found = transaction.run("gate.cursors", Params{cursors});
  if (static_cast<std::size_t>(found.size()) != cursors.size()) refuse("one of the streams is not known");
  for (const auto& row : found) {
    const auto id = integer(row, "id");
    const std::string name = text(row, "provenance_code") + ">" + text(row, "cursor_key");
    if (cursor && id == *cursor) refuse(name + " is what this plan loads: it would wait for itself");
    if (text(row, "cursor_type_code") != request.type_code)
      refuse(name + " counts " + text(row, "cursor_type_code") + " and this window counts " + request.type_code);
    if (integer(row, "value_norm") >= window->hi) continue;
    transaction.run("gate.cover", Params{id, window->hi});
    add(wanted, "cursor:" + std::to_string(id) + ":" + std::to_string(window->hi), false);
  }
}

// The gate before those who wait at it: nobody new comes while they are locked, in their order.
void open_gate(Transaction& transaction, const std::vector<std::int64_t>& gate) {
  if (transaction.run("gate.open", Params{gate}).empty()) return;
  lock_tasks(transaction, gate);
  leave(transaction, gate, {"SUCCEEDED", "DONE"});
}

}  // namespace

Parents lock_parents(Transaction& transaction, const PlanRequest& request, std::optional<std::int64_t> cursor,
                     std::optional<core::Interval> window, const std::vector<std::int64_t>& older) {
  Parents out;
  if (request.depends_on.empty()) return out;
  Wanted<std::string> gates;
  add_plans(transaction, request, gates);
  add_cursors(transaction, request, cursor, window, gates);
  Wanted<std::int64_t> tasks;
  for (const auto& each : request.depends_on) {
    if (each.kind == Kind::Task) add(tasks, each.id, each.resolved);
  }
  const auto lock = [&](const std::vector<std::int64_t>& ids, const std::vector<std::string>& keys) {
    return transaction.run("gate.parents", Params{ids, keys});
  };
  std::vector<std::int64_t> ids;
  for (const auto& [id, resolved] : tasks) ids.push_back(id);
  std::vector<std::string> strict;
  std::vector<std::string> lax;
  for (const auto& [key, resolved] : gates) (resolved ? lax : strict).push_back(key);
  const auto take = [&](const pqxx::result& rows, bool resolved) {
    for (const auto& row : rows) {
      const auto id = integer(row, "id");
      const auto task = tasks.find(id);
      const bool any_end = task == tasks.end() ? resolved : task->second;
      const auto status = text(row, "status_code");
      const bool over = status == "FAILED" || status == "CANCELLED";
      if (over && maybe_text(row, "reason_code") == "SPLIT")
        refuse("task " + std::to_string(id) + " was split; name its plan, or the tasks that have its parts");
      if (status == "SUCCEEDED" || (any_end && over)) continue;
      out.ids.push_back(id);
      out.kinds.emplace_back(any_end ? "ALL_RESOLVED" : "ALL_SUCCEEDED");
      out.fallen = out.fallen || over;
    }
  };
  // Gates before tasks, as every other verb takes them; among gates, those who make others wait take turns.
  take(lock({}, lax), true);
  take(lock({}, strict), false);
  const auto found = lock(ids, {});
  if (static_cast<std::size_t>(found.size()) != ids.size()) refuse("one of the tasks is not known");
  take(found, false);
  if (out.ids.empty()) return out;
  if (!older.empty() && !ids.empty() && ids.back() > older.front()) {
    refuse("task " + std::to_string(ids.back()) + " is newer than task " + std::to_string(older.front()) +
           ", which this window takes up again and which cannot wait for it; name its plan instead");
  }
  return out;
}

std::optional<std::string> circle(Transaction& transaction, const std::vector<std::int64_t>& tasks) {
  const auto found = transaction.run("gate.circle", Params{tasks});
  if (found.empty()) return std::nullopt;
  return text(found[0], "parent");
}

void open_gates(Session& session, std::optional<std::int64_t> cursor) {
  std::vector<std::int64_t> due;
  session.transact(page_limits, [&](Transaction& transaction) {
    due.clear();
    for (const auto& row : transaction.run("gate.due", Params{cursor})) due.push_back(integer(row, "id"));
  });
  // One at a time: a gate may have a million tasks behind it.
  for (const auto gate : due) {
    session.transact(plan_limits, [&](Transaction& transaction) { open_gate(transaction, {gate}); });
  }
}

std::vector<std::int64_t> end_gate(Transaction& transaction, std::int64_t plan, const std::string& status) {
  std::vector<std::int64_t> plans;
  const auto found = transaction.run("gate.of_plan", Params{plan});
  if (found.empty()) return plans;
  const std::vector<std::int64_t> gate{integer(found[0], "id")};
  if (status == "SUCCEEDED") {
    open_gate(transaction, gate);
    return plans;
  }
  lock_below(transaction, gate);
  const Exit exit = status == "CANCELLED" ? Exit{"CANCELLED", "CANCELLED"} : Exit{"FAILED", "FAILED"};
  for (const auto& each : leave(transaction, gate, exit)) {
    if (each.plan != 0) plans.push_back(each.plan);
  }
  return plans;
}

}  // namespace strandline::pg
