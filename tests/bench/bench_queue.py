"""Claim and fenced completion with the whole ledger, batched, against a hand-written loop and other people's queues.

Everybody works on one server, durably (fsync and synchronous_commit on; autovacuum off, VACUUM ANALYZE before each
round instead), and both sides of a comparison in turns. A round is 3 seconds. The backlog is never more than the
million of the budget, and is filled up between rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import queue_peers as peers
from queue_ledger import migrated, open_ledger, plan, settle
from queue_worker import LOOP_TABLE, Workers
from server import Bench, server

BACKLOG = 1_000_000
SECONDS = 3.0
BATCHES = (500, 100, 10, 1)
CONNECTIONS = (1, 2, 4, 8)
BUDGET = 0.5  # of the loop
PEER_JOBS = 100_000
SLOW_PEER_JOBS = 3_000

Rows = list[dict[str, Any]]


class Queue:
    """Strandline's queue in one database, kept at `backlog` tasks."""

    def __init__(self, bench: Bench, backlog: int, left: int = 0) -> None:
        self.bench = bench
        self._backlog = backlog
        self._left = left
        self.fill()

    def fill(self) -> None:
        """Plans what was worked, in a plan and a namespace of its own, and folds."""
        ledger = open_ledger(self.bench)
        ledger.fold_all()
        if self._left < self._backlog:
            plan(ledger, self._backlog - self._left)
            self._left = self._backlog
        ledger.close()

    def settle(self) -> None:
        """Vacuums, as far as open snapshots allow."""
        settle(self.bench)

    def took(self, done: int) -> None:
        """So many tasks are gone."""
        self._left -= done


class Loop:
    """The hand-written loop's table, kept at `backlog` rows."""

    def __init__(self, bench: Bench, backlog: int) -> None:
        self.bench = bench
        self._backlog = backlog
        self._left = 0
        bench.execute(LOOP_TABLE)
        self.fill()

    def fill(self) -> None:
        """Inserts what was worked."""
        missing = self._backlog - self._left
        self.bench.psql(f"insert into loop_task (priority) select 5 from generate_series(1, {missing})")
        self._left = self._backlog

    def settle(self) -> None:
        """Vacuums."""
        self.bench.psql("vacuum analyze loop_task")

    def took(self, done: int) -> None:
        """So many rows are gone."""
        self._left -= done


def against_the_loop(queue: Queue, loop: Loop, seconds: float) -> Rows:
    """Every batch size with every number of connections, one round each, theirs and ours in turns."""
    rows: Rows = []
    sides: dict[str, Queue | Loop] = {"loop": loop, "strandline": queue}
    for connections in CONNECTIONS:
        with ExitStack() as stack:
            workers = {
                arm: stack.enter_context(Workers(arm, side.bench.dsn, connections)) for arm, side in sides.items()
            }
            for batch in BATCHES:
                rates = {}
                for arm, side in sides.items():
                    side.fill()
                    side.settle()
                    done, length = workers[arm].round(batch, seconds=seconds)
                    side.took(done)
                    rates[arm] = done / length
                where = f"batch {batch}, {connections} connection{'s' if connections > 1 else ''}"
                rows.append({"name": f"hand-written loop, {where}", "value": round(rates["loop"]), "unit": "1/s"})
                rows.append(_ratio(f"claim + finish, {where}", rates, BUDGET if batch == max(BATCHES) else None))
    return rows


def _ratio(name: str, rates: dict[str, float], budget: float | None) -> dict[str, Any]:
    ratio = rates["strandline"] / rates["loop"]
    row = {"name": name, "value": round(rates["strandline"]), "unit": "1/s", "ratio": ratio}
    return row if budget is None else {**row, "budget": budget, "ok": ratio >= budget}


def against_peers(bench: Bench, ours: float, scale: float) -> Rows:
    """Each in a database of its own. Where one cannot be installed the table says so."""
    jobs, few = max(2_000, int(PEER_JOBS * scale)), max(500, int(SLOW_PEER_JOBS * scale))
    measures: dict[str, Callable[[Bench], peers.Measured]] = {
        "graphile-worker, 24 jobs at once, queue 500": lambda at: peers.graphile_worker(at, jobs, 1, batched=True),
        "the same, 2 processes": lambda at: peers.graphile_worker(at, jobs, 2, batched=True),
        "graphile-worker, no batches": lambda at: peers.graphile_worker(at, few, 1, batched=False),
        "Procrastinate, concurrency 24": lambda at: peers.procrastinate(at, few, 24),
    }
    rows: Rows = []
    for number, (name, measure) in enumerate(measures.items()):
        try:
            found = measure(bench.database(f"peer_{number}"))
        except peers.Missing as error:
            rows.append({"name": f"{name}: not installed: {error}", "value": None, "unit": "1/s"})
            continue
        ahead = {"ratio": ours / found.rate, "budget": 1.0, "ok": ours > found.rate}
        title = f"{name} ({found.version}); ours over it"
        rows.append({"name": title, "value": round(found.rate), "unit": "1/s", **ahead})
    return rows


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """The peers last: they are compared with our rate on 2 connections, in batches of 500."""
    seconds, fewer = max(0.2, SECONDS * scale), min(1.0, scale)
    backlog = max(2_000, int(BACKLOG * fewer))
    with server() as bench:
        rows = against_the_loop(
            Queue(migrated(bench.database("queue")), backlog), Loop(bench.database("loop"), backlog), seconds
        )
        ours = next(row["value"] for row in rows if row["name"] == "claim + finish, batch 500, 2 connections")
        rows += against_peers(bench, ours, fewer)
    return rows
