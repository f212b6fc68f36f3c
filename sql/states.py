"""The state machines of sql/states.json, checked, and everything that is generated from them.

One file holds the states, so that the C++ table, the guard in the database and the documentation cannot disagree:
`cpp_header` gives the table behind cpp/core/states.hpp, `guard_sql` the CHECKs and triggers that a migration carries,
`docs_markdown` the tables of docs/states.md. Standard library only: it runs while the native module is being built.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CODE = re.compile(r"[A-Z][A-Z_]*\Z")


class StatesError(Exception):
    """states.json contradicts itself; the message says where."""


@dataclass(frozen=True)
class State:
    """One state of an object; rank orders states, so that a move that does not raise it has to say why."""

    name: str
    rank: int
    initial: bool
    terminal: bool
    description: str


@dataclass(frozen=True)
class Move:
    """One allowed change of state and the verb that makes it."""

    source: str
    target: str
    verb: str
    raises_attempt: bool
    audited: bool
    note: str


@dataclass(frozen=True)
class Machine:
    """All states and moves of one object; table and key are empty where the state is derived, not stored."""

    name: str
    table: str
    key: tuple[str, ...]
    attempt: str
    description: str
    states: tuple[State, ...]
    moves: tuple[Move, ...]

    def targets(self, source: str, *, raising: bool = False) -> list[str]:
        """States that `source` may become; with `raising`, only those that need a new attempt."""
        return [m.target for m in self.moves if m.source == source and (m.raises_attempt or not raising)]


@dataclass(frozen=True)
class Reason:
    """Why an object waits or ended: a code beside its state, never a state of its own."""

    code: str
    of: tuple[str, ...]
    description: str


@dataclass(frozen=True)
class States:
    """The whole of states.json."""

    machines: tuple[Machine, ...]
    reasons: tuple[Reason, ...]


def load(path: Path) -> States:
    """Reads and checks states.json; raises StatesError with the place of the first contradiction."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise StatesError(f"{path}:{error.lineno}: {error.msg}") from error
    machines: dict[str, Machine] = {}
    for item in raw["objects"]:
        base = machines.get(item.get("derived_from", ""))
        machine = _machine(item, base)
        _check(path, machine, derived=base is not None)
        machines[machine.name] = machine
    reasons = tuple(Reason(r["code"], tuple(r["of"]), r["description"]) for r in raw["reasons"])
    codes = [reason.code for reason in reasons]
    if codes != sorted(set(codes)):
        raise StatesError(f"{path}: reasons are not sorted by code, or one is there twice")
    for reason in reasons:
        if not CODE.match(reason.code) or not reason.description or not set(reason.of) <= set(machines):
            raise StatesError(f"{path}: reason {reason.code}: needs an upper-case code, a text and known objects")
    return States(tuple(machines.values()), reasons)


def _machine(item: dict[str, Any], base: Machine | None) -> Machine:
    states = tuple(
        State(s["name"], s["rank"], s.get("initial", False), s.get("terminal", False), s["description"])
        for s in item["states"]
    )
    moves = tuple(
        Move(source, m["to"], m["verb"], m.get("raises_attempt", False), m.get("audited", False), m["note"])
        for m in item["moves"]
        for source in m["from"]
    )
    if base is not None:
        states, moves = base.states + states, base.moves + moves
    return Machine(
        name=item["name"],
        table=item.get("table", ""),
        key=tuple(item.get("key", ())),
        attempt=item.get("attempt", ""),
        description=item["description"],
        states=states,
        moves=moves,
    )


