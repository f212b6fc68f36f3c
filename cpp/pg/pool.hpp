#pragma once
// Limits that all workers share: places in pools, rates of calls, and what is wished of workers.

#include <cstdint>
#include <optional>
#include <string>

#include "pg/session.hpp"

namespace strandline::pg {

// Lets at most `limit` tasks of the pool run at once; nothing for no limit. What runs beyond it goes on to its end. False: it is so
// already. Throws ConfigError for a negative limit.
bool set_pool(Session& session, const std::string& pool, std::optional<std::int64_t> limit, const std::string& actor,
              const std::string& reason);

// Takes back places that nobody sits on, and seats what began without one. Called by the reaper.
void tidy_pools(Session& session);

// What is wished of a worker, named by host, host:pid or host:pid:n: ACTIVE, QUARANTINED (claims nothing), DRAINING (ends after
// the page in hand). False: it is so already. Throws ConfigError where nobody of that name is known.
bool set_worker(Session& session, const std::string& name, const std::string& status, const std::string& actor,
                const std::string& reason);

// Gives a key a rate of calls per second, `burst` of them at once.
void declare_rate(Session& session, const std::string& key, double per_second, double burst);

// Reserves `calls` and returns the seconds to wait for them; nothing where that would be longer than `longest`.
std::optional<double> take_rate(Session& session, const std::string& key, std::int64_t calls, double longest);

// Nobody calls the key for so many seconds.
void push_rate(Session& session, const std::string& key, double seconds);

// How many seconds nobody may call the key.
double rate_wait(Session& session, const std::string& key);

}  // namespace strandline::pg
