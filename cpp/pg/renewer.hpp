#pragma once
// Keeps the leases of a process alive: one thread with a connection of its own, so that neither a slow provider nor Python's
// interpreter lock lets a lease pass.

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "pg/session.hpp"

namespace strandline::pg {

class Renewer {
 public:
  // Held: the lease is ours. The others are wishes: the run ends after its page, or is given back.
  enum class State { Held, Paused, Quarantined, Draining, Cancelled, Lost };

  // Renews every third of `lease` (microseconds). The thread starts with the first run.
  Renewer(std::string dsn, std::string schema, std::int64_t lease);
  Renewer(const Renewer&) = delete;
  Renewer& operator=(const Renewer&) = delete;
  Renewer(Renewer&&) = delete;
  Renewer& operator=(Renewer&&) = delete;
  ~Renewer() { close(); }

  void add(std::int64_t task, std::int64_t attempt);
  void remove(std::int64_t task, std::int64_t attempt);
  // What the last renewal brought back. A run that was never added is Lost.
  [[nodiscard]] State state(std::int64_t task, std::int64_t attempt);
  void close();

 private:
  using Key = std::pair<std::int64_t, std::int64_t>;

  void work();
  void renew(Session& session);

  const std::string dsn_;
  const std::string schema_;
  const std::int64_t lease_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<Key, State> runs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace strandline::pg
