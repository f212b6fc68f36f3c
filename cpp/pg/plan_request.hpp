#pragma once
// What was asked for, read and checked before anything is written.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/calendar.hpp"
#include "core/keys.hpp"
#include "core/slices.hpp"
#include "core/window.hpp"
#include "pg/session.hpp"
#include "pg/target.hpp"

namespace strandline::pg {

// Something that every task of the plan waits for: a task, a plan, or a cursor's coverage up to the end of the window.
struct Dependency {
  enum class Kind { Task, Plan, Cursor } kind = Kind::Task;
  std::int64_t id = 0;
  bool resolved = false;  // any end will do, not only success
};

struct PlanRequest {
  // The source.
  std::string provenance;
  std::string reference;
  std::string provider_version;
  std::optional<core::Digest> source_digest;
  std::string config;    // canonical
  std::string snapshot;  // canonical: reference, version and configuration, frozen with the trigger
  std::string labels;
  std::string actor;
  // The stream.
  std::string stream;
  Target target;
  std::string columns;  // JSON, "null" where they are inferred
  std::string contract;
  // The trigger.
  std::string scheduler;
  std::string job;
  std::string log;
  std::string trigger_type;
  core::Digest request_hash{};
  std::string request;  // canonical
  // The work.
  std::string operation;
  core::Namespace space;
  bool value = false;
  std::string value_spec;  // canonical spec of a value's only slice; empty for an iterator, whose plan_key is its spec
  core::CursorType type = core::CursorType::Time;
  std::string type_code;  // TIME, ID, TOKEN
  std::string zone;
  std::optional<std::int64_t> origin;
  std::optional<std::string> window_text;
  core::Window window;
  std::string window_asked;  // JSON
  std::int64_t lag = 0;
  std::int64_t lookback = 0;
  core::Strategy strategy;
  std::optional<std::vector<std::int64_t>> cuts;
  std::string params;  // canonical, params profile
  std::string expr;    // canonical, "null" for none
  std::optional<core::Digest> expr_hash;
  enum class Only { Missing, Failed, All } only = Only::Missing;
  core::Order order = core::Order::Oldest;
  std::string pool;
  std::int64_t priority = 5;
  std::optional<std::string> mutex_key;
  std::optional<std::int64_t> mutex_slots;  // how many pass at once; nothing for as many as now
  std::vector<Dependency> depends_on;
  std::int64_t max_attempts = 5;
  std::int64_t max_losses = 10;
  std::int64_t delay = 0;
  std::optional<std::int64_t> deadline;
  std::optional<std::string> credential;
  std::int64_t max_slices = 1'000'000;
  bool dry_run = false;

  [[nodiscard]] const core::Zone& time_zone() const { return core::Zone::locate(zone); }
  // The window with its text read against an instant.
  [[nodiscard]] core::Window resolve(std::int64_t now) const;
};

// Reads the request; codes are looked up in the dictionaries of the session's schema. Throws ConfigError.
[[nodiscard]] PlanRequest read_request(Session& session, const nlohmann::json& request);

}  // namespace strandline::pg
