#include "pg/pool.hpp"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "pg/row.hpp"

namespace strandline::pg {
namespace {

// A rate is a transaction of its own that does not wait for its flush: after a crash of the server its time has passed.
template <class Body>
auto hurry(Session& session, Body body) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    transaction.run("rate.hurry");
    return body(transaction);
  });
}

double number(const pqxx::row& row, const char* column) { return std::strtod(row[column].c_str(), nullptr); }

// Makes the places of a pool what its limit says, under its lock.
void fit(Transaction& transaction, const std::string& pool) {
  const auto locked = transaction.run("pool.lock", Params{pool});
  if (locked.empty()) return;
  const auto slots = maybe_integer(locked[0], "slots");
  transaction.run("pool.fit", Params{pool, slots});
  if (slots) transaction.run("pool.adopt", Params{pool});
}

const char* verb_of(const std::string& status) {
  if (status == "QUARANTINED") return "quarantine";
  return status == "DRAINING" ? "stop" : "release";
}

}  // namespace

bool set_pool(Session& session, const std::string& pool, std::optional<std::int64_t> limit, const std::string& actor,
              const std::string& reason) {
  if (limit && (*limit < 0 || *limit > 100'000)) {
    throw core::Error{core::ErrorCode::ConfigError, "a limit of " + std::to_string(*limit) + " for pool " + pool +
                                                        "; give 0 to 100000 places, or none for no limit"};
  }
  const bool changed = session.transact(page_limits, [&](Transaction& transaction) {
    const bool set = !transaction.run("pool.set", Params{pool, limit, actor}).empty();
    fit(transaction, pool);
    if (set) {
      const nlohmann::json detail{{"limit", limit ? nlohmann::json(*limit) : nlohmann::json{}}};
      transaction.run("audit.write", Params{"pool", "pool:" + pool, actor, reason, detail.dump()});
    }
    return set;
  });
  // Claims that were under way have not seen the limit.
  if (changed && limit) tidy_pools(session);
  return changed;
}

void tidy_pools(Session& session) {
  const auto limited =
      session.transact(page_limits, [](Transaction& transaction) { return transaction.run("pool.limited"); });
  if (limited.empty()) return;
  session.transact(page_limits, [](Transaction& transaction) { transaction.run("pool.orphans"); });
  for (const auto& row : limited) {
    session.transact(page_limits, [&](Transaction& transaction) { fit(transaction, text(row, "pool")); });
  }
}

bool set_worker(Session& session, const std::string& name, const std::string& status, const std::string& actor,
                const std::string& reason) {
  if (status != "ACTIVE" && status != "QUARANTINED" && status != "DRAINING")
    throw core::Error{core::ErrorCode::ConfigError,
                      "status is \"" + status + "\"; the valid ones are ACTIVE, QUARANTINED and DRAINING"};
  return session.transact(page_limits, [&](Transaction& transaction) {
    if (!boolean(transaction.run("worker.known", Params{name})[0], "known")) {
      throw core::Error{core::ErrorCode::ConfigError,
                        "no worker \"" + name +
                            "\" is known; `strandline status` lists those at work: give host, "
                            "host:pid or host:pid:n"};
    }
    // An end is wished of those who are there; a quarantine also holds for those who come.
    const char* query = status == "DRAINING" ? "worker.drain"
                        : status == "ACTIVE" ? "worker.release"
                                             : "worker.quarantine";
    const auto changed = transaction.run(query, Params{name});
    if (changed.empty()) return false;
    transaction.run("audit.write", Params{verb_of(status), "worker:" + name, actor, reason, "{}"});
    return true;
  });
}

void declare_rate(Session& session, const std::string& key, double per_second, double burst) {
  session.transact(page_limits,
                   [&](Transaction& transaction) { transaction.run("rate.declare", Params{key, per_second, burst}); });
}

std::optional<double> take_rate(Session& session, const std::string& key, std::int64_t calls, double longest) {
  return hurry(session, [&](Transaction& transaction) -> std::optional<double> {
    const auto taken = transaction.run("rate.take", Params{key, calls, longest});
    if (taken.empty()) return std::nullopt;
    return number(taken[0], "wait");
  });
}

void push_rate(Session& session, const std::string& key, double seconds) {
  hurry(session, [&](Transaction& transaction) {
    transaction.run("rate.push", Params{key, seconds});
    return true;
  });
}

double rate_wait(Session& session, const std::string& key) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    const auto found = transaction.run("rate.wait", Params{key});
    return found.empty() ? 0.0 : number(found[0], "wait");
  });
}

}  // namespace strandline::pg
