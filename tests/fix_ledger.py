"""Builders for tests that talk to the native ledger: plan requests, pages, runs, and transactions that stay open.

A test of a race has two sides. The side under test is `_core.Ledger`, stopped by a proxy (fix_proxy) or in a thread of
its own. `held()` is the other one: a connection that runs the very statements of sql/queries one by one and keeps its
transaction open, or a wrong form of them, to show that the schedule would find it.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import generate
import psycopg
import pytest
from fix_server import Connect
from psycopg.rows import dict_row

from strandline import _core

LEASE = 500_000  # microseconds: short enough to wait for its end
COLUMNS = [("id", "bigint", True), ("v", "text", False)]
TARGET: dict[str, Any] = {
    "schema": "public",
    "table": "readings",
    "mode": "append",
    "primary_key": [],
    "cursor_field": None,
}
OPEN = 2**63 - 1

_PATIENCE = 10.0

OpenLedger = Callable[..., _core.Ledger]
Background = Callable[..., "Future[Any]"]
Rows = list[dict[str, Any]]


@functools.cache
def _queries() -> dict[str, str]:
    return {each.name: each.text for each in generate.load_queries(generate.ROOT / "queries")}


def query(name: str) -> str:
    """The text of a named query."""
    return _queries()[name]


def wrong(name: str, *replaced: tuple[str, str]) -> str:
    """A named query with pieces of its text replaced. A piece that is not there fails: the query has changed."""
    text = query(name)
    for old, new in replaced:
        assert old in text, f"{name} has no {old!r} any more"
        text = text.replace(old, new)
    return text


def request(lo: int, hi: int, *, step: int = 10, **changes: Any) -> dict[str, Any]:
    """A plan request for the ids [lo, hi) in slices of `step`, appended to public.readings."""
    return {
        "provenance": {"code": "meter", "reference": "tests:Meter", "version": "1", "config": {}, "labels": {}},
        "stream": {"name": "readings", **TARGET, "columns": None, "contract": {}},
        "operation": "HARVEST",
        "trigger": {"scheduler": "MANUAL", "job": "meter", "log": None, "type": "MANUAL"},
        "actor": "suite",
        "cursor": {"type": "ID", "time_zone": "UTC", "origin": 0},
        "window": {"asked": [lo, hi], "lo": lo, "hi": hi},
        "strategy": {"strategy": "ID", "step": step},
        **changes,
    }


def page(ids: Iterable[int], *, after: Any = None) -> dict[str, Any]:
    """A page of rows (id, text of the id); `after` is the token behind it."""
    rows, _ = _core.Encoder(COLUMNS).encode([(each, str(each)) for each in ids])
    token = None if after is None else json.dumps(after)
    return {"rows": rows, "deleted": None, "before": None, "after": token, "size": 100, "started": 0}


def finish(ledger: _core.Ledger, run: _core.Run) -> dict[str, int]:
    """Commits the whole slice of a run as its last page: one row for each id of its window."""
    assert run.lo is not None
    assert run.hi is not None
    return ledger.commit(run, TARGET, [page(range(run.lo, run.hi))], done=True, lease=LEASE)


def claim(ledger: _core.Ledger, plan: dict[str, Any], limit: int = 100, *, lease: int = LEASE) -> list[_core.Run]:
    """Claims runs of a plan, in the order of their windows."""
    return ledger.claim("suite", limit, lease, plans=[plan["plan_id"]])


def finish_all(ledger: _core.Ledger, plan: dict[str, Any]) -> None:
    """Loads whatever of a plan can be claimed, and folds."""
    while runs := claim(ledger, plan):
        for run in runs:
            finish(ledger, run)
    ledger.fold(plan["cursor_id"])


class Held:
    """A connection whose transaction stays open until the test ends it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.pid = connection.info.backend_pid

    def run(self, name: str, *values: Any) -> Rows:
        """Runs a named query."""
        return self.text(query(name), *values)

    def text(self, statement: str, *values: Any) -> Rows:
        """Runs a statement with parameters $1, $2, .."""
        cursor = psycopg.RawCursor(self.connection, row_factory=dict_row)
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()