def _check(path: Path, machine: Machine, *, derived: bool) -> None:
    """The rules that make the machine monotone: (attempt, rank) grows with every move, or the move is audited."""
    where = f"{path}: {machine.name}"
    states = {state.name: state for state in machine.states}
    if len(states) != len(machine.states):
        raise StatesError(f"{where}: a state is there twice")
    if not derived and not (machine.table and machine.key):
        raise StatesError(f"{where}: a stored object needs a table and a key")
    seen: set[tuple[str, str]] = set()
    for move in machine.moves:
        edge = f"{where}: {move.source} -> {move.target}"
        if move.source not in states or move.target not in states:
            raise StatesError(f"{edge}: unknown state")
        if (move.source, move.target) in seen:
            raise StatesError(f"{edge}: the move is there twice")
        seen.add((move.source, move.target))
        if states[move.target].rank <= states[move.source].rank and not (move.raises_attempt or move.audited):
            raise StatesError(f"{edge}: does not raise the rank, so it must raise the attempt or be audited")
        if states[move.source].terminal and not move.audited and not derived:
            raise StatesError(f"{edge}: leaves a terminal state without being audited")
        if move.raises_attempt and not (machine.attempt or derived):
            raise StatesError(f"{edge}: raises an attempt that the object does not have")
    for state in machine.states:
        if not CODE.match(state.name) or not state.description:
            raise StatesError(f"{where}: state {state.name!r} needs an upper-case name and a description")
        if not state.terminal and not machine.targets(state.name):
            raise StatesError(f"{where}: {state.name} has no way out and is not terminal")
        if not state.initial and not any(m.target == state.name for m in machine.moves):
            raise StatesError(f"{where}: {state.name} cannot be reached")


# The guard in the database -------------------------------------------------------------------------------------------


def _list(codes: list[str]) -> str:
    return ", ".join(f"'{code}'" for code in codes)


def _requeued(machine: Machine) -> str:
    """The state that a raising move leads to; there is one in every machine that counts attempts."""
    return ", ".join(dict.fromkeys(move.target for move in machine.moves if move.raises_attempt))


def _arms(machine: Machine, *, raising: bool) -> list[str]:
    """One `when` per state that may be left, in the order of the states."""
    arms = []
    for state in machine.states:
        targets = machine.targets(state.name, raising=raising)
        if targets:
            arms.append(f"    when '{state.name}' then new.status_code in ({_list(targets)})")
    return arms


def guard_sql(states: States) -> str:
    """CHECK constraints, guard functions and triggers of every stored object, as SQL text that ends with a newline.

    The triggers' WHEN holds the allowed moves, so that plpgsql runs only to refuse: the guard costs a comparison. They
    are AFTER triggers: a BEFORE trigger on INSERT would take COPY's multi-row path away from plans of a million slices.
    """
    parts = ["-- Made from sql/states.json by `python sql/generate.py --guard`; do not edit here."]
    parts += [_guard_of(machine) for machine in states.machines if machine.table]
    return "\n\n".join(parts) + "\n"


