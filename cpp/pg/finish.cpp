// Many runs ended at once: what makes small slices cheap, whose commits would otherwise each wait for a flush of their own.

#include <nlohmann/json.hpp>
#include <set>

#include "core/keys.hpp"
#include "pg/failpoint.hpp"
#include "pg/row.hpp"
#include "pg/run.hpp"
#include "pg/task.hpp"

namespace strandline::pg {
namespace {

// A run that can share its transaction: its only page is its first, so that nothing of an earlier one has to be added up.
bool fresh(const Run& run, const Run& first) { return run.batch_no == 0 && run.generation == first.generation; }

// All in one transaction. False: somebody's fence or target refused, and nothing is stored.
bool finish_together(Session& session, std::vector<Run>& runs, const Target& target, const std::vector<Page>& pages) {
  const auto count = static_cast<std::int64_t>(runs.size());
  std::vector<std::int64_t> tasks, attempts, ids_of_runs, walks, records, inserted, updated, unchanged, deleted, bytes,
      sizes, started, his;
  std::vector<std::optional<std::string>> before, after;
  std::vector<core::Digest> digests, keys;
  std::vector<TargetPage> rows;
  bool any_rows = false;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    const Page& page = pages[i];
    tasks.push_back(run.task_id);
    attempts.push_back(run.attempt_no);
    ids_of_runs.push_back(run.run_id);
    walks.push_back(run.walk_no);
    before.push_back(page.before);
    after.push_back(page.after);
    bytes.push_back(page.rows == nullptr ? 0 : static_cast<std::int64_t>(page.rows->bytes()));
    sizes.push_back(page.size);
    started.push_back(page.started);
    // A walk by token covers the ordinal of its only page.
    his.push_back(run.hi.value_or(0) == INT64_MAX ? run.lo.value_or(0) + 1 : run.hi.value_or(0));
    digests.push_back(page_digest(page));
    keys.push_back(core::batch_key(run.task_key, run.walk_no, 1));
    rows.push_back({page.rows, page.deleted});
    any_rows = any_rows || page.rows != nullptr || page.deleted != nullptr;
  }
  Transaction transaction{session, page_limits};
  const auto ids = integers(transaction.run("run.batch_ids", Params{count})[0], "ids");
  std::vector<Counts> counts(runs.size());
  if (any_rows) counts = write_pages(transaction, target, runs.front().generation, rows, ids);
  for (const auto& each : counts) {
    records.push_back(each.records);
    inserted.push_back(each.inserted);
    updated.push_back(each.updated);
    unchanged.push_back(each.unchanged);
    deleted.push_back(each.deleted);
  }
  lock_tasks(transaction, tasks);
  const auto fenced =
      transaction.run("run.finish", Params{tasks, attempts, ids_of_runs, walks, ids, before, after, records, inserted,
                                           updated, unchanged, deleted, bytes, digests, keys, sizes, started, his});
  if (integer(fenced[0], "fenced") != count || integer(fenced[0], "cancelled") != 0) return false;
  leave(transaction, tasks, {"SUCCEEDED", "DONE"});
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
