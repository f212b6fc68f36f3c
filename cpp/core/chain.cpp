#include "core/chain.hpp"

#include <array>
#include <tuple>

#include "core/error.hpp"
#include "core/number.hpp"

namespace strandline::core {
namespace {

constexpr std::size_t kBlock = 8192;  // hash this much at once; less spends the time in calls, more leaves the cache

}  // namespace

CoverageDigest::CoverageDigest() { start(); }

void CoverageDigest::start() {
  pending_ = "{\"kind\":\"coverage\",\"rows\":[";
  empty_ = true;
}

void CoverageDigest::append(const CoverageRow& row) {
  if (!empty_ && std::tie(row.task_id, row.batch_no) <= std::tie(last_task_, last_batch_)) {
    throw Error{ErrorCode::Error,
                "coverage rows for a digest have to come once each, in order of (task_id, batch_no): (" +
                    std::to_string(row.task_id) + ", " + std::to_string(row.batch_no) + ") came after (" +
                    std::to_string(last_task_) + ", " + std::to_string(last_batch_) + ")"};
  }
  const std::array fields{row.task_id, row.batch_no, row.generation, row.lo, row.hi, row.record_count};
  std::array<char, fields.size() * (kIntegerSize + 1) + 2> text;  // NOLINT(*-member-init): written before it is read
  char* out = text.data();
  if (!empty_) *out++ = ',';
  char separator = '[';
  for (const std::int64_t field : fields) {
    *out++ = separator;
    out = write_integer(out, field);
    separator = ',';
  }
  *out++ = ']';
  pending_.append(text.data(), out);
  empty_ = false;
  last_task_ = row.task_id;
  last_batch_ = row.batch_no;
  if (pending_.size() >= kBlock) {
    hasher_.update(pending_);
    pending_.clear();
  }
}

Digest CoverageDigest::finish() {
  pending_ += "],\"v\":1}";
  hasher_.update(pending_);
  start();
  return hasher_.finish();
}

Digest coverage_digest(const std::vector<CoverageRow>& rows) {
  CoverageDigest digest;
  for (const CoverageRow& row : rows) digest.append(row);
  return digest.finish();
}

}  // namespace strandline::core
