#pragma once
// The identity of work: SHA-256 over the canonical form of an object with named fields, never over joined strings. Every
// object carries "kind" and "v":1, so that no two recipes can meet and a second version can stand beside the first. No
// clock, no attempt and no row id enters a key: the same work has the same key in every process and after every restart.
//
// Planning calls these functions a million times, so they write the canonical text directly (the members of each recipe
// are listed in canonical order) into a buffer that the thread reuses. Arguments called `..._json` are canonical texts
// already (core/canonical.hpp) and are copied as they are. Text that is not UTF-8 is a DataError.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/digest.hpp"

namespace strandline::core {

// What a watermark belongs to. Another target table (cursor_key) or another filter (namespace_key) is another namespace.
struct Namespace {
  std::string provenance_code;
  std::string operation_code;  // BACKFILL works in HARVEST's namespace and is written as HARVEST in every key
  std::string cursor_key;
  std::string namespace_scope_code;  // GLOBAL, EXPR or CUSTOM
  Digest namespace_key{};            // zeros where nothing narrows the namespace
};

// The namespace_key of parameters and an expression that narrow what is read. Zeros when there is neither: the parameters
// are "{}" and the expression is "null".
[[nodiscard]] Digest namespace_key(std::string_view params_json, std::string_view expr_json);

// One half-open part of a plan: the same window, cut the same way, in the same generation of the same namespace.
[[nodiscard]] Digest slice_signature(const Namespace& space, std::string_view strategy_code, std::string_view spec_json,
                                     std::int64_t generation);

// The work for one slice. `params_json` is in the params profile.
[[nodiscard]] Digest task_key(std::string_view kind_code, const Digest& slice_signature,
                              const std::optional<Digest>& expr_hash, std::string_view params_json);

// One trigger of one stream. `part` counts from 0 when a trigger is planned in several parts.
[[nodiscard]] Digest plan_key(std::string_view scheduler_code, std::string_view scheduler_job_id,
                              std::string_view scheduler_log_id, std::string_view stream, std::int64_t part);

// One committed page.
[[nodiscard]] Digest batch_key(const Digest& task_key, std::int64_t walk_no, std::int64_t batch_no);

// What a trigger asked for; the same trigger with another hash is a conflict. `request_json` is any canonical object.
[[nodiscard]] Digest request_hash(std::string_view request_json);

// One move of a watermark. The hash covers the previous event's hash (the chain) and the digest over the coverage rows
// that the event consumed (core/chain.hpp), so that neither can be edited alone.
struct Event {
  std::string_view actor;
  std::optional<std::string_view> reason;
  std::optional<Digest> prev_hash;  // none for the first event of a cursor
  std::int64_t sequence_no = 0;
  std::int64_t generation = 0;
  std::optional<std::int64_t> prev_value;
  std::optional<std::int64_t> new_value;
  std::string_view direction_code;
  std::vector<std::pair<std::int64_t, std::int64_t>> intervals;  // half-open [lo, hi), in ascending order
  std::int64_t count = 0;                                        // coverage rows consumed
  Digest coverage_digest{};
};

[[nodiscard]] Digest event_hash(const Namespace& space, const Event& event);

}  // namespace strandline::core
