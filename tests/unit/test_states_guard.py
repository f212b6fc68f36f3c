"""The generated guard in a real database: every move of every object, allowed and not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import states

MACHINES = states.load(Path(__file__).resolve().parents[2] / "sql" / "states.json")
STORED = [machine for machine in MACHINES.machines if machine.table]
REFUSED = "SL001"


@pytest.fixture
def guarded(empty_dsn: str, connect_to: Callable[..., psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
    """A connection to tables that have only what the guard reads: keys, attempt and status."""
    connection = connect_to(empty_dsn, autocommit=True)
    connection.execute("create schema strandline")
    for machine in STORED:
        columns = dict.fromkeys([*machine.key, *([machine.attempt] if machine.attempt else [])], "bigint not null")
        listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        connection.execute(f"create table strandline.{machine.table} ({listed}, status_code text not null)")
    connection.execute(states.guard_sql(MACHINES))
    return connection


def put(connection: psycopg.Connection[Any], machine: states.Machine, status: str) -> None:
    """The table's only row, in a state that it may not begin in: written with the guard out of the way."""
    columns = [*machine.key, *([machine.attempt] if machine.attempt else [])]
    values = ", ".join("7" for _ in columns)
    for statement in (
        f"truncate strandline.{machine.table}",
        f"alter table strandline.{machine.table} disable trigger user",
        f"insert into strandline.{machine.table} ({', '.join(columns)}, status_code) values ({values}, '{status}')",
        f"alter table strandline.{machine.table} enable trigger user",
    ):
        connection.execute(statement)


def attempt_to(connection: psycopg.Connection[Any], statement: str) -> str:
    """The message of the guard's refusal, empty where the statement went through."""
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        if error.sqlstate != REFUSED:
            raise
        return str(error)
    return ""


@pytest.mark.parametrize("machine", STORED, ids=lambda machine: machine.name)
def test_exactly_the_listed_moves_go_through(guarded: psycopg.Connection[Any], machine: states.Machine) -> None:
    moves = {(move.source, move.target): move for move in machine.moves}
    for source in machine.states:
        for target in machine.states:
            if source == target:
                continue
            move = moves.get((source.name, target.name))
            raised = f", {machine.attempt} = {machine.attempt} + 1" if move and move.raises_attempt else ""
            put(guarded, machine, source.name)
            message = attempt_to(
                guarded, f"update strandline.{machine.table} set status_code = '{target.name}'{raised}"
            )
            assert bool(message) == (move is None), f"{machine.name}: {source.name} -> {target.name}: {message}"
            if message:
                assert machine.name in message
                assert "7" in message
                assert f"{source.name} -> {target.name}" in message


@pytest.mark.parametrize("machine", STORED, ids=lambda machine: machine.name)
def test_rows_begin_only_in_an_initial_state(guarded: psycopg.Connection[Any], machine: states.Machine) -> None:
    columns = [*machine.key, *([machine.attempt] if machine.attempt else [])]
    values = ", ".join("7" for _ in columns)
    for state in machine.states:
        insert = f"insert into strandline.{machine.table} ({', '.join(columns)}, status_code)"
        message = attempt_to(guarded, f"{insert} values ({values}, '{state.name}')")
        assert bool(message) == (not state.initial), f"{machine.name} begins as {state.name}: {message}"


def test_a_task_that_is_queued_again_takes_exactly_the_next_attempt(guarded: psycopg.Connection[Any]) -> None:
    task = next(machine for machine in STORED if machine.name == "task")
    for source in ("RUNNING", "FAILED", "CANCELLED"):
        for step in (0, 2, -1):
            put(guarded, task, source)
            change = f"update strandline.ing_task set status_code = 'QUEUED', attempt_no = attempt_no + {step}"
            assert f"attempt_no from 7 to {7 + step}" in attempt_to(guarded, change)


def test_no_other_move_of_a_task_touches_its_attempt(guarded: psycopg.Connection[Any]) -> None:
    task = next(machine for machine in STORED if machine.name == "task")
    put(guarded, task, "QUEUED")
    change = "update strandline.ing_task set status_code = 'RUNNING', attempt_no = attempt_no + 1"
    assert "attempt_no from 7 to 8" in attempt_to(guarded, change)


def test_a_write_that_keeps_the_state_is_never_refused(guarded: psycopg.Connection[Any]) -> None:
    for machine in STORED:
        for state in machine.states:
            put(guarded, machine, state.name)
            assert not attempt_to(guarded, f"update strandline.{machine.table} set status_code = '{state.name}'")


@pytest.mark.parametrize("machine", STORED, ids=lambda machine: machine.name)
def test_an_unknown_state_is_refused_by_the_check(guarded: psycopg.Connection[Any], machine: states.Machine) -> None:
    put(guarded, machine, machine.states[0].name)
    guarded.execute(f"alter table strandline.{machine.table} disable trigger user")
    with pytest.raises(psycopg.errors.CheckViolation):
        guarded.execute(f"update strandline.{machine.table} set status_code = 'DREAMING'")
