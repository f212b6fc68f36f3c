// Many runs ended at once: what makes small slices cheap, whose commits would otherwise each wait for a flush of their own.

#include "pg/batch.hpp"
#include "pg/failpoint.hpp"
#include "pg/row.hpp"
#include "pg/run.hpp"
#include "pg/task.hpp"

namespace strandline::pg {
namespace {

// A run that can share its transaction: its only page is its first, so that nothing of an earlier one has to be added up.
bool fresh(const Run& run, const Run& first) { return run.batch_no == 0 && run.plan_id == first.plan_id; }

// All in one transaction. False: somebody's fence or target refused, and nothing is stored.
bool finish_together(Session& session, std::vector<Run>& runs, const Target& target, const std::vector<Page>& pages) {
  const Run& first = runs.front();
  const auto count = static_cast<std::int64_t>(runs.size());
  std::vector<TargetPage> rows;
  bool any_rows = false;
  for (const auto& page : pages) {
    rows.push_back({page.rows, page.deleted});
    any_rows = any_rows || page.rows != nullptr || page.deleted != nullptr;
  }
  Transaction transaction{session, page_limits};
  const auto ids = integers(transaction.run("run.batch_ids", Params{count})[0], "ids");
  std::vector<Counts> counts(runs.size());
  if (any_rows) counts = write_pages(transaction, target, first.generation, rows, ids);
  Batches b;
  std::vector<std::int64_t> tasks, attempts, ids_of_runs, walks, los, his, slices;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    b.add(run, 1, pages[i], counts[i], page_digest(pages[i]));
    tasks.push_back(run.task_id);
    attempts.push_back(run.attempt_no);
    ids_of_runs.push_back(run.run_id);
    walks.push_back(run.walk_no);
    los.push_back(run.lo.value_or(0));
    // A walk by token covers the ordinal of its only page.
    his.push_back(run.hi.value_or(0) == INT64_MAX ? run.lo.value_or(0) + 1 : run.hi.value_or(0));
    slices.push_back(run.slice_id);
  }
  for (const auto& row : lock_tasks(transaction, tasks))
    if (boolean(row, "cancel")) return false;
  const auto fenced = transaction.run(
      "run.finish",
      Params{tasks,      attempts,  ids_of_runs, walks,     ids,           b.before,        b.after,         b.records,
             b.inserted, b.updated, b.unchanged, b.deleted, b.bytes,       b.digests,       b.keys,          b.sizes,
             b.started,  los,       his,         slices,    first.plan_id, first.cursor_id, first.generation});
  if (integer(fenced[0], "fenced") != count || integer(fenced[0], "cancelled") != 0) return false;
  if (const auto tied = integers(fenced[0], "tied"); !tied.empty()) leave(transaction, tied, {"SUCCEEDED", "DONE"});
  failpoint("commit.before");
  transaction.commit();
  failpoint("commit.after");
  return true;
}

std::string finish_alone(Session& session, Run& run, const Target& target, const Page& page, std::int64_t lease) {
  try {
    commit(session, run, target, {page}, true, lease);
    return "SUCCEEDED";
  } catch (const core::Error& error) {
    switch (error.code()) {
      case core::ErrorCode::LeaseLost:
        return "LOST";
      case core::ErrorCode::Cancelled:
        return "CANCELLED";
      case core::ErrorCode::Unreachable:
      case core::ErrorCode::InDoubt:
        throw;
      default:
        return std::string{"FAILED: "} + error.what();
    }
  }
}

}  // namespace

std::vector<std::string> finish(Session& session, std::vector<Run>& runs, const Target& target,
                                const std::vector<Page>& pages, std::int64_t lease) {
  if (runs.size() != pages.size()) throw core::Error{core::ErrorCode::Error, "finish takes one page for each run"};
  if (runs.empty()) return {};
  const std::lock_guard<std::recursive_mutex> guard{session.turn()};
  bool together = runs.size() > 1;
  for (const auto& run : runs) together = together && fresh(run, runs.front());
  try {
    if (together && finish_together(session, runs, target, pages)) {
      for (std::size_t i = 0; i < runs.size(); ++i) {
        runs[i].batch_no = runs[i].page_no = 1;
        if (pages[i].after) runs[i].checkpoint = pages[i].after;
      }
      return std::vector<std::string>(runs.size(), "SUCCEEDED");
    }
  } catch (const core::Error& error) {
    // One by one: each of them finds out by itself whether it was stored. A server that is gone is gone for all of them.
    const bool gone = error.code() == core::ErrorCode::Unreachable && session.broken();
    if (gone) throw;
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < runs.size(); ++i) out.push_back(finish_alone(session, runs[i], target, pages[i], lease));
  return out;
}

}  // namespace strandline::pg
