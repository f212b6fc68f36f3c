// The commit of pages: the transaction in which rows, ledger and watermark's ground appear together or not at all.
//
// Its order is what keeps it safe. Rows go first, because a client that is stopped in a COPY holds whatever it has locked, and no
// server timeout reaches it there. The fence comes after the last COPY; behind it there is neither a COPY nor a wait for anything
// but the ledger's own rows.

#include "core/chain.hpp"
#include "pg/batch.hpp"
#include "pg/failpoint.hpp"
#include "pg/row.hpp"
#include "pg/run.hpp"
#include "pg/task.hpp"

namespace strandline::pg {
namespace {

enum class Outcome { Stored, Absent, Lost, Cancelled };

// Takes the run's row on a fresh transaction, which waits until whatever held it is over, and then looks for the last page of
// the group. A plain look would see nothing while the server has not yet noticed that its client is gone.
Outcome resolve(Session& session, const Run& run, std::int64_t last_batch, const core::Digest& last_digest) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    const auto held = transaction.run("run.doubt_lock", Params{run.task_id, run.attempt_no});
    const auto found = transaction.run("run.doubt_look", Params{run.task_id, last_batch});
    if (!found.empty() && integer(found[0], "run_id") == run.run_id &&
        digest(found[0], "content_digest") == last_digest)
      return Outcome::Stored;
    const bool live = !held.empty() &&
                      (text(held[0], "status_code") == "PLANNED" || text(held[0], "status_code") == "RUNNING") &&
                      integer(held[0], "batch_no") == run.batch_no;
    // Absent, and the run still ours: the page may be sent again.
    return live ? Outcome::Absent : Outcome::Lost;
  });
}

struct Attempt {
  Outcome outcome = Outcome::Lost;
  std::vector<Counts> counts;
  std::optional<std::string> wish;
};

Attempt attempt(Session& session, const Run& run, const Target& target, const std::vector<Page>& pages,
                const std::vector<core::Digest>& digests, bool done, std::int64_t lease) {
  const auto count = static_cast<std::int64_t>(pages.size());
  const std::int64_t last_batch = run.batch_no + count;
  Transaction transaction{session, page_limits};
  const auto looked = transaction.run("run.look", Params{run.task_id, run.attempt_no, count});
  if (looked.empty()) return {};
  const auto& look = looked[0];
  const auto status = text(look, "status_code");
  if ((status != "PLANNED" && status != "RUNNING") || integer(look, "batch_no") != run.batch_no) return {};
  if (boolean(look, "cancel")) return {Outcome::Cancelled, {}, {}};
  const auto wish = maybe_text(look, "wish");
  const auto ids = integers(look, "batch_ids");
  std::vector<TargetPage> rows;
  rows.reserve(pages.size());
  for (const auto& page : pages) rows.push_back({page.rows, page.deleted});
  std::vector<Counts> counts = write_pages(transaction, target, run.generation, rows, ids);
  std::int64_t records = 0;
  for (const auto& each : counts) records += each.records;
  if (done) lock_tasks(transaction, {run.task_id});
  const auto& checkpoint = pages.back().after ? pages.back().after : run.checkpoint;
  const auto fenced = transaction.run("run.fence", Params{run.task_id, run.attempt_no, run.batch_no, count, lease,
                                                          checkpoint, records, done, pages.back().upto});
  if (fenced.empty()) return {};
  if (boolean(fenced[0], "cancel")) return {Outcome::Cancelled, {}, {}};
  Batches b;
  for (std::size_t i = 0; i < pages.size(); ++i)
    b.add(run, run.batch_no + static_cast<std::int64_t>(i) + 1, pages[i], counts[i], digests[i]);
  transaction.run("run.batches", Params{run.task_id, run.batch_no, run.run_id, run.walk_no, ids, b.before, b.after,
                                        b.records, b.inserted, b.updated, b.unchanged, b.deleted, b.bytes, b.digests,
                                        b.keys, b.sizes, run.page_no, b.started});
  if (done) {
    cover(transaction, run, last_batch);
    leave(transaction, {run.task_id}, {"SUCCEEDED", "DONE"});
  }
  failpoint("commit.before");
  transaction.commit();
  failpoint("commit.after");
  return {Outcome::Stored, std::move(counts), wish};
}

