"""Many against each other as fast as they go: no deadlock, no late page, no limit passed, no rate exceeded.

What happened is read from the ledger afterwards, not sampled while it happens.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fix_ledger
import generate
import psycopg
import pytest
from fix_dependency import asked
from fix_ledger import TARGET, Database, OpenLedger, finish_all, page, request

from strandline import _core
from strandline.errors import Cancelled, LeaseLost

SECONDS = 1.5
IDS = 1_500
SHORT = 3_000  # microseconds: most runs are lost while they work
LONG = 60_000_000

# Pages of runs that had been given up when they committed.
LATE = (
    "select count(*) from strandline.ing_task_run_batch b join strandline.ing_task_run r on r.id = b.run_id"
    " and r.task_id = b.task_id where r.status_code <> 'SUCCEEDED'"
    " and (b.batch_no > r.batch_no or b.finished_at > r.finished_at)"
)

# How many runs of each kind were live at once, at most. A run lives from its first renewal to its end, and longer.
AT_ONCE = (
    "with runs as (select r.*, coalesce(t.mutex_key, '') as key from strandline.ing_task_run r"
    " join strandline.ing_task t on t.id = r.task_id),"
    " steps as (select key, started_at as at, 1 as step from runs union all select key, finished_at, -1 from runs),"
    " counts as (select key, sum(step) over (partition by key order by at, step) as own,"
    " sum(step) over (order by at, step) as all from steps)"
    " select max(own) filter (where key = 'api') as of_mutex, max(counts.all) as of_pool from counts"
)


def together(*works: Callable[[], None]) -> None:
    """Runs all of them at once, each in a thread, and raises what one of them raises."""
    with ThreadPoolExecutor(len(works)) as pool:
        for each in [pool.submit(work) for work in works]:
            each.result()


# Committers, cancellers and a reaper ----------------------------------------------------------------------------------


def test_committers_cancellers_and_a_reaper_with_leases_of_three_milliseconds(
    ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, dsn: str
) -> None:
    name = database.value("select current_database()")
    database.rows(f"alter database \"{name}\" set deadlock_timeout = '20ms'")  # a circle is looked for at once
    plan = ledger.plan(request(0, IDS, max_losses=1_000_000))
    of = {"plan": plan["plan_id"]}
    until = time.monotonic() + SECONDS
    seen: dict[str, int] = {"committed": 0, "lost": 0, "cancelled": 0, "reaped": 0}

    def commit(own: _core.Ledger) -> None:
        while time.monotonic() < until:
            for run in own.claim("suite", 2, SHORT, plans=[plan["plan_id"]]):
                walk(own, run)

    def walk(own: _core.Ledger, run: _core.Run) -> None:
        assert run.lo is not None
        assert run.hi is not None
        first = run.lo if run.checkpoint is None else int(run.checkpoint)
        try:
            for lo in range(first, run.hi, 5):
                done = lo + 5 == run.hi
                own.commit(run, TARGET, [page(range(lo, lo + 5), after=lo + 5)], done=done, lease=SHORT)
                seen["committed"] += 1
        except LeaseLost:
            seen["lost"] += 1
        except Cancelled:
            seen["cancelled"] += 1

    def cancel(own: _core.Ledger, chance: random.Random) -> None:
        live = "select id from strandline.ing_task where status_code = 'RUNNING' order by random() limit 1"
        while time.monotonic() < until:
            for (task,) in own.select(live)[2]:
                own.cancel({"task": task}, "suite")
            if chance.random() < 0.2:
                own.retry(of, "suite")
                own.trigger(of, "suite")  # who lost a lease rests

    def reap(own: _core.Ledger) -> None:
        while time.monotonic() < until:
            found = own.reap(100, SHORT)
            seen["reaped"] += found["lost"] + found["cancelled"]

    with psycopg.connect(dsn, autocommit=True) as outside:
        members = [open_ledger() for _ in range(6)]
        together(
            *(lambda own=own: commit(own) for own in members[:3]),
            *(lambda own=own, seed=seed: cancel(own, random.Random(seed)) for seed, own in enumerate(members[3:5])),
            lambda: reap(members[5]),
        )
        for each in members:
            each.close()  # a backend that ends has told its numbers
        assert all(seen.values()), seen
        assert database.value(LATE) == 0
        # What is left comes to rest, and every row is there once.
        ledger.reap(lease=SHORT)
        database.wait_until("select count(*) = 0 from strandline.ing_task_run where finished_at is null")
        ledger.retry(of, "suite")
        ledger.trigger(of, "suite")
        while runs := ledger.claim("suite", 100, LONG, plans=[plan["plan_id"]]):
            for run in runs:
                walk(ledger, run)
        finish_all(ledger, plan)
        deadlocks = outside.execute("select deadlocks from pg_stat_database where datname = current_database()")
        assert deadlocks.fetchone() == (0,)
    assert database.ids() == list(range(IDS))
    assert database.mark(plan["cursor_id"]) == IDS
    assert ledger.verify() == []


# Claimers, places and a mutex -----------------------------------------------------------------------------------------

CLAIMERS, PLACES, TASKS = 16, 3, 40


def test_sixteen_claimers_three_places_one_mutex(
    ledger: _core.Ledger, open_ledger: OpenLedger, database: Database
) -> None:
    ledger.set_pool("narrow", PLACES, "suite")
    ledger.plan(asked("meter", 0, 10 * TASKS, pool="narrow", mutex_key="api"))
    ledger.plan(asked("gauge", 0, 10 * TASKS, pool="narrow"))
    live = "select count(*) from strandline.ing_task where status_code in ('QUEUED', 'RUNNING')"
    over = threading.Event()

    def work(own: _core.Ledger, chance: random.Random) -> None:
        while not over.is_set():
            runs = own.claim("suite", chance.randrange(1, 6), LONG, pool="narrow")
            begin(own, runs)
            for run in runs:
                if chance.random() < 0.2:
                    own.give_back(run, "BUDGET")
                else:
                    own.commit(run, TARGET, [nothing()], done=True, lease=LONG)

    def watch(own: _core.Ledger) -> None:
        """The reaper lets through who was busy when its turn came."""
        try:
            while own.select(live)[2][0][0]:
                own.reap(lease=LONG)
        finally:
            over.set()

    together(
        lambda: watch(open_ledger()),
        *(
            lambda own=own, seed=seed: work(own, random.Random(seed))
            for seed, own in enumerate(open_ledger() for _ in range(CLAIMERS))
        ),
    )
    assert database.value("select count(*) from strandline.ing_task where status_code = 'SUCCEEDED'") == 2 * TASKS
    assert database.rows(AT_ONCE) == [{"of_mutex": 1, "of_pool": PLACES}]
    ledger.fold_all()
    assert ledger.verify() == []


def begin(ledger: _core.Ledger, runs: list[_core.Run]) -> None:
    """The first sign of life of runs, by which the history knows when they began."""
    ledger.fetch("run.renew", [run.task_id for run in runs], [run.attempt_no for run in runs], LONG)


def nothing() -> dict[str, Any]:
    """A page without rows."""
    return {"rows": None, "deleted": None, "before": None, "after": None, "size": 0, "started": 0}


def test_the_history_shows_who_passed_a_limit(ledger: _core.Ledger, database: Database) -> None:
    """Of a pool without a limit, the same questions find more."""
    ledger.plan(asked("meter", 0, 40, pool="narrow", mutex_key="api", mutex_slots=2))
    ledger.plan(asked("gauge", 0, 40, pool="narrow"))
    runs = ledger.claim("suite", 10, LONG, pool="narrow")
    begin(ledger, runs)
    for run in runs:
        ledger.commit(run, TARGET, [nothing()], done=True, lease=LONG)
    assert database.rows(AT_ONCE) == [{"of_mutex": 2, "of_pool": 6}]


def test_the_history_shows_a_late_page(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = ledger.claim("suite", 1, LONG, plans=[plan["plan_id"]])
    ledger.commit(run, TARGET, [page([0], after=1)], done=False, lease=LONG)
    ledger.give_back(run, "BUDGET")
    assert database.value(LATE) == 0
    database.rows("update strandline.ing_task_run_batch set finished_at = clock_timestamp()")
    assert database.value(LATE) == 1


# A rate over processes ------------------------------------------------------------------------------------------------

PROCESSES, PER_SECOND, BURST, AHEAD = 8, 200, 10, 0.4


def take(dsn: str, key: str) -> None:
    """A process that reserves call after call, a little ahead; it prints how many of them lie before its end.

    It begins when its standard input ends, so that all begin at once.
    """
    ledger = _core.Ledger(dsn)
    print("ready", flush=True)
    end = float(sys.stdin.read())
    calls = 0
    while time.monotonic() < end:
        wait = ledger.rate_take(key, 1, AHEAD)
        if wait is None:
            ledger.select("select pg_sleep(0.05)")
        elif time.monotonic() + wait < end:
            calls += 1
    print(calls)
    ledger.close()


@pytest.fixture
def takers(dsn: str) -> Iterator[list[subprocess.Popen[str]]]:
    path = os.pathsep.join([os.path.dirname(fix_ledger.__file__), str(generate.ROOT)])
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, dsn, "api"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for _ in range(PROCESSES)
    ]
    yield processes
    for each in processes:
        each.kill()
        with each:  # closes its pipes and waits
            pass


def test_a_rate_of_two_hundred_a_second_over_eight_processes(
    takers: list[subprocess.Popen[str]], ledger: _core.Ledger, database: Database
) -> None:
    for each in takers:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    ledger.rate_declare("api", PER_SECOND, BURST)
    began = time.monotonic()
    for each in takers:
        assert each.stdin is not None
        each.stdin.write(str(began + SECONDS))
        each.stdin.close()
    calls = [int(each.stdout.readline()) for each in takers if each.stdout is not None]
    whole = PER_SECOND * SECONDS
    assert 0.95 * whole <= sum(calls) <= 1.03 * whole + BURST
    assert min(calls) > 0  # nobody went without


if __name__ == "__main__":
    take(sys.argv[1], sys.argv[2])
