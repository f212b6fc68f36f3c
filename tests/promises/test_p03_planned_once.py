"""P3, planned once: within one generation no window is planned twice, and no task is claimed twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, ClassVar, TypeVar

import pytest
from fix_ledger import Database, OpenLedger, finish, request, wrong
from providers import Numbers, bounds

import strandline as sl
from strandline import _core

MANY = 16
LEASE = 60_000_000
T = TypeVar("T")


@pytest.fixture
def at_once() -> Iterator[Callable[[list[Callable[[], Any]]], list[Any]]]:
    """`at_once(calls)`: the results of calls that start together, each in a thread of its own."""
    with ExitStack() as stack:

        def run(calls: list[Callable[[], T]]) -> list[T]:
            start = threading.Barrier(len(calls))
            pool = stack.enter_context(ThreadPoolExecutor(len(calls)))

            def begin(call: Callable[[], T]) -> T:
                start.wait()
                return call()

            return [future.result() for future in [pool.submit(begin, call) for call in calls]]

        yield run


def windows(seed: int) -> list[tuple[int, int, int]]:
    """Sixteen overlapping windows with slices of different lengths, which together are [0, 1000)."""
    dice = random.Random(seed)
    found = [(0, 400, 7), (350, 700, 10), (650, 1000, 33)]
    while len(found) < MANY:
        lo = dice.randrange(0, 900)
        found.append((lo, min(1000, lo + dice.randrange(50, 500)), dice.choice([3, 7, 10, 25, 100])))
    dice.shuffle(found)
    return found


def planned(database: Database) -> list[tuple[int, int]]:
    return [(row["lo"], row["hi"]) for row in database.rows("select lo, hi from strandline.ing_task order by lo")]


def check_partition(parts: list[tuple[int, int]], lo: int, hi: int) -> None:
    """The parts, in order, follow each other from lo to hi: no gap, no overlap, no repetition."""
    assert [stop for _, stop in parts] == [*(start for start, _ in parts[1:]), hi]
    assert parts[0][0] == lo


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sixteen_planners(
    seed: int, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, at_once: Any
) -> None:
    ledgers = [open_ledger() for _ in range(MANY)]
    calls = [
        lambda own=own, lo=lo, hi=hi, step=step: own.plan(request(lo, hi, step=step))
        for own, (lo, hi, step) in zip(ledgers, windows(seed), strict=True)
    ]
    plans = at_once(calls)
    check_partition(planned(database), 0, 1000)
    assert sum(plan["slices"] for plan in plans) == len(planned(database))
    assert len({plan["plan_id"] for plan in plans}) == MANY
    assert len({plan["cursor_id"] for plan in plans}) == 1


ANY_OPEN = (" where j.status_code in ('QUEUED', 'RUNNING')", "")
"""A wrong form: the last task that is not over may be one that was cancelled and cut anew."""


def test_a_window_that_begins_within_a_live_slice(ledger: _core.Ledger, database: Database) -> None:
    before = ledger.plan(request(70, 100))
    small = ledger.plan(request(110, 120))
    ledger.cancel({"plan": small["plan_id"]}, "suite")
    large = ledger.plan(request(100, 200, step=100))  # takes the place of the cancelled cut within it
    cursor = large["cursor_id"]
    for lo in (0, 70, 99, 100, 150, 199, 200):
        assert database.missing(cursor, lo, 210) == [(0, 70)] * (lo < 70) + [(200, 210)]
    assert database.missing(cursor, 150, 160) == []
    found = database.rows(wrong("plan.missing", ANY_OPEN), cursor, 1, 150, 210)
    assert [(row["lo"], row["hi"]) for row in found] == [(150, 210)]
    later = ledger.plan(request(150, 210))
    assert (later["missing"], later["in_flight_plans"]) == ([(200, 210)], [large["plan_id"]])
    assert ledger.plan(request(95, 105))["in_flight_plans"] == [before["plan_id"], large["plan_id"]]


def test_sixteen_claimers(ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, at_once: Any) -> None:
    """Each claims several tasks a time until it finds none."""
    plan = ledger.plan(request(0, 5000))
    ledgers = [open_ledger() for _ in range(MANY)]

    def claims(own: _core.Ledger, limit: int) -> list[_core.Run]:
        found = []
        while runs := own.claim("suite", limit, LEASE, plans=[plan["plan_id"]]):
            assert len(runs) <= limit
            found += runs
        return found

    taken = at_once([lambda own=own, n=n: claims(own, 1 + n % 7) for n, own in enumerate(ledgers)])
    tasks = [run.task_id for runs in taken for run in runs]
    assert len(tasks) == len(set(tasks)) == 500
    assert {run.attempt_no for runs in taken for run in runs} == {1}
    assert database.value("select count(*) from strandline.ing_task_run") == 500


def test_planners_beside_workers(
    ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, at_once: Any
) -> None:
    """Eight plan while eight load and fold: what is covered, awaits its fold or is in flight is not planned again."""
    asked = windows(4)
    ledgers = [open_ledger() for _ in range(MANY)]
    ended: list[int] = []

    def plans(own: _core.Ledger, number: int) -> None:
        for lo, hi, step in asked[2 * number : 2 * number + 2]:
            own.plan(request(lo, hi, step=step))
        ended.append(number)

    def works(own: _core.Ledger, number: int) -> None:
        while True:
            last = len(ended) == MANY // 2
            runs = own.claim(f"suite:{number}", 3, LEASE, pool="default")
            for run in runs:
                finish(own, run)
                assert run.cursor_id is not None
                own.fold(run.cursor_id)
            if last and not runs:
                return

    at_once(
        [lambda own=own, n=n: plans(own, n) for n, own in enumerate(ledgers[:8])]
        + [lambda own=own, n=n: works(own, n) for n, own in enumerate(ledgers[8:])]
    )
    ledger.fold_all()
    check_partition(planned(database), 0, 1000)
    assert database.ids() == list(range(1000))
    assert ledger.verify() == []


class Once(Numbers):
    """Remembers which windows it was asked for."""

    name = "once"
    asked: ClassVar[list[tuple[int, int]]] = []

    def before(self, context: sl.Context, first: int) -> None:
        if first == bounds(context)[0]:
            self.asked.append(bounds(context))


def test_ingests_of_one_source_share_its_windows(
    open_engine: Callable[..., sl.Engine], database: Database, at_once: Any
) -> None:
    """Six users at once, each with a window and slices of their own; every one returns when all of its window is in."""
    Once.asked.clear()
    asked = [(0, 100, 20), (50, 200, 30), (0, 200, 50), (150, 240, 7), (30, 70, 40), (200, 240, 10)]
    engines = [open_engine() for _ in asked]

    def ingests(own: sl.Engine, lo: int, hi: int, step: int) -> tuple[sl.Report, bool]:
        report = own.ingest(Once(page=10), window=(lo, hi), slice=step)
        return report, own.coverage("once", window=(lo, hi)).complete

    found = at_once([lambda own=own, ask=ask: ingests(own, *ask) for own, ask in zip(engines, asked, strict=True)])
    assert [report.status for report, _ in found] == ["SUCCEEDED"] * len(asked)
    assert all(complete for _, complete in found)
    assert sum(report.rows for report, _ in found) == 240
    check_partition(sorted(Once.asked), 0, 240)
    assert [row["id"] for row in database.rows("select id from public.once order by id")] == list(range(240))
    assert engines[0].verify()
    assert engines[0].ingest(Once, window=(0, 240)).slices == 0
