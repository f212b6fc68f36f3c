#include "core/states.hpp"

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "generated/states_table.hpp"

namespace strandline::core {

namespace {

template <typename T, typename Name>
std::string names(const Listing<T>& items, Name name) {
  std::string text;
  for (const T& item : items) text.append(text.empty() ? "" : ", ").append(name(item));
  return text;
}

const State& state(const Machine& machine, std::string_view name) {
  const auto* found = std::find_if(machine.states.begin(), machine.states.end(),
                                   [name](const State& candidate) { return candidate.name == name; });
  if (found == machine.states.end()) {
    throw Error{ErrorCode::Error, "unknown state '" + std::string{name} + "' of " + std::string{machine.object} +
                                      "; its states are " +
                                      names(machine.states, [](const State& each) { return each.name; })};
  }
  return *found;
}

}  // namespace

Listing<Machine> machines() noexcept { return generated::machines; }

Listing<Reason> reasons() noexcept { return generated::reasons; }

const Machine& machine(std::string_view object) {
  const Listing<Machine> all = machines();
  const auto* found =
      std::find_if(all.begin(), all.end(), [object](const Machine& candidate) { return candidate.object == object; });
  if (found == all.end()) {
    throw Error{ErrorCode::Error, "no state machine for '" + std::string{object} + "'; there is one for each of " +
                                      names(all, [](const Machine& each) { return each.object; })};
  }
  return *found;
}

bool allowed(std::string_view object, std::string_view from, std::string_view to) {
  const Machine& rules = machine(object);
  const std::string_view source = state(rules, from).name;
  const std::string_view target = state(rules, to).name;
  return std::any_of(rules.moves.begin(), rules.moves.end(),
                     [source, target](const Move& move) { return move.from == source && move.to == target; });
}

bool terminal(std::string_view object, std::string_view name) { return state(machine(object), name).terminal; }

std::string_view reason_text(std::string_view code) noexcept {
  const Listing<Reason> all = reasons();
  const auto* found =
      std::find_if(all.begin(), all.end(), [code](const Reason& candidate) { return candidate.code == code; });
  return found == all.end() ? std::string_view{} : found->description;
}

}  // namespace strandline::core
