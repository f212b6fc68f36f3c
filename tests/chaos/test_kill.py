"""Workers are killed at the moments when something becomes visible, and stopped for longer than their lease.

Kills at moments drawn from a clock nearly always hit a worker that waits for its source. These are aimed: the test asks
the database, as fast as it answers, for one number, and kills the worker in the moment in which it has changed.
"""

from __future__ import annotations

import signal
import time

import psycopg
import pytest
from fix_ledger import Database
from fix_proxy import Proxy
from fix_server import Connect
from fix_workers import KILLED, Start, Worker, check_whole
from providers import Numbers

import strandline as sl

KILLS = 50
STEP = 400  # ids of a plan; 20 slices of 4 pages
PATIENCE = 20.0

# Whatever a worker could have changed, row by row with the transaction that wrote it; not its own signs of life.
EVERYTHING = " union all ".join(
    f"select '{table}' as what, t.ctid::text, t.xmin::text from {table} t"
    for table in (
        "public.numbers",
        "strandline.ing_plan",
        "strandline.ing_task",
        "strandline.ing_task_run",
        "strandline.ing_task_run_batch",
        "strandline.ing_coverage",
        "strandline.ing_interval",
        "strandline.ing_cursor",
    )
)

# What is watched, in turns: rows and checkpoints with every page, the rest with the end of a slice or of a fold.
MOMENTS = (
    "select count(*) from public.numbers",
    "select count(*) from strandline.ing_task_run_batch",
    "select count(*) from strandline.ing_task where status_code = 'RUNNING'",
    "select count(*) from public.numbers",
    "select count(*) from strandline.ing_coverage",
    "select coalesce(sum(head_sequence_no), 0) from strandline.ing_cursor",
    "select count(*) from public.numbers",
    "select count(*) from strandline.ing_task_run where status_code = 'RUNNING'",
)


class Target:
    """The table that is loaded, and its plans: there is always work left."""

    def __init__(self, engine: sl.Engine, database: Database) -> None:
        self.stop = 0
        self._engine = engine
        self._database = database
        self.refill()

    def refill(self) -> None:
        """Plans the next window when little is left of the ones before."""
        left = self._database.value("select count(*) from strandline.ing_task where status_code = 'QUEUED'")
        if left < 8:
            self.stop += STEP
            self._engine.plan(Numbers, window=(0, self.stop))


def kill_when_it_changes(connection: psycopg.Connection[tuple[int]], moment: str, times: int, worker: Worker) -> bool:
    """Kills the worker when the watched number has changed so many times; False when it ended before."""
    deadline = time.monotonic() + PATIENCE
    (seen,) = connection.execute(moment).fetchone() or (0,)
    while times:
        (now,) = connection.execute(moment).fetchone() or (0,)
        if now != seen:
            seen, times = now, times - 1
        elif worker.ended:
            break
        assert time.monotonic() < deadline, f"nothing becomes visible: {moment}"
    return worker.kill() == KILLED


@pytest.fixture
def watch(connect: Connect) -> psycopg.Connection[tuple[int]]:
    """The connection that asks, with a prepared statement: the answer takes about 50 microseconds."""
    return connect(autocommit=True, prepare_threshold=0)


@pytest.mark.slow
@pytest.mark.parametrize("company", [0, 1], ids=["alone", "in company"])
def test_fifty_kills_when_something_becomes_visible(
    company: int, engine: sl.Engine, database: Database, start: Start, watch: psycopg.Connection[tuple[int]]
) -> None:
    """Half of them while the worker is alone, half while another one works beside it."""
    database.rows("create table public.numbers (id bigint, v text)")
    target = Target(engine, database)
    killed = tried = 0
    others = [start(pool="default") for _ in range(company)]
    while killed < KILLS // 2:
        target.refill()
        others = [start(pool="default") if other.ended else other for other in others]
        victim = start(pool="default")
        killed += kill_when_it_changes(watch, MOMENTS[tried % len(MOMENTS)], 1 + tried % 3, victim)
        tried += 1
        assert tried < 4 * KILLS, f"only {killed} of {tried} workers were killed before they ended"
    assert [worker.wait() for worker in [*others, start(pool="default")]] == [0] * (company + 1)
    check_whole(engine, database, {"numbers": target.stop})


@pytest.mark.slow
def test_stopped_for_longer_than_the_lease(engine: sl.Engine, database: Database, start: Start) -> None:
    """Eight workers, stopped at whatever they do, wake up when others have done all of it: they add nothing to it."""
    database.rows("create table public.numbers (id bigint, v text)")
    plan = engine.plan(Numbers, window=(0, STEP))
    stopped = []
    for number in range(1, 9):
        worker = start(plan=plan.id)
        database.wait_until("(select count(*) from public.numbers) >= $1::bigint", 15 * number)
        worker.signal(signal.SIGSTOP)
        stopped.append(worker)
    assert start(plan=plan.id).wait() == 0
    assert engine.report(plan).status == "SUCCEEDED"
    for worker in stopped:
        worker.signal(signal.SIGCONT)
    assert [worker.wait() for worker in stopped] == [0] * len(stopped)
    check_whole(engine, database, {"numbers": STEP})


def test_the_first_commit_after_waking_up_fails(
    engine: sl.Engine, database: Database, proxy: Proxy, start: Start
) -> None:
    """Stopped with a page in hand; what it then tries to commit is refused as LeaseLost, and changes nothing."""
    database.rows("create table public.numbers (id bigint, v text)")
    plan = engine.plan(Numbers, window=(0, 60))
    look = proxy.stop_at("run.look")
    sleeper = start(plan=plan.id, way=proxy.dsn)
    look.wait()
    sleeper.signal(signal.SIGSTOP)
    assert start(plan=plan.id).wait() == 0
    assert engine.report(plan).status == "SUCCEEDED"
    before = database.rows(EVERYTHING)
    look.forward()
    sleeper.signal(signal.SIGCONT)
    assert sleeper.wait() == 0
    assert "lease lost, the run is dropped" in sleeper.said
    assert database.rows(EVERYTHING) == before
    check_whole(engine, database, {"numbers": 60})
