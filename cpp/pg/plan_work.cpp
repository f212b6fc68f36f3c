#include "pg/plan_work.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "core/window.hpp"
#include "pg/row.hpp"
#include "pg/task.hpp"

namespace strandline::pg {
namespace {

bool overlaps(const core::Intervals& intervals, const core::Interval& part) {
  return !core::intersect(intervals, {part}).empty();
}

std::vector<core::Interval> cut(const PlanRequest& request, const core::Intervals& missing, std::size_t limit) {
  std::vector<core::Interval> out;
  const auto one = [&](const core::Interval& interval) {
    if (request.cuts) {
      core::cut_at(*request.cuts, interval, out);
    } else {
      core::cut(request.strategy, request.time_zone(), interval, limit - std::min(limit, out.size()), request.order,
                out);
    }
  };
  if (request.order == core::Order::Oldest) {
    std::for_each(missing.begin(), missing.end(), one);
  } else {
    std::for_each(missing.rbegin(), missing.rend(), one);
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.lo > b.lo; });
  }
  if (out.size() > limit) out.resize(limit);
  return out;
}

std::string spec_of(Transaction& transaction, const PlanRequest& request, std::int64_t cursor, std::int64_t generation,
                    const core::Interval& bounds) {
  std::string spec;
  core::append_slice_spec(spec, request.type, bounds.lo, bounds.hi);
  if (request.type != core::CursorType::Token) return spec;
  // Where the walk goes on: the token is part of the slice, so that the task reads the same pages whenever it runs.
  const auto token = transaction.run("plan.token", Params{cursor, generation});
  if (!token.empty()) spec.insert(spec.size() - 1, R"(,"token":)" + text(token[0], "after_token"));
  return spec;
}

// Queues closed cuts again for a plan; what they waited for in their old one counts no more.
void reopen(Transaction& transaction, const PlanRequest& request, const RowsContext& context,
            const std::vector<Cut>& cuts, const std::vector<std::int64_t>& tasks) {
  std::vector<std::int64_t> slices;
  for (const auto& each : cuts) slices.push_back(each.slice);
  transaction.run("plan.reopen_lock", Params{tasks});
  transaction.run("plan.supersede", Params{slices, false});
  transaction.run("gate.forget", Params{tasks});
  const auto queued = transaction.run(
      "plan.reopen", Params{context.plan_id, tasks, request.priority, context.pool, request.mutex_key,
                            request.max_attempts, request.max_losses, request.delay, request.deadline, context.held});
  if (static_cast<std::size_t>(queued.size()) != tasks.size())
    throw core::Error{core::ErrorCode::Error,
                      "a closed cut was no longer closed under the lock of its cursor; run `strandline verify`"};
}

}  // namespace

std::vector<Cut> closed_cuts(Transaction& transaction, std::int64_t cursor, std::int64_t generation,
                             core::Interval window) {
  std::vector<Cut> out;
  for (const auto& row : transaction.run("plan.closed_cuts", Params{cursor, generation, window.lo, window.hi})) {
    out.push_back({integer(row, "id"),
                   integer(row, "slice_id"),
                   integer(row, "plan_id"),
                   {integer(row, "lo"), integer(row, "hi")},
                   integer(row, "batch_no") > 0,
                   text(row, "status_code") == "FAILED",
                   boolean(row, "superseded"),
                   digest(row, "idempotent_key").value_or(core::Digest{})});
  }
  return out;
}

Work lay_out(Transaction& transaction, const PlanRequest& request, std::int64_t cursor, std::int64_t generation,
             core::Interval window) {
  Work work;
  for (const auto& row : transaction.run("plan.missing", Params{cursor, generation, window.lo, window.hi}))
    work.missing.push_back({integer(row, "lo"), integer(row, "hi")});
  if (work.missing.empty()) return work;
  const auto closed = closed_cuts(transaction, cursor, generation, window);
  core::Intervals rest = work.missing;
  std::map<core::Digest, const Cut*> by_key;
  for (const auto& each : closed) {
    if (!overlaps(work.missing, each.bounds)) continue;
    by_key.emplace(each.key, &each);
    // A closed cut with pages is taken up whole: cut anew, its committed rows would be read again beside themselves.
    const bool whole = each.pages || (request.only == PlanRequest::Only::Failed && each.failed);
    if (each.superseded || !whole) continue;
    work.reopened.push_back(each);
    rest = core::subtract(rest, {each.bounds});
  }
  if (request.only == PlanRequest::Only::Failed) {
    work.reopened.erase(
        std::remove_if(work.reopened.begin(), work.reopened.end(), [](const Cut& each) { return !each.failed; }),
        work.reopened.end());
    work.missing.clear();
    for (const auto& each : work.reopened) work.missing.push_back(each.bounds);
    work.missing = core::normalize(work.missing);
    return work;
  }
  const bool outside =
      (request.strategy.kind == core::StrategyKind::Budget || request.strategy.kind == core::StrategyKind::Custom) &&
      !request.cuts;
  if (outside) return work;  // a dry run whose answer tells the provider what to cut
  const auto limit = static_cast<std::size_t>(
      std::max<std::int64_t>(0, request.max_slices - static_cast<std::int64_t>(work.reopened.size())));
  const auto cuts = cut(request, rest, limit + 1);
  std::set<std::int64_t> taken;
  for (const auto& bounds : cuts) {
    if (work.slices.size() == limit) {
      work.left_from = bounds.lo;
      break;
    }
    NewSlice slice = identified(request, bounds, spec_of(transaction, request, cursor, generation, bounds), generation);
    if (const auto same = by_key.find(slice.key); same != by_key.end()) {
      work.reopened.push_back(*same->second);
      taken.insert(same->second->task);
    } else {
      work.slices.push_back(std::move(slice));
    }
  }
  // Closed cuts without pages whose window is cut otherwise now.
  for (const auto& each : closed) {
    if (!each.superseded && !each.pages && taken.count(each.task) == 0 && overlaps(rest, each.bounds))
      work.superseded.push_back(each.slice);
  }
  return work;
}

std::vector<std::int64_t> reopened_tasks(const Work& work) {
  std::vector<std::int64_t> tasks;
  for (const auto& each : work.reopened) tasks.push_back(each.task);
  std::sort(tasks.begin(), tasks.end());
  return tasks;
}

std::vector<std::int64_t> write_work(Transaction& transaction, const PlanRequest& request, const RowsContext& context,
                                     const Work& work, const Parents& parents) {
  const auto older = reopened_tasks(work);
  if (!older.empty()) reopen(transaction, request, context, work.reopened, older);
  if (!work.superseded.empty()) transaction.run("plan.supersede", Params{work.superseded, true});
  auto made = write_rows(transaction, request, context, work.slices);
  if (!parents.ids.empty()) {
    transaction.run("gate.depend", Params{context.plan_id, parents.ids, parents.kinds});
    if (!older.empty()) transaction.run("gate.unmet", Params{older});
    // All of them wait for the same: one stands for the others.
    if (const auto parent = circle(transaction, {older.empty() ? made.front() : older.front()}))
      throw core::Error{core::ErrorCode::ConfigError,
                        "depends_on: " + *parent + " waits for this plan's own window: neither could ever begin"};
    if (!older.empty() && parents.fallen) leave(transaction, older, {"FAILED", "UPSTREAM_FAILED"});
  }
  if (request.mutex_key && !(work.slices.empty() && older.empty()))
    transaction.run("task.admit", Params{std::vector<std::string>{*request.mutex_key}});
  return made;
}

}  // namespace strandline::pg