[[noreturn]] void cancelled(Session& session, const Run& run) {
  end_cancelled(session, run);
  throw core::Error{core::ErrorCode::Cancelled,
                    "task " + std::to_string(run.task_id) +
                        " was cancelled; its committed pages stay, and a later call goes on from them"};
}

}  // namespace

core::Digest page_digest(const Page& page) {
  if (page.deleted == nullptr) return page.rows == nullptr ? core::sha256({}) : page.rows->digest();
  core::Hasher hasher;
  if (page.rows != nullptr) hasher.update(page.rows->fields());
  hasher.update(page.deleted->fields());
  return hasher.finish();
}

// Its window, or, for a walk by token, the ordinals of its pages.
void cover(Transaction& transaction, const Run& run, std::int64_t last_batch) {
  if (!run.cursor_id || !run.lo || !run.hi) return;
  const std::int64_t records =
      integer(transaction.run("run.walk_records", Params{run.task_id, run.walk_no})[0], "records");
  std::int64_t hi = *run.hi;
  if (hi == INT64_MAX) {
    const auto walk = transaction.run("run.walk_start", Params{run.task_id, run.walk_no});
    hi = *run.lo + integer(walk[0], "last") - integer(walk[0], "first") + 1;
  }
  transaction.run("run.coverage", Params{run.task_id, last_batch, run.run_id, *run.lo, hi, records});
}

Committed commit(Session& session, Run& run, const Target& target, const std::vector<Page>& pages, bool done,
                 std::int64_t lease) {
  if (pages.empty()) throw core::Error{core::ErrorCode::Error, "commit of no page"};
  const std::lock_guard<std::recursive_mutex> guard{session.turn()};
  std::vector<core::Digest> digests;
  for (const auto& page : pages) digests.push_back(page_digest(page));
  const std::int64_t last_batch = run.batch_no + static_cast<std::int64_t>(pages.size());

  std::optional<std::vector<Counts>> counts;
  std::optional<std::string> wish;
  for (int number = 1;; ++number) {
    try {
      Attempt tried = attempt(session, run, target, pages, digests, done, lease);
      if (tried.outcome == Outcome::Cancelled) cancelled(session, run);
      if (tried.outcome == Outcome::Stored) {
        counts = std::move(tried.counts);
        wish = std::move(tried.wish);
        break;
      }
      // No row for the fence has two meanings: the page is stored already, by an earlier try whose answer was lost, or the lease is.
      if (resolve(session, run, last_batch, digests.back()) != Outcome::Stored) lease_lost(run);
      break;
    } catch (const core::Error& error) {
      if (error.code() == core::ErrorCode::InDoubt) {
        const Outcome outcome = resolve(session, run, last_batch, digests.back());
        if (outcome == Outcome::Stored) break;
        if (outcome == Outcome::Lost) lease_lost(run);
        if (number >= 3) throw;
        continue;
      }
      if (!session.again(error, number)) throw;
    }
  }

  Counts total;
  if (counts) {
    for (const auto& each : *counts) {
      total.records += each.records;
      total.inserted += each.inserted;
      total.updated += each.updated;
      total.unchanged += each.unchanged;
      total.deleted += each.deleted;
    }
  } else {
    // The answer was lost and the ledger has it.
    const auto stored = session.transact(page_limits, [&](Transaction& transaction) {
      return transaction.run("run.group", Params{run.task_id, run.batch_no + 1, last_batch});
    });
    total = {integer(stored[0], "records"), integer(stored[0], "inserted"), integer(stored[0], "updated"),
             integer(stored[0], "unchanged"), integer(stored[0], "deleted")};
  }
  run.batch_no = last_batch;
  run.page_no += static_cast<std::int64_t>(pages.size());
  if (pages.back().after) run.checkpoint = pages.back().after;
  // A page that does not say how far it reaches takes the knowledge away: what lies behind the last bound may be in.
  run.reached = pages.back().upto;
  return {total, wish};
}

}  // namespace strandline::pg
