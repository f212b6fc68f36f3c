"""P4, honest watermark: it is the end of the contiguous covered prefix. It can lag committed data, never lead it, moves
back only by an explicit rewind, and never stays behind once the last commit is folded."""

from __future__ import annotations

import itertools
import threading
from typing import Any, ClassVar

import psycopg
import pytest
from fix_ledger import Database, OpenLedger, claim, finish, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from providers import Numbers

import strandline as sl
from strandline import _core

SLICES = 6
NUMBERS = itertools.count()
CAUSE = {"origin": "provider", "kind": "fatal", "message": "no", "where": None}

# The fixtures are a database and a connection to it; every example has a namespace of its own in them.
shared = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def fresh(ledger: _core.Ledger) -> tuple[dict[str, Any], dict[int, _core.Run]]:
    """A plan of six slices in a new namespace, and its runs by the number of their slice."""
    provenance = {
        "code": f"meter{next(NUMBERS)}",
        "reference": "tests:Meter",
        "version": "1",
        "config": {},
        "labels": {},
    }
    plan = ledger.plan(request(0, 10 * SLICES, provenance=provenance))
    runs = claim(ledger, plan, lease=60_000_000)
    return plan, {run.lo // 10: run for run in runs if run.lo is not None}


def prefix(finished: set[int]) -> int:
    """The end of the contiguous covered prefix when these slices are finished."""
    return 10 * next(n for n in range(SLICES + 1) if n not in finished)


def history(database: Database, cursor_id: int) -> list[int]:
    """All values that the watermark ever had."""
    rows = database.rows(
        "select prev_value, new_value from strandline.ing_cursor_event where cursor_id = $1::bigint"
        " order by sequence_no",
        cursor_id,
    )
    assert [row["prev_value"] for row in rows[1:]] == [row["new_value"] for row in rows[:-1]]
    return [row["new_value"] for row in rows]


@shared
@given(order=st.permutations(range(SLICES)))
def test_slices_finish_in_any_order(order: list[int], ledger: _core.Ledger, database: Database) -> None:
    plan, runs = fresh(ledger)
    cursor, finished = plan["cursor_id"], set[int]()
    for number in order:
        finish(ledger, runs[number])
        assert database.mark(cursor) == prefix(finished)  # committed and not folded: it lags
        finished.add(number)
        ledger.fold(cursor)
        assert database.mark(cursor) == prefix(finished)
    assert database.mark(cursor) == 10 * SLICES
    assert history(database, cursor) == sorted(history(database, cursor))
    assert ledger.verify(cursor) == []


@shared
@given(order=st.permutations(range(SLICES)), folds=st.sets(st.integers(0, SLICES - 1)), lost=st.sets(st.integers(0, 5)))
def test_some_slices_fail_and_folds_come_late(
    order: list[int], folds: set[int], lost: set[int], ledger: _core.Ledger, database: Database
) -> None:
    plan, runs = fresh(ledger)
    cursor, finished = plan["cursor_id"], set[int]()
    for step, number in enumerate(order):
        if number in lost:
            ledger.fail(runs[number], CAUSE, reason="PROVIDER_ERROR", retryable=False, backoff=[])
        else:
            finish(ledger, runs[number])
            finished.add(number)
        if step in folds:
            ledger.fold(cursor)
            assert database.mark(cursor) == prefix(finished)
        assert database.mark(cursor) <= prefix(finished)
    ledger.fold(cursor)
    assert database.mark(cursor) == prefix(finished)
    assert ledger.fold(cursor) == 0
    ledger.retry({"cursor": cursor}, "suite")
    assert database.mark(cursor) == prefix(finished)
    for run in claim(ledger, plan):
        finish(ledger, run)
    ledger.fold(cursor)
    assert database.mark(cursor) == 10 * SLICES
    assert history(database, cursor) == sorted(history(database, cursor))
    assert ledger.verify(cursor) == []


def test_a_window_behind_a_hole_leaves_the_mark_where_it_is(ledger: _core.Ledger, database: Database) -> None:
    """Also one before the origin, where the prefix does not begin."""
    plans = [ledger.plan(request(lo, hi)) for lo, hi in ((20, 30), (-20, -10), (10, 20), (0, 10))]
    cursor = plans[0]["cursor_id"]
    for plan, expected in zip(plans, (0, 0, 0, 30), strict=True):
        for run in claim(ledger, plan):
            finish(ledger, run)
        ledger.fold(cursor)
        assert database.mark(cursor) == expected


def test_many_folds_at_once_leave_nothing_behind(
    ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, background: Any
) -> None:
    """Eight finish and fold at once; who finds the cursor taken leaves its coverage to the holder, who looks again."""
    plan = ledger.plan(request(0, 800))
    ledgers = [open_ledger() for _ in range(8)]

    def works(own: _core.Ledger) -> None:
        while runs := own.claim("suite", 2, 60_000_000, plans=[plan["plan_id"]]):
            for run in runs:
                finish(own, run)
                own.fold(plan["cursor_id"])

    for each in [background(works, own) for own in ledgers]:
        each.result()
    assert database.mark(plan["cursor_id"]) == 800
    assert ledger.fold(plan["cursor_id"]) == 0
    assert ledger.verify() == []


class Seen(Numbers):
    """Looks before each page at the watermark and at the rows below it; fails where `bad` says."""

    name = "seen"
    dsn: ClassVar[str] = ""
    bad: ClassVar[set[int]] = set()
    seen: ClassVar[list[tuple[int, int]]] = []
    lock: ClassVar[threading.Lock] = threading.Lock()

    def before(self, context: sl.Context, first: int) -> None:
        if first in self.bad:
            raise sl.Fatal("a bad number")
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            if connection.execute("select to_regclass('public.seen')").fetchone() == (None,):
                return
            row = connection.execute(
                "select c.value_norm, (select count(distinct id) from public.seen where id < c.value_norm)"
                " from strandline.ing_cursor c"
            ).fetchone()
        assert row is not None
        with self.lock:
            self.seen.append((row[0], row[1]))


@pytest.fixture
def seen(dsn: str) -> type[Seen]:
    Seen.dsn = dsn
    Seen.bad.clear()
    Seen.seen.clear()
    return Seen


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_everything_below_the_mark_is_in_the_target_at_every_moment(
    order: str, engine: sl.Engine, seen: type[Seen]
) -> None:
    report = engine.ingest(seen, window=(0, 200), workers=4, order=order)
    assert report.watermark == 200
    assert len(seen.seen) >= 30
    assert [pair for pair in seen.seen if pair[0] != pair[1]] == []
    assert engine.cursor("seen").value == 200


def test_a_failed_slice_stops_the_mark_and_its_repair_moves_it_to_the_end(engine: sl.Engine, seen: type[Seen]) -> None:
    seen.bad.add(65)
    report = engine.ingest(seen, window=(0, 200), workers=2, errors="report")
    assert (report.status, report.watermark) == ("PARTIAL", 60)
    assert engine.plan(seen, window=(None, 210), dry_run=True).window_source["from"] == "watermark"
    seen.bad.clear()
    assert engine.retry("seen") == [report.failures[0].task]
    assert report.plan is not None
    assert engine.work(report.plan).watermark == 200
