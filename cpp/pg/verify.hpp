#pragma once
// The proof: everything that the ledger says is recomputed from what it says it from.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "pg/session.hpp"

namespace strandline::pg {

struct Difference {
  std::string check;    // which rule
  std::string subject;  // cursor:1, task:5, plan:7 ...
  std::string message;
};

// Every difference between the ledger and itself; nothing where all is well. With a cursor, only the checks about it. `anchor` is
// a head hash kept elsewhere: the chain of the cursor, or of any cursor where none is given, must contain it.
[[nodiscard]] std::vector<Difference> verify(Session& session, std::optional<std::int64_t> cursor,
                                             const std::optional<core::Digest>& anchor);

}  // namespace strandline::pg
