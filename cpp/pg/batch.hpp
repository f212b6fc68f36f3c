#pragma once
// Batch rows that are to be written together, column by column.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/keys.hpp"
#include "pg/run.hpp"

namespace strandline::pg {

struct Batches {
  std::vector<std::optional<std::string>> before, after;
  std::vector<std::int64_t> records, inserted, updated, unchanged, deleted, bytes, sizes, started;
  std::vector<core::Digest> digests, keys;

  // The batch `batch_no` of a run: a page, what it did to the target, and its digest.
  void add(const Run& run, std::int64_t batch_no, const Page& page, const Counts& counts, const core::Digest& digest) {
    before.push_back(page.before);
    after.push_back(page.after);
    records.push_back(counts.records);
    inserted.push_back(counts.inserted);
    updated.push_back(counts.updated);
    unchanged.push_back(counts.unchanged);
    deleted.push_back(counts.deleted);
    bytes.push_back(page.rows == nullptr ? 0 : static_cast<std::int64_t>(page.rows->bytes()));
    sizes.push_back(page.size);
    started.push_back(page.started);
    digests.push_back(digest);
    keys.push_back(core::batch_key(run.task_key, run.walk_no, batch_no));
  }
};

}  // namespace strandline::pg
