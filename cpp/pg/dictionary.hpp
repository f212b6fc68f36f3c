#pragma once
// The registry of codes. A code is known because its row is there: a new one works by INSERT alone.

#include <string>
#include <string_view>

#include "pg/session.hpp"

namespace strandline::pg {

// Our code for a spelling, as `system` spells it. Throws ConfigError that lists the valid codes.
[[nodiscard]] std::string resolve_code(Session& session, std::string_view dictionary, std::string_view code,
                                       std::string_view system);

// The default of a dictionary. Throws ConfigError where there is none.
[[nodiscard]] std::string default_code(Session& session, std::string_view dictionary);

}  // namespace strandline::pg
