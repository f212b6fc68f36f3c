// The strategies as JSON: what a user writes, what is stored, and which cursors they fit. Cutting is in slices.cpp.

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/quote.hpp"
#include "core/slices.hpp"

namespace strandline::core {
namespace {

using Json = nlohmann::json;

struct Known {
  StrategyKind kind;
  const char* code;
  std::array<const char*, 2> fields;  // beside "strategy"
  const char* example;
};

constexpr std::array<Known, 7> kStrategies{{
    {StrategyKind::Single, "SINGLE", {"", ""}, R"({"strategy":"SINGLE"})"},
    {StrategyKind::Time, "TIME", {"step", "whole"}, R"({"strategy":"TIME","step":"1 week"})"},
    {StrategyKind::Date, "DATE", {"step", ""}, R"({"strategy":"DATE","step":"1 day"})"},
    {StrategyKind::Id, "ID", {"step", ""}, R"({"strategy":"ID","step":1000})"},
    {StrategyKind::Cursor, "CURSOR", {"", ""}, R"({"strategy":"CURSOR"})"},
    {StrategyKind::Budget, "BUDGET", {"max_records", "min_step"}, R"({"strategy":"BUDGET","max_records":50000})"},
    {StrategyKind::Custom, "CUSTOM", {"", ""}, R"({"strategy":"CUSTOM"})"},
}};

[[noreturn]] void refuse(const std::string& problem) {
  std::string message = "the slice " + problem + ". Give a duration (\"1 week\"), a number of ids (1000), or one of";
  for (const Known& strategy : kStrategies) {
    message += strategy.kind == StrategyKind::Single ? " " : ", ";
    message += strategy.example;
  }
  throw Error(ErrorCode::ConfigError, message + '.');
}

std::string shown(const Json& value) {
  return value.is_string() ? quote(value.get_ref<const std::string&>())
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80);
}

Step step_of(const Json& value, const char* field) {
  if (!value.is_string()) refuse(std::string{"has the "} + field + ' ' + shown(value) + ", not a duration");
  Step step;
  try {
    step = parse_step(value.get_ref<const std::string&>());
  } catch (const Error& error) {
    throw Error(ErrorCode::ConfigError, std::string{"the slice has a bad "} + field + ": " + error.what());
  }
  if (step.count <= 0) refuse(std::string{"has the "} + field + ' ' + shown(value) + ", which is not positive");
  return step;
}

std::int64_t count_of(const Json& value, const char* field) {
  const bool too_large = value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX};
  const bool fits = value.is_number_integer() && !too_large;
  if (!fits || value.get<std::int64_t>() <= 0) {
    refuse(std::string{"has the "} + field + ' ' + shown(value) + ", not a positive whole number");
  }
  return value.get<std::int64_t>();
}

const Json& required(const Json& object, const char* field, const Known& strategy) {
  const auto found = object.find(field);
  if (found == object.end()) refuse(std::string{strategy.code} + " has no \"" + field + '"');
  return *found;
}

const Known& strategy_named(const Json& code) {
  if (!code.is_string()) refuse("has the strategy " + shown(code) + ", not a name");
  std::string upper = code.get<std::string>();
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (upper == "HYBRID") {
    throw Error(ErrorCode::ConfigError,
                "the slice strategy HYBRID comes later: this version cannot cut by hash buckets. Use TIME or BUDGET.");
  }
  const auto* const found = std::find_if(kStrategies.begin(), kStrategies.end(),
                                         [&upper](const Known& strategy) { return upper == strategy.code; });
  if (found == kStrategies.end()) refuse("has the unknown strategy " + shown(code));
  return *found;
}