def _guard_of(machine: Machine) -> str:
    names = [state.name for state in machine.states]
    initial = _list([state.name for state in machine.states if state.initial])
    table, function = f"strandline.{machine.table}", f"strandline.guard_{machine.name}_move"
    label = "%s" if len(machine.key) == 1 else "(" + ", ".join(f"{column} %s" for column in machine.key) + ")"
    new_key = ", ".join(f"new.{column}" for column in machine.key)
    moves = "\n".join(_arms(machine, raising=False))
    attempt, raised = "", ""
    if machine.attempt:
        column = machine.attempt
        takes = f"{machine.name} {label}: %s -> %s takes {column} from %s to %s"
        raising = "\n".join(_arms(machine, raising=True))
        raised = f"""
    and new.{column} = old.{column} + (case old.status_code
{raising}
    else false end)::int"""
        attempt = f"""
  raise exception using errcode = 'SL001', message = format('{takes}',
    {new_key}, old.status_code, new.status_code, old.{column}, new.{column}),
    hint = 'A move back to {_requeued(machine)} raises {column} by one; every other move keeps it.';"""
    return f"""alter table {table} add constraint {machine.table}_status_code_check
  check (status_code in ({_list(names)}));

create function {function}() returns trigger language plpgsql as $guard$
begin
  if tg_op = 'INSERT' then
    raise exception using errcode = 'SL001', message = format('{machine.name} {label}: cannot begin as %s',
      {new_key}, new.status_code), hint = {_quoted(f"It begins as {initial}.")};
  end if;
  if not (case old.status_code
{moves}
    else false end) then
    raise exception using errcode = 'SL001', message = format('{machine.name} {label}: %s -> %s is not an allowed move',
      {new_key}, old.status_code, new.status_code), hint = 'The allowed moves are in docs/states.md.';
  end if;{attempt}
  return null;
end $guard$;
comment on function {function}() is 'Refuses every change of {machine.table}.status_code outside the state machine.';

create trigger {machine.table}_move after update of status_code on {table}
  for each row when (old.status_code is distinct from new.status_code and not ((case old.status_code
{moves}
    else false end){raised})) execute function {function}();
create trigger {machine.table}_begin after insert on {table}
  for each row when (new.status_code not in ({initial})) execute function {function}();"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# The table behind cpp/core/states.hpp --------------------------------------------------------------------------------


def _text(text: str) -> str:
    return json.dumps(text)  # states.json is ASCII, where JSON's and C++'s string literals agree


def _flag(value: bool) -> str:
    return "true" if value else "false"


def cpp_header(states: States) -> str:
    """A C++17 header of constexpr arrays; only cpp/core/states.cpp includes it."""
    lines = ["#pragma once", "// Made from sql/states.json by sql/generate.py; do not edit."]
    lines += ["", '#include "core/states.hpp"', "", "namespace strandline::core::generated {", ""]
    for machine in states.machines:
        lines.append(f"inline constexpr State {machine.name}_states[] = {{")
        for s in machine.states:
            flags = f"{_flag(s.initial)}, {_flag(s.terminal)}"
            lines.append(f"    {{{_text(s.name)}, {s.rank}, {flags}, {_text(s.description)}}},")
        lines += ["};", f"inline constexpr Move {machine.name}_moves[] = {{"]
        for m in machine.moves:
            flags = f"{_flag(m.raises_attempt)}, {_flag(m.audited)}"
            lines.append(f"    {{{_text(m.source)}, {_text(m.target)}, {_text(m.verb)}, {flags}, {_text(m.note)}}},")
        lines += ["};", ""]
    lines.append("inline constexpr Machine machines[] = {")
    for machine in states.machines:
        head = f"{_text(machine.name)}, {_text(machine.table)}, {_text(machine.description)}"
        lines.append(f"    {{{head}, {{{machine.name}_states}}, {{{machine.name}_moves}}}},")
    lines += ["};", "", "inline constexpr Reason reasons[] = {"]
    lines += [f"    {{{_text(r.code)}, {_text(r.description)}}}," for r in states.reasons]
    lines += ["};", "", "}  // namespace strandline::core::generated", ""]
    return "\n".join(lines)


# docs/states.md ------------------------------------------------------------------------------------------------------


def docs_markdown(states: States) -> str:
    """The generated part of docs/states.md: per object its states and moves, then the reason codes."""
    lines: list[str] = []
    for machine in states.machines:
        where = f"\nStored in `{machine.table}.status_code`." if machine.table else ""
        lines += [f"## {machine.name.capitalize()}", "", machine.description + where, ""]
        lines += ["| state | rank | begins | ends | meaning |", "|---|---|---|---|---|"]
        for s in machine.states:
            begins, ends = ("yes" if flag else "" for flag in (s.initial, s.terminal))
            lines.append(f"| {s.name} | {s.rank} | {begins} | {ends} | {s.description} |")
        lines += ["", "| from | to | verb | rule | when |", "|---|---|---|---|---|"]
        for m in machine.moves:
            rules = [rule for rule, on in (("attempt_no + 1", m.raises_attempt), ("audited", m.audited)) if on]
            lines.append(f"| {m.source} | {m.target} | {m.verb} | {', '.join(rules)} | {m.note} |")
        lines.append("")
    lines += ["## Reason codes", "", "A reason says why an object waits or ended; it is never a state of its own.", ""]
    lines += ["| code | of | meaning |", "|---|---|---|"]
    lines += [f"| {r.code} | {', '.join(r.of)} | {r.description} |" for r in states.reasons]
    return "\n".join(lines) + "\n"
