#pragma once
// The state machines of the ledger as data: which states a plan, slice, task, run and batch may have, which moves lead
// from one to another, and why a move exists. sql/states.json is the one source; the table behind these functions, the
// guard in the database and docs/states.md are all made from it, so that they cannot disagree.

#include <cstddef>
#include <string_view>

namespace strandline::core {

// A constant list with static storage (C++17 has no std::span).
template <typename T>
class Listing {
 public:
  template <std::size_t N>
  constexpr Listing(const T (&items)[N]) noexcept : first_{items}, size_{N} {}

  [[nodiscard]] constexpr const T* begin() const noexcept { return first_; }
  [[nodiscard]] constexpr const T* end() const noexcept { return first_ + size_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

 private:
  const T* first_;
  std::size_t size_;
};

struct State {
  std::string_view name;  // as stored, upper case
  int rank;               // (attempt, rank) only grows; an audited move is the one exception
  bool initial;           // a new row may begin here
  bool terminal;          // only an audited move leaves it
  std::string_view description;
};

struct Move {
  std::string_view from;
  std::string_view to;
  std::string_view verb;  // what makes the move
  bool raises_attempt;    // attempt_no grows by one with it
  bool audited;           // somebody asked for it by name
  std::string_view note;
};

struct Machine {
  std::string_view object;  // plan, task, slice, run, batch
  std::string_view table;   // empty where the state is derived
  std::string_view description;
  Listing<State> states;
  Listing<Move> moves;
};

struct Reason {
  std::string_view code;
  std::string_view description;
};

// Every machine, in the order of sql/states.json.
[[nodiscard]] Listing<Machine> machines() noexcept;

// Every reason code, sorted.
[[nodiscard]] Listing<Reason> reasons() noexcept;

// The machine of an object. Throws Error for an object that has none.
[[nodiscard]] const Machine& machine(std::string_view object);

// Whether `object` may go from one state to the other. Throws Error for an unknown object or state, so that a typing
// mistake is not taken for a refusal.
[[nodiscard]] bool allowed(std::string_view object, std::string_view from, std::string_view to);

// Whether the state is an end: nothing but an audited move leaves it. Throws like allowed().
[[nodiscard]] bool terminal(std::string_view object, std::string_view name);

// One sentence for a reason code, empty for one that this version does not know (a newer writer may).
[[nodiscard]] std::string_view reason_text(std::string_view code) noexcept;

}  // namespace strandline::core
