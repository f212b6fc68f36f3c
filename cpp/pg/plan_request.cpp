#include "pg/plan_request.hpp"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "core/canonical.hpp"
#include "core/json_canonical.hpp"
#include "pg/dictionary.hpp"

namespace strandline::pg {
namespace {

using nlohmann::json;

std::string canonical(const json& value, core::Profile profile = core::Profile::Exact,
                      const core::Defaults* defaults = nullptr) {
  core::CanonicalWriter writer;
  writer.start(profile, defaults);
  core::write_json(writer, value.dump());
  return std::string{writer.text()};
}

template <class Value>
std::optional<Value> maybe(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return found->get<Value>();
}

// A trigger without an identity of its own is a new one each time.
std::string fresh_log() {
  std::random_device device;
  std::string out;
  for (int i = 0; i < 4; ++i) {
    std::array<char, 9> part{};
    std::snprintf(part.data(), part.size(), "%08x", static_cast<unsigned>(device()));
    out += part.data();
  }
  return out;
}

void read_source(PlanRequest& out, const json& request) {
  const auto& source = request.at("provenance");
  out.provenance = source.at("code");
  out.reference = source.at("reference");
  out.provider_version = source.value("version", "1");
  if (const auto hex = maybe<std::string>(source, "source_digest")) out.source_digest = core::from_hex(*hex);
  out.config = canonical(source.value("config", json::object()));
  out.snapshot = canonical(json{{"reference", out.reference},
                                {"version", out.provider_version},
                                {"config", source.value("config", json::object())}});
  out.labels = source.value("labels", json::object()).dump();
  out.actor = request.value("actor", "unknown");
}

void read_stream(PlanRequest& out, const json& request) {
  const auto& stream = request.at("stream");
  out.stream = stream.at("name");
  out.target.schema = stream.at("schema");
  out.target.table = stream.at("table");
  const std::string mode = stream.at("mode");
  if (mode != "append" && mode != "merge")
    throw core::Error{core::ErrorCode::ConfigError, "mode is \"" + mode + "\"; the valid ones are append and merge"};
  out.target.merge = mode == "merge";
  out.target.primary_key = stream.value("primary_key", std::vector<std::string>{});
  out.target.cursor_field = maybe<std::string>(stream, "cursor_field");
  if (out.target.merge && out.target.primary_key.empty())
    throw core::Error{
        core::ErrorCode::ConfigError,
        "mode merge matches rows by primary_key, and none is given; name its columns, or use mode append"};
  out.columns = stream.value("columns", json{}).dump();
  out.contract = stream.value("contract", json::object()).dump();
}

void read_trigger(Session& session, PlanRequest& out, const json& request) {
  const auto trigger = request.value("trigger", json::object());
  const std::string scheduler = trigger.value("scheduler", "MANUAL");
  out.scheduler = resolve_code(session, "scheduler", scheduler, "*");
  out.job = trigger.value("job", out.provenance);
  out.log = maybe<std::string>(trigger, "log").value_or("");
  out.trigger_type = resolve_code(session, "trigger_type", trigger.value("type", "MANUAL"), scheduler);
  // What identifies the request: everything that was asked for, as it was asked, so that an open window whose end has moved
  // since is the same request.
  json asked = request;
  // What says how and where it is worked is no part of it: a local pool is another one in every process, and a deadline or an
  // origin that was given as a duration is another instant at every call.
  for (const char* name : {"actor", "trigger", "dry_run", "cuts", "max_slices", "pool", "priority", "delay", "deadline",
                           "labels", "credential", "mutex_key", "mutex_slots", "max_attempts", "max_losses"}) {
    asked.erase(name);
  }
  // Nothing to wait for is what older versions asked without saying so.
  if (asked.value("depends_on", json::array()).empty()) asked.erase("depends_on");
  if (asked.contains("cursor") && asked["cursor"].is_object()) asked["cursor"].erase("origin");
  for (const char* name : {"lo", "hi"}) {
    if (asked.contains("window") && asked["window"].is_object()) asked["window"].erase(name);
  }
  asked["provenance"] = {{"code", out.provenance},
                         {"config", request.at("provenance").value("config", json::object())}};
  out.request = canonical(asked);
  out.request_hash = core::request_hash(out.request);
  if (out.log.empty()) out.log = fresh_log();
}

void read_window(Session& session, PlanRequest& out, const json& request) {
  if (const auto cursor = maybe<json>(request, "cursor")) {
    out.type_code = cursor->value("type", "TIME");
    out.type = core::parse_cursor_type(out.type_code);
    out.zone = cursor->value("time_zone", "UTC");
    out.origin = maybe<std::int64_t>(*cursor, "origin");
  } else {
    out.value = true;
    out.zone = "UTC";
    const auto& value = request.at("value");
    if (const auto digest = maybe<std::string>(value, "digest")) out.value_spec = canonical(json{{"digest", *digest}});
  }
  static_cast<void>(out.time_zone());
  const auto window = request.value("window", json::object());
  out.window_asked = window.value("asked", json{}).dump();
  out.window_text = maybe<std::string>(window, "text");
  out.window = {maybe<std::int64_t>(window, "lo"), maybe<std::int64_t>(window, "hi")};
  core::check_order(out.window, out.type, "window");
  out.lag = request.value("lag", std::int64_t{0});
  out.lookback = request.value("lookback", std::int64_t{0});
  if (out.lookback > 0 && !out.target.merge) {
    throw core::Error{core::ErrorCode::ConfigError,
                      "lookback reads the end of what is loaded again, which mode append would store twice; use a "
                      "primary_key with mode merge, or lookback \"0 s\""};
  }
  const auto strategy = request.value("strategy", json{});
  out.strategy = core::parse_strategy(strategy.dump());
  static_cast<void>(resolve_code(session, "slice_strategy", core::strategy_code(out.strategy.kind), "*"));
  if (!out.value) core::check_strategy(out.strategy, out.type);
  out.cuts = maybe<std::vector<std::int64_t>>(request, "cuts");
}

void read_filter(PlanRequest& out, const json& request) {
  std::optional<core::Defaults> defaults;
  if (const auto declared = maybe<json>(request, "params_defaults"))
    defaults.emplace(canonical(*declared, core::Profile::Params));
  const auto params = maybe<json>(request, "params").value_or(json::object());
  out.params = canonical(params, core::Profile::Params, defaults ? &*defaults : nullptr);
  const auto expr = maybe<json>(request, "expr");
  out.expr = expr ? canonical(*expr) : "null";
  if (expr) out.expr_hash = core::sha256(out.expr);
  out.space.provenance_code = out.provenance;
  // A backfill fills the holes of the same coverage.
  out.space.operation_code = out.operation == "BACKFILL" ? "HARVEST" : out.operation;
  out.space.cursor_key = out.target.name();
  out.space.namespace_key = core::namespace_key(out.params, out.expr);
  out.space.namespace_scope_code = out.space.namespace_key == core::Digest{} ? "GLOBAL" : "EXPR";
}

void read_work(Session& session, PlanRequest& out, const json& request) {
  out.operation = resolve_code(session, "operation", request.value("operation", "HARVEST"), "*");
  const std::string only = request.value("only", "missing");
  if (only != "missing" && only != "failed" && only != "all")
    throw core::Error{core::ErrorCode::ConfigError,
                      "only is \"" + only + "\"; the valid ones are missing, failed and all"};
  out.only = only == "missing"  ? PlanRequest::Only::Missing
             : only == "failed" ? PlanRequest::Only::Failed
                                : PlanRequest::Only::All;
  const std::string order = request.value("order", "oldest");
  if (order != "oldest" && order != "newest")
    throw core::Error{core::ErrorCode::ConfigError, "order is \"" + order + "\"; the valid ones are oldest and newest"};
  out.order = order == "oldest" ? core::Order::Oldest : core::Order::Newest;
  out.pool = request.value("pool", "default");
  out.priority = request.value("priority", std::int64_t{5});
  if (out.priority < 1 || out.priority > 9)
    throw core::Error{core::ErrorCode::ConfigError,
                      "priority is " + std::to_string(out.priority) + "; it goes from 1 (first) to 9 (last)"};
  out.mutex_key = maybe<std::string>(request, "mutex_key");
  out.mutex_slots = maybe<std::int64_t>(request, "mutex_slots");
  if (out.mutex_slots && (*out.mutex_slots < 1 || *out.mutex_slots > 1'000'000))
    throw core::Error{core::ErrorCode::ConfigError, "mutex_key lets " + std::to_string(*out.mutex_slots) +
                                                        " tasks through at once; give 1 to 1000000"};
  for (const auto& each : request.value("depends_on", json::array())) {
    const auto kind = each.contains("task")   ? Dependency::Kind::Task
                      : each.contains("plan") ? Dependency::Kind::Plan
                                              : Dependency::Kind::Cursor;
    const char* name = kind == Dependency::Kind::Task ? "task" : kind == Dependency::Kind::Plan ? "plan" : "cursor";
    out.depends_on.push_back({kind, each.at(name).get<std::int64_t>(), each.value("resolved", false)});
  }
  out.max_attempts = request.value("max_attempts", std::int64_t{5});
  out.max_losses = request.value("max_losses", std::int64_t{10});
  out.delay = request.value("delay", std::int64_t{0});
  out.deadline = maybe<std::int64_t>(request, "deadline");
  out.credential = maybe<std::string>(request, "credential");
  out.max_slices = request.value("max_slices", std::int64_t{1'000'000});
  if (out.max_slices < 1)
    throw core::Error{core::ErrorCode::ConfigError,
                      "max_slices is " + std::to_string(out.max_slices) + "; a plan needs at least 1"};
  out.dry_run = request.value("dry_run", false);
}

}  // namespace

core::Window PlanRequest::resolve(std::int64_t now) const {
  if (!window_text) return window;
  return core::parse_window(*window_text, time_zone(), now, type);
}

PlanRequest read_request(Session& session, const nlohmann::json& request) {
  PlanRequest out;
  try {
    read_source(out, request);
    read_stream(out, request);
    read_trigger(session, out, request);
    read_window(session, out, request);
    read_work(session, out, request);
    read_filter(out, request);
  } catch (const json::exception& error) {
    throw core::Error{core::ErrorCode::Error, std::string{"the plan request is malformed: "} + error.what()};
  }
  return out;
}

}  // namespace strandline::pg
