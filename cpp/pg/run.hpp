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
  std::optional<std::string> params;
  std::optional<std::string> expr;
  std::string slice_spec;
  std::int64_t failures = 0;
  std::int64_t losses = 0;
  std::optional<std::int64_t> deadline;
  std::string worker;
  core::Digest task_key{};
};

// Where to claim: a pool, or plans.
struct Source {
  std::string pool;
  std::vector<std::int64_t> plans;  // used when not empty
};

// Leases up to `limit` tasks for `lease` microseconds, the most urgent first.
//
// Low-water marks: dead entries in front of the claim index would make each claim dearer than the last. A claim starts where the
// last one of this pool or plan found work, less a minute; an empty one, and one in a hundred, starts from the beginning.
class Claimer {
 public:
  std::vector<Run> claim(Session& session, const std::string& worker, std::int64_t limit, std::int64_t lease,
                         const Source& source);

 private:
  std::map<std::string, std::vector<std::string>> low_water_;  // per pool or plans, per priority
  unsigned claims_ = 0;
};

struct Page {
  const encode::EncodedPage* rows = nullptr;
  const encode::EncodedPage* deleted = nullptr;
  std::optional<std::string> before;  // JSON text
  std::optional<std::string> after;
  std::int64_t size = 0;     // records that the provider returned
  std::int64_t started = 0;  // microseconds since 1970
};

// Commits pages of a run in one transaction, rows first, the fence after the last COPY, nothing slow behind it; with `done` also
// the coverage and the task's success. Advances `run`. Resolves a commit in doubt by taking the run's row and looking. Throws
// LeaseLost, Cancelled (run and task have been ended), DataError (the target refused a row), Unreachable, InDoubt.
Counts commit(Session& session, Run& run, const Target& target, const std::vector<Page>& pages, bool done,
              std::int64_t lease);

// Gives the task back, to be claimed again after `pause` microseconds. Returns the task's status: QUEUED, or CANCELLED if that was
// asked for. Throws LeaseLost.
std::string give_back(Session& session, const Run& run, const std::string& reason, std::int64_t pause);

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
void restart_walk(Session& session, const Run& run, const Target& target, const std::string& reason);

// Throws LeaseLost about the run.
[[noreturn]] void lease_lost(const Run& run);

// Records that the current walk has committed.
std::int64_t walk_records(Session& session, const Run& run);

}  // namespace strandline::pg
