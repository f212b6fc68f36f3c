#pragma once
// What this build is made of, for reports.

#include <map>
#include <string>

namespace strandline::pg {

// libpq, libpqxx, openssl, compiler.
[[nodiscard]] std::map<std::string, std::string> versions();

}  // namespace strandline::pg
