#pragma once
// The part of the ledger's hash chain that covers rows: an event's hash holds a digest over the coverage rows that it
// consumed, so that an edited row breaks the chain as surely as an edited event does.

#include <cstdint>
#include <string>
#include <vector>

#include "core/digest.hpp"

namespace strandline::core {

// One finished part of a window: identified by (task_id, batch_no), half-open [lo, hi).
struct CoverageRow {
  std::int64_t task_id = 0;
  std::int64_t batch_no = 0;
  std::int64_t generation = 0;
  std::int64_t lo = 0;
  std::int64_t hi = 0;
  std::int64_t record_count = 0;
};

// SHA-256 over the canonical text {"kind":"coverage","rows":[[task_id,batch_no,generation,lo,hi,record_count],..],"v":1}.
// Rows are streamed, in ascending order of (task_id, batch_no); another order is an Error, because the digest of the same
// rows has to be the same.
class CoverageDigest {
 public:
  CoverageDigest();

  void append(const CoverageRow& row);
  // The digest of the rows so far; starts over.
  [[nodiscard]] Digest finish();

 private:
  void start();

  Hasher hasher_;
  std::string pending_;  // text not hashed yet, so that the hasher sees blocks and not single rows
  bool empty_ = true;
  std::int64_t last_task_ = 0;
  std::int64_t last_batch_ = 0;
};

[[nodiscard]] Digest coverage_digest(const std::vector<CoverageRow>& rows);

}  // namespace strandline::core
