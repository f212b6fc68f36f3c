#pragma once
// What operators ask of tasks that are not over. Each is a row, written once and audited; a running task obeys at its next page or
// renewal at the latest, whatever dies in between.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/interval.hpp"
#include "pg/session.hpp"
#include "pg/task.hpp"

namespace strandline::pg {

// A single task as what a verb is about.
[[nodiscard]] inline Subject of_task(std::int64_t task) { return {0, task, 0}; }

// Throws Conflict: the task is not in a state in which that could be done.
[[noreturn]] void refuse(std::int64_t task, const std::string& why);

// Holds tasks until somebody resumes them; running ones are given back after the page in hand. A held cursor holds what is planned
// on it later too. Each of these returns the tasks that it changed: asked again, none.
std::vector<Left> pause(Session& session, const Subject& subject, const std::string& actor, const std::string& reason);
std::vector<Left> resume(Session& session, const Subject& subject, const std::string& actor, const std::string& reason);

// Makes queued tasks due now: ends a delay, a rest or a backoff.
std::vector<Left> trigger(Session& session, const Subject& subject, const std::string& actor,
                          const std::string& reason);

// Gives live tasks another priority, 1 first to 9 last; it stays with them over attempts.
std::vector<Left> set_priority(Session& session, const Subject& subject, std::int64_t priority,
                               const std::string& actor, const std::string& reason);

struct Skipped {
  std::int64_t batch_no = 0;
  std::string status;  // of the task: QUEUED, to go on behind the page, or SUCCEEDED where it was the last one
};

// Passes over the page that the task failed at (its last_error names it): the page becomes a SKIPPED batch of an operator's own run.
// Asked again it gives the first answer. Throws Conflict where there is no such page.
Skipped skip(Session& session, std::int64_t task, const std::string& actor, const std::string& reason);

struct SplitResult {
  std::optional<core::Interval> covered;  // what the old slice has brought, which stays
  std::vector<std::int64_t> tasks;        // of the new slices, ascending
};

// Cuts what is left of a live task's slice anew, by a strategy as JSON. Its committed pages stay and count as covered up to the bound
// that its ordered provider gave them; the old slice is superseded. Throws Conflict where the committed end is not known, and for
// a task that others wait for.
SplitResult split(Session& session, std::int64_t task, const std::string& strategy, const std::string& actor,
                  const std::string& reason);

}  // namespace strandline::pg
