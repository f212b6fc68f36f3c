#pragma once
// The schema's versions: forward-only, checksummed, applied one at a time under a lock.

#include <string>
#include <vector>

#include "pg/session.hpp"

namespace strandline::pg {

// Versions that the schema lacks, ascending. Throws ConfigError when the schema is newer than this client, or when a migration
// that it has differs from the one that this client knows.
[[nodiscard]] std::vector<int> pending(Session& session);

// Applies what is pending and returns it. Each migration is a transaction; two migrators take turns.
std::vector<int> migrate(Session& session);

// Throws ConfigError with the command to run unless nothing is pending.
void check_schema(Session& session);

// Everything that `migrate` would run for a version in this schema, its record included, for an administrator to run instead.
[[nodiscard]] std::string migration_sql(Session& session, int version);

}  // namespace strandline::pg