Strategy from_object(const Json& object) {
  const auto code = object.find("strategy");
  if (code == object.end()) refuse("has no \"strategy\"");
  const Known& found = strategy_named(*code);
  for (const auto& member : object.items()) {
    const std::string& name = member.key();
    const bool expected = name == "strategy" || std::any_of(found.fields.begin(), found.fields.end(),
                                                            [&name](const char* field) { return name == field; });
    if (!expected || name.empty()) refuse(std::string{found.code} + " has the unknown field " + quote(name));
  }

  Strategy strategy;
  strategy.kind = found.kind;
  switch (found.kind) {
    case StrategyKind::Time:
      strategy.step = step_of(required(object, "step", found), "step");
      if (const auto whole = object.find("whole"); whole != object.end()) {
        if (!whole->is_boolean()) refuse("has the whole " + shown(*whole) + ", not true or false");
        strategy.whole = whole->get<bool>();
      }
      break;
    case StrategyKind::Date:
      strategy.step = step_of(required(object, "step", found), "step");
      if (strategy.step.unit < Unit::Day)
        refuse("DATE has the step " + shown(object["step"]) + ", which is no whole days");
      break;
    case StrategyKind::Id:
      strategy.ids = count_of(required(object, "step", found), "step");
      break;
    case StrategyKind::Budget:
      strategy.max_records = count_of(required(object, "max_records", found), "max_records");
      if (const auto least = object.find("min_step"); least != object.end() && !least->is_null()) {
        if (least->is_string()) {
          strategy.min_step = step_of(*least, "min_step");
          static_cast<void>(fixed_microseconds(*strategy.min_step));  // months and years have no length to bisect by
        } else {
          strategy.min_ids = count_of(*least, "min_step");
        }
      }
      break;
    case StrategyKind::Single:
    case StrategyKind::Cursor:
    case StrategyKind::Custom:
      break;
  }
  return strategy;
}

}  // namespace

Strategy parse_strategy(std::string_view text) {
  const Json value = Json::parse(text, nullptr, false);
  if (value.is_null()) return {};
  if (value.is_object()) return from_object(value);
  Strategy strategy;
  if (value.is_number()) {
    strategy.kind = StrategyKind::Id;
    strategy.ids = count_of(value, "step");
    return strategy;
  }
  if (!value.is_string() && !value.is_discarded()) refuse("is " + shown(value));
  strategy.kind = StrategyKind::Time;
  strategy.step = step_of(value.is_string() ? value : Json(std::string{text}), "step");
  return strategy;
}

std::string strategy_json(const Strategy& strategy) {
  const std::string code = "\"strategy\":\"" + std::string{strategy_code(strategy.kind)} + '"';
  switch (strategy.kind) {
    case StrategyKind::Time:
    case StrategyKind::Date:
      return "{\"step\":\"" + step_text(strategy.step) + "\"," + code + (strategy.whole ? R"(,"whole":true})" : "}");
    case StrategyKind::Id:
      return "{\"step\":" + std::to_string(strategy.ids) + ',' + code + '}';
    case StrategyKind::Budget: {
      std::string text = "{\"max_records\":" + std::to_string(strategy.max_records);
      if (strategy.min_step) text += ",\"min_step\":\"" + step_text(*strategy.min_step) + '"';
      if (strategy.min_ids != 0) text += ",\"min_step\":" + std::to_string(strategy.min_ids);
      return text + ',' + code + '}';
    }
    case StrategyKind::Single:
    case StrategyKind::Cursor:
    case StrategyKind::Custom:
      break;
  }
  return '{' + code + '}';
}

const char* strategy_code(StrategyKind kind) noexcept { return kStrategies[static_cast<std::size_t>(kind)].code; }

void check_strategy(const Strategy& strategy, CursorType cursor_type) {
  const auto fits = [&strategy](std::initializer_list<StrategyKind> kinds) {
    return std::find(kinds.begin(), kinds.end(), strategy.kind) != kinds.end();
  };
  std::string_view wanted;
  switch (cursor_type) {
    case CursorType::Time:
      if (!fits({StrategyKind::Single, StrategyKind::Time, StrategyKind::Date, StrategyKind::Budget,
                 StrategyKind::Custom})) {
        wanted = "a duration such as \"1 week\", TIME, DATE, BUDGET, CUSTOM or none";
      } else if (strategy.min_ids != 0) {
        wanted = "BUDGET with a duration as min_step, such as \"1 minute\"";
      }
      break;
    case CursorType::Id:
      if (!fits({StrategyKind::Single, StrategyKind::Id, StrategyKind::Budget, StrategyKind::Custom})) {
        wanted = "a number of ids such as 1000, ID, BUDGET, CUSTOM or none";
      } else if (strategy.min_step) {
        wanted = "BUDGET with a number of ids as min_step";
      }
      break;
    case CursorType::Token:
      if (!fits({StrategyKind::Single, StrategyKind::Cursor})) wanted = "CURSOR or none";
      break;
    case CursorType::Snapshot:
      if (!fits({StrategyKind::Single})) wanted = "none";
      break;
  }
  if (wanted.empty()) return;
  throw Error(ErrorCode::ConfigError, "the slice " + strategy_json(strategy) + " does not fit cursor_type \"" +
                                          cursor_type_text(cursor_type) + "\". It can be " + std::string{wanted} + '.');
}

}  // namespace strandline::core
