#include "pg/renewer.hpp"

#include <chrono>
#include <memory>
#include <set>
#include <vector>

#include "pg/row.hpp"

namespace strandline::pg {
namespace {

Renewer::State state_of(const std::optional<std::string>& wish) {
  if (!wish) return Renewer::State::Held;
  if (*wish == "CANCELLED") return Renewer::State::Cancelled;
  if (*wish == "PAUSED") return Renewer::State::Paused;
  return *wish == "QUARANTINED" ? Renewer::State::Quarantined : Renewer::State::Draining;
}

}  // namespace

Renewer::Renewer(std::string dsn, std::string schema, std::int64_t lease)
    : dsn_{std::move(dsn)}, schema_{std::move(schema)}, lease_{lease} {}

void Renewer::add(std::int64_t task, std::int64_t attempt) {
  const std::lock_guard<std::mutex> guard{mutex_};
  runs_[{task, attempt}] = State::Held;
  if (!thread_.joinable()) thread_ = std::thread{[this] { work(); }};
  wake_.notify_one();
}

void Renewer::remove(std::int64_t task, std::int64_t attempt) {
  const std::lock_guard<std::mutex> guard{mutex_};
  runs_.erase({task, attempt});
}

Renewer::State Renewer::state(std::int64_t task, std::int64_t attempt) {
  const std::lock_guard<std::mutex> guard{mutex_};
  const auto found = runs_.find({task, attempt});
  return found == runs_.end() ? State::Lost : found->second;
}

void Renewer::close() {
  {
    const std::lock_guard<std::mutex> guard{mutex_};
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Renewer::work() {
  std::unique_ptr<Session> session;
  auto due = std::chrono::steady_clock::now() + std::chrono::microseconds{lease_ / 3};
  for (std::unique_lock<std::mutex> lock{mutex_}; !stopping_;) {
    // A run that is new has its whole lease before it: it waits for the round like the others.
    if (wake_.wait_until(lock, due, [this] { return stopping_; })) return;
    due = std::chrono::steady_clock::now() + std::chrono::microseconds{lease_ / 3};
    if (runs_.empty()) {
      // Nothing to keep alive: no connection is held for it.
      session.reset();
      wake_.wait(lock, [this] { return stopping_ || !runs_.empty(); });
      continue;
    }
    lock.unlock();
    try {
      if (!session) session = std::make_unique<Session>(dsn_, schema_, "strandline renewer");
      renew(*session);
    } catch (const std::exception&) {
      // The server is away. The next round tries again; a lease that passes meanwhile is found out by the fence.
      session.reset();
    }
    lock.lock();
  }
}

void Renewer::renew(Session& session) {
  std::vector<std::int64_t> tasks;
  std::vector<std::int64_t> attempts;
  {
    const std::lock_guard<std::mutex> guard{mutex_};
    for (const auto& [key, state] : runs_) {
      if (state == State::Lost) continue;
      tasks.push_back(key.first);
      attempts.push_back(key.second);
    }
  }
  if (tasks.empty()) return;
  std::map<Key, State> found;
  session.transact(page_limits, [&](Transaction& transaction) {
    found.clear();
    for (const auto& row : transaction.run("run.renew", Params{tasks, attempts, lease_})) {
      found[{integer(row, "task_id"), integer(row, "attempt_no")}] = state_of(maybe_text(row, "wish"));
    }
    // A run that did not come back is busy in its commit, or over: its row tells.
    if (found.size() == tasks.size()) return;
    for (const auto& row : transaction.run("run.states", Params{tasks, attempts})) {
      const auto status = text(row, "status_code");
      found.try_emplace({integer(row, "task_id"), integer(row, "attempt_no")},
                        status == "PLANNED" || status == "RUNNING" ? State::Held : State::Lost);
    }
  });
  const std::lock_guard<std::mutex> guard{mutex_};
  for (auto& [key, state] : runs_) {
    const auto news = found.find(key);
    if (news == found.end()) continue;
    // Cancelled stays: a wish to end is not taken back by a renewal that was skipped.
    if (state != State::Cancelled || news->second != State::Held) state = news->second;
  }
}

}  // namespace strandline::pg