class Database:
    """The test's database seen from outside: it answers questions and waits until something is so."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._held = Held(connection)

    def rows(self, statement: str, *values: Any) -> Rows:
        return self._held.text(statement, *values)

    def value(self, statement: str, *values: Any) -> Any:
        """The first column of the only row."""
        (row,) = self.rows(statement, *values)
        return next(iter(row.values()))

    def wait_until(self, condition: str, *values: Any) -> None:
        """Asks until the condition, an SQL expression, is true."""
        deadline = time.monotonic() + _PATIENCE
        while not self.value(f"select ({condition}) from (select pg_sleep(0.002)) s", *values):
            assert time.monotonic() < deadline, f"never true: {condition} {values}"

    def wait_until_blocked(self, waiter: int, by: int) -> None:
        """Returns when backend `waiter` waits for a lock that backend `by` holds."""
        self.wait_until("$2::int = any(pg_blocking_pids($1::int))", waiter, by)

    def wait_until_lease_over(self, run: _core.Run) -> None:
        self.wait_until(
            "select leased_until < clock_timestamp() from strandline.ing_task_run"
            " where task_id = $1::bigint and attempt_no = $2::int",
            run.task_id,
            run.attempt_no,
        )

    def ids(self) -> list[int]:
        """The ids in public.readings, each as often as it is there."""
        return [row["id"] for row in self.rows("select id from public.readings order by id")]

    def task(self, task_id: int) -> dict[str, Any]:
        (row,) = self.rows("select * from strandline.ing_task where id = $1::bigint", task_id)
        return row

    def run(self, run: _core.Run) -> dict[str, Any]:
        (row,) = self.rows(
            "select * from strandline.ing_task_run where task_id = $1::bigint and attempt_no = $2::int",
            run.task_id,
            run.attempt_no,
        )
        return row

    def mark(self, cursor_id: int) -> int:
        found: int = self.value("select value_norm from strandline.ing_cursor where id = $1::bigint", cursor_id)
        return found

    def intervals(self, cursor_id: int, generation: int = 1) -> list[tuple[int, int]]:
        rows = self.rows(
            "select lo, hi from strandline.ing_interval where cursor_id = $1::bigint and generation = $2::bigint"
            " order by lo",
            cursor_id,
            generation,
        )
        return [(row["lo"], row["hi"]) for row in rows]

    def missing(self, cursor_id: int, lo: int, hi: int, generation: int = 1) -> list[tuple[int, int]]:
        rows = self.rows(query("plan.missing"), cursor_id, generation, lo, hi)
        return [(row["lo"], row["hi"]) for row in rows]

    def tasks(self, cursor_id: int, generation: int = 1) -> list[tuple[int, int]]:
        """The windows of the live tasks of a cursor."""
        rows = self.rows(
            "select lo, hi from strandline.ing_task where cursor_id = $1::bigint and generation = $2::bigint"
            " and status_code in ('QUEUED', 'RUNNING') order by lo, hi",
            cursor_id,
            generation,
        )
        return [(row["lo"], row["hi"]) for row in rows]


@pytest.fixture
def open_ledger(dsn: str) -> Iterator[OpenLedger]:
    """`open_ledger(dsn=..)`: ledgers on this test's database or on another way to it, closed at the test's end."""
    ledgers: list[_core.Ledger] = []

    def make(way: str = dsn) -> _core.Ledger:
        ledgers.append(_core.Ledger(way))
        return ledgers[-1]

    yield make
    for each in ledgers:
        each.close()


@pytest.fixture
def ledger(open_ledger: OpenLedger) -> _core.Ledger:
    """A ledger whose target, public.readings, exists."""
    made = open_ledger()
    made.ensure_target(TARGET, COLUMNS)
    return made


@pytest.fixture
def held(connect: Connect) -> Callable[..., Held]:
    """`held()`: transactions that stay open until the test ends them."""

    def make(**options: Any) -> Held:
        return Held(connect(**options))

    return make


@pytest.fixture
def database(connect: Connect) -> Database:
    """The test's database seen from outside."""
    return Database(connect(autocommit=True))


@pytest.fixture
def background(dsn: str, opened: list[psycopg.Connection[Any]]) -> Iterator[Background]:
    """`background(call, *arguments)`: runs a call in a thread and returns its Future."""
    del dsn  # threads end before the database is dropped
    pool = ThreadPoolExecutor(8)
    yield pool.submit
    for connection in opened:  # after a failed test they hold what a thread may be waiting for
        connection.close()
    pool.shutdown(wait=True, cancel_futures=True)
