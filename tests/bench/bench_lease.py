"""Renewals of leases, which must leave no trace in the table's size, and the wait of a task for an idle worker."""

from __future__ import annotations

import math
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from queue_ledger import POOL, migrated, open_ledger, plan, settle
from server import Bench, median, server

import strandline as sl
from strandline import _core

RUNS = 1_000
SECONDS = 10
WORKERS = (1, 20)
"""How many renewers share the runs, with one statement and one transaction each a second."""
SAMPLES = 100
POLLS = ("1 s", "100000 us")
_PATIENCE = 60
_RENEWED = "select sum(n_tup_upd), sum(n_tup_hot_upd) from pg_stat_user_tables where relname like 'ing_task_run_p%'"
_SIZE = "select sum(pg_table_size(inhrelid)) from pg_inherits where inhparent = 'strandline.ing_task_run'::regclass"


def renewals(bench: Bench, workers: int, runs: int) -> list[dict[str, Any]]:
    """All runs once a second for ten seconds, by native renewers; a renewer renews three times a lease."""
    ledger = open_ledger(bench)
    plan(ledger, runs)
    held = ledger.claim("bench", runs, 600_000_000, pool=POOL)
    assert len(held) == runs
    settle(bench)
    before, size, position = _counts(bench), bench.value(_SIZE), bench.value("select pg_current_wal_insert_lsn()")
    renewers = [_core.Renewer(bench.dsn, "strandline", 3_000_000) for _ in range(workers)]
    for number, run in enumerate(held):
        renewers[number % workers].add(run)
    time.sleep(SECONDS + 0.5)  # the first renewal comes after a second
    for renewer in renewers:
        renewer.close()
    after = _counts(bench)
    grown = bench.value(_SIZE) - size
    wal = bench.value(f"select pg_current_wal_insert_lsn() - '{position}'")
    ledger.close()
    renewed, hot = after[0] - before[0], after[1] - before[1]
    where = f"{runs:,} runs renewed once a second by {workers} worker{'s' if workers > 1 else ''}"
    return [
        {"name": f"{where}, renewals", "value": round(renewed / SECONDS), "unit": "1/s"},
        {
            "name": "of them HOT",
            "value": round(100 * hot / renewed, 1),
            "unit": "%",
            "ratio": hot / renewed,
            "budget": 1.0,
            "ok": hot == renewed,
        },
        {"name": "growth of the table", "value": int(grown), "unit": "B", "budget": 0, "ok": grown <= 0},
        {"name": "WAL of a renewal", "value": round(float(wal) / renewed), "unit": "B"},
    ]


def _counts(bench: Bench) -> tuple[int, int]:
    """Updates of run rows, and how many of them were HOT. A backend tells its own at the latest when it ends."""
    renewed = bench.value(f"select array[a, b] from ({_RENEWED}) x(a, b)")
    return int(renewed[0]), int(renewed[1])


class Started(sl.Provider):
    """Tells the pipe that BENCH_STARTED names when its work begins, on the clock that processes share."""

    name = "started"
    cursor_type = "id"
    pool = "idle"

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        """Nothing to load."""
        del context, cursor
        with Path(os.environ["BENCH_STARTED"]).open("w") as pipe:
            print(time.monotonic(), file=pipe)
        return sl.Page([], done=True)


@contextmanager
def idle_worker(bench: Bench, poll: str) -> Iterator[Callable[[], float]]:
    """`strandline work --forever` in a process; yields what waits until its provider begins and tells when."""
    with tempfile.TemporaryDirectory() as directory:
        pipe = Path(directory) / "started"
        os.mkfifo(pipe)
        environment = {
            "STRANDLINE_DSN": bench.dsn,
            "STRANDLINE_POLL": poll,
            "PYTHONPATH": str(Path(__file__).parent),
            "BENCH_STARTED": str(pipe),
        }
        log = Path(directory) / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "strandline", "work", "--pool", "idle", "--forever"],
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )
        # Opened for both ends: neither side waits for the other to open it.
        with pipe.open("rb+", buffering=0) as told:

            def begun() -> float:
                ready, _, _ = select.select([told], [], [], _PATIENCE)
                assert ready, f"the worker never began: {log.read_text()}"
                return float(told.readline())

            try:
                yield begun
            finally:
                process.terminate()
                process.wait()


def starts(bench: Bench, poll: str, samples: int) -> list[dict[str, Any]]:
    """From the return of plan() to the first call of the provider, on one worker that has nothing else to do.

    Plans come at random moments of its poll. A start before plan() returned counts as zero.
    """
    waits: list[float] = []
    planning: list[float] = []
    with sl.connect(bench.dsn) as planner, idle_worker(bench, poll) as begun:
        for number in range(samples + 1):
            time.sleep(random.random() * _core.duration_us(poll) / 1e6)
            begin = time.monotonic()
            planner.plan(Started(), "started", window=(number, number + 1))
            planned = time.monotonic()
            started = begun()
            if number:  # the first one waits for the process to come up
                waits.append(max(0.0, started - planned))
                planning.append(planned - begin)
    waits.sort()
    where = f"enqueue to start on an idle worker, poll {poll}"
    return [
        {"name": f"{where}, median of {samples}", "value": round(1000 * median(waits), 1), "unit": "ms"},
        {"name": f"{where}, p99", "value": round(1000 * waits[math.ceil(0.99 * len(waits)) - 1], 1), "unit": "ms"},
        {"name": "plan() of that one slice, median", "value": round(1000 * median(planning), 1), "unit": "ms"},
    ]


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """Each in a ledger of its own."""
    rows: list[dict[str, Any]] = []
    with server() as bench:
        for workers in WORKERS:
            rows += renewals(migrated(bench.database(f"renewals_{workers}")), workers, RUNS)
        for number, poll in enumerate(POLLS):
            rows += starts(migrated(bench.database(f"starts_{number}")), poll, max(5, int(SAMPLES * scale)))
    return rows
