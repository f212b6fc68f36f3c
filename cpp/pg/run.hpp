#pragma once
// Runs: claiming one, committing its pages, and every way in which it can end. The caller's Run is the lease in hand; every
// write compares it with the row, and a run that lost its lease can change nothing any more.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "pg/session.hpp"
#include "pg/target.hpp"

namespace strandline::pg {

struct Run {
  std::int64_t task_id = 0;
  std::int64_t attempt_no = 0;
  std::int64_t run_id = 0;
  std::int64_t plan_id = 0;
  std::int64_t slice_id = 0;
  std::optional<std::int64_t> cursor_id;
  std::int64_t generation = 0;
  std::string kind_code;
  std::optional<std::int64_t> lo;
  std::optional<std::int64_t> hi;
  std::int64_t walk_no = 0;
  std::int64_t batch_no = 0;              // pages of the task that are committed
  std::int64_t page_no = 0;               // pages that this run committed
  std::optional<std::string> checkpoint;  // position after the last committed page, JSON text
  std::optional<std::int64_t> reached;    // all below this bound is committed; of ordered providers
  std::optional<std::string> params;
  std::optional<std::string> expr;
  std::string slice_spec;
  std::int64_t failures = 0;
  std::int64_t losses = 0;
  std::optional<std::int64_t> deadline;
  std::string worker;
  core::Digest task_key{};
};

// Where to claim: a pool, or plans, whose tasks may lie in several pools.
struct Source {
  std::string pool;
  std::vector<std::int64_t> plans;  // used when not empty
};

// Leases up to `limit` tasks for `lease` microseconds, the most urgent first. A limited pool gives as many as it has free places.
//
// Low-water marks: dead entries in front of the claim index would make each claim dearer than the last. A claim starts where the
// last one of this pool or plan found work, by time and id, because all tasks of a plan have the same time; an empty one, and one
// in a hundred, starts from the beginning: it finds what was committed late.
class Claimer {
 public:
  std::vector<Run> claim(Session& session, const std::string& worker, std::int64_t limit, std::int64_t lease,
                         const Source& source);

 private:
  // Plans by the pool of their tasks, which never changes.
  std::map<std::string, std::vector<std::int64_t>> pools_of(Transaction& transaction,
                                                            const std::vector<std::int64_t>& plans);

  struct LowWater {
    std::vector<std::string> times;  // per priority
    std::vector<std::int64_t> ids;
  };

  std::map<std::string, LowWater> low_water_;  // per pool or plan
  std::map<std::int64_t, std::string> pools_;  // of plans
  unsigned claims_ = 0;
};

struct Page {
  const encode::EncodedPage* rows = nullptr;
  const encode::EncodedPage* deleted = nullptr;
  std::optional<std::string> before;  // JSON text
  std::optional<std::string> after;
  std::int64_t size = 0;             // records that the provider returned
  std::int64_t started = 0;          // microseconds since 1970
  std::optional<std::int64_t> upto;  // all below this bound is in, with this page; of ordered providers
};

// The digest of a page: of its rows, or of its rows and its removed keys where there are any.
[[nodiscard]] core::Digest page_digest(const Page& page);

// What a commit did, and the reason code with which the run should now be given back: PAUSED, QUARANTINED, DRAINING.
struct Committed {
  Counts counts;
  std::optional<std::string> wish;
};

// Commits pages of a run in one transaction, rows first, the fence after the last COPY, nothing slow behind it; with `done` also
// the coverage and the task's success. Advances `run`. Resolves a commit in doubt by taking the run's row and looking. Throws
// LeaseLost, Cancelled (run and task have been ended), DataError (the target refused a row), Unreachable, InDoubt.
Committed commit(Session& session, Run& run, const Target& target, const std::vector<Page>& pages, bool done,
                 std::int64_t lease);

// Ends many runs of one plan at once, each with its only page: rows, fences, ledger and exits in one transaction. Where one of them
// is refused, all are committed one by one instead, so that nobody suffers for another. Returns per run SUCCEEDED, LOST,
// CANCELLED, or FAILED: and the message of the target; a run that failed so is still live. Throws Unreachable, InDoubt.
std::vector<std::string> finish(Session& session, std::vector<Run>& runs, const Target& target,
                                const std::vector<Page>& pages, std::int64_t lease);

// Why a run ended, as JSON: {origin, kind, message, where}.
using Cause = std::optional<std::string>;

// What an operator did or asked for, in their own words: the cause of a run's end.
[[nodiscard]] std::string operator_cause(const char* verb, const std::string& actor, const std::string& did,
                                         const std::string& reason, const std::string& where);

// Gives the task back, to be claimed again after `pause` microseconds. Returns the task's status: QUEUED, or CANCELLED if that was
// asked for. Throws LeaseLost.
std::string give_back(Session& session, const Run& run, const std::string& reason, std::int64_t pause,
                      const Cause& cause);

struct Failure {
  std::string error;   // JSON object: origin, kind, message, where
  std::string reason;  // reason code, upper case
  bool retryable = true;
  std::vector<std::int64_t> backoff;  // microseconds per failure since progress; the last repeats
  std::string by;
};

// Ends the run as FAILED; its committed pages stay. The task is queued again after a pause, or FAILED when the error is not worth
// a retry or too many came without progress. Returns the task's status. Throws LeaseLost.
std::string fail(Session& session, const Run& run, const Failure& failure);

// Ends run and task as CANCELLED. Throws LeaseLost.
void end_cancelled(Session& session, const Run& run);

// Ends the run and starts the task's next walk from the beginning. An append target first loses the rows of the walk, so that no
// row is there twice. Throws LeaseLost.
void restart_walk(Session& session, const Run& run, const Target& target, const std::string& reason,
                  const Cause& cause);

// Ends the live run as `status`. False: an earlier try of this call, whose answer was lost, has ended it in this very way, and its
// task has left with it. Throws LeaseLost.
bool end_run(Transaction& transaction, const Run& run, const char* status, const std::string& reason,
             const std::string& by, const Cause& cause);

// A claimed task as task.claim and task.take return it.
[[nodiscard]] Run read_run(const pqxx::row& row, const std::string& worker);

// Records that what is done covers the run's window; `last_batch` is its last page.
void cover(Transaction& transaction, const Run& run, std::int64_t last_batch);

// Throws LeaseLost about the run.
[[noreturn]] void lease_lost(const Run& run);

// Records that the current walk has committed, with those of pages that an operator passed over.
std::int64_t walk_records(Session& session, const Run& run);

}  // namespace strandline::pg
