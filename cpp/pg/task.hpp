#pragma once
// Moves of tasks that no run makes: leaving, cancelling, retrying, reaping.

#include <cstdint>
#include <exception>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "pg/session.hpp"

namespace strandline::pg {

// What a verb is about: exactly one id is not 0.
struct Subject {
  std::int64_t plan = 0;
  std::int64_t task = 0;
  std::int64_t cursor = 0;

  [[nodiscard]] std::string name() const;
};

// How tasks leave their state. Pause in microseconds.
struct Exit {
  std::string_view want;  // QUEUED, SUCCEEDED, FAILED, CANCELLED
  std::string_view reason;
  std::int64_t pause = 0;
  int failures = 0;
  int losses = 0;
};

struct Left {
  std::int64_t task;
  std::string status;  // QUEUED may have become CANCELLED
  std::int64_t plan;   // to be looked at: it may be over
};

// The one exit of tasks that the transaction has locked: leave, then admit whoever waited for their mutexes. A task that
// fails or is cancelled takes its queued descendants with it; they come behind it in what is returned.
std::vector<Left> leave(Transaction& transaction, const std::vector<std::int64_t>& tasks, const Exit& exit);

// The live or closed tasks that a verb is about, in states; a task that is named is taken as it is.
[[nodiscard]] std::vector<std::int64_t> find_tasks(Transaction& transaction, const Subject& subject,
                                                   const std::vector<std::string>& states);

// Thrown when a look under the locks has found more to lock: the transaction begins anew and takes all of it in the order of the
// locks.
struct More : std::exception {};

template <class Body>
auto transact_held(Session& session, const Limits& limits, Body body) -> std::invoke_result_t<Body, Transaction&> {
  for (;;) {
    try {
      return session.transact(limits, body);
    } catch (const More&) {
      continue;
    }
  }
}

// Lock tasks in the order of their ids, before they leave: with the children that a success touches, or with all below them, which
// may fall too. Returns them as they stand.
pqxx::result lock_tasks(Transaction& transaction, const std::vector<std::int64_t>& tasks);
pqxx::result lock_below(Transaction& transaction, const std::vector<std::int64_t>& tasks);

using Lock = decltype(&lock_tasks);

// The live tasks that a verb is about, locked: all of them, also those that appeared while the locks were waited for. Throws More.
[[nodiscard]] std::vector<std::int64_t> lock_live(Transaction& transaction, const Subject& subject,
                                                  Lock lock = lock_tasks);

// Writes down who asked for what, and why.
void audit(Transaction& transaction, const char* verb, const Subject& subject, const std::string& actor,
           const std::string& reason, const std::vector<std::int64_t>& tasks);

// Admits waiting tasks to the mutexes that the rows of a move name in their column admit.
void admit(Transaction& transaction, const pqxx::result& left);

// A closed task may be queued again only while its whole window is still missing: otherwise its rows would be there twice. `task`
// is a row of task.retry_find. Throws Conflict.
void check_missing(Transaction& transaction, const pqxx::row& task);

// Cancels: queued tasks end now, running ones are asked and end at their next page, renewal or reap. Idempotent.
std::vector<Left> cancel(Session& session, const Subject& subject, const std::string& actor, const std::string& reason);

// What a move of closed tasks has to hold; found out by looking, and never less than at the last look.
struct Held {
  bool turn = false;  // of those who make tasks wait
  std::set<std::int64_t> cursors;
  std::set<std::int64_t> plans;
};

// Queues closed tasks again in a transaction, with the descendants that fell with them and the gates between, and opens their plans.
// Returns the tasks. With `dependents`, of a plan whose window others have loaded, only those who wait for it. Throws Conflict, More.
std::vector<std::int64_t> queue_again(Transaction& transaction, const Subject& subject, Held& held,
                                      bool dependents = false);

// After its commit: folds what was left to the holder of the cursors, closes plans that were opened for nothing.
void let_go(Session& session, const Held& held);

// Queues closed tasks again, with the descendants that fell with them, and opens their plans. Returns their ids. Throws Conflict
// for a task whose window has been loaded or taken since, or was cut anew.
std::vector<std::int64_t> retry(Session& session, const Subject& subject, const std::string& actor,
                                const std::string& reason);

// Lets those go on who have waited for a plan in vain, if others have loaded its window.
void revive(Session& session, std::int64_t plan, const std::string& reason);

// Admits tasks that have become due to mutexes that are free: a delay, a rest or a backoff is over, and nobody left to see it. True
// when any was let through.
bool admit_idle(Session& session);

struct Reaped {
  std::int64_t lost = 0;       // runs whose lease had passed, queued again
  std::int64_t cancelled = 0;  // such runs whose end had been asked for, and tasks of local providers that are gone
  std::int64_t failed = 0;     // out of losses, or past their deadline
  std::vector<std::int64_t> plans;
};

// Takes back what nobody works on any more: passed leases, passed deadlines of queued tasks, queued tasks of local providers
// whose process has not been seen for three leases; admits to free mutexes, tidies pools, opens gates and closes plans whose last
// worker died before it could. Any worker calls it now and then. `lease` in microseconds, `most` tasks a transaction.
Reaped reap(Session& session, std::int64_t most, std::int64_t lease);

}  // namespace strandline::pg
