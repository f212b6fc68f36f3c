"""The same speed whatever waits: claim and fenced completion out of a short queue, a long one, one behind dead rows.

A round is 3 seconds, at --scale 20 a minute; the queues take turns, and each is vacuumed, as far as its open snapshots
allow, and filled up before its round.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from bench_queue import Queue
from queue_ledger import migrated
from queue_worker import Workers
from server import Bench, median, server

LONG = 1_000_000
SHORT = 10_000
DEAD = 200_000
SECONDS = 3.0
ROUNDS = 3
SAME = 0.9  # of the speed with a short backlog

Rows = list[dict[str, Any]]


@contextmanager
def held_snapshot(bench: Bench) -> Iterator[None]:
    """A reader that keeps every dead row from being removed."""
    with psycopg.connect(bench.dsn) as connection:
        connection.execute("begin isolation level repeatable read")
        connection.execute("select txid_current_snapshot()")
        yield


def in_turns(short: Queue, others: dict[str, Queue], piece: int, seconds: float, rounds: int) -> Rows:
    """The same pieces of work, out of a short backlog and out of `others`, by what the table calls them.

    A round takes pieces until their time adds up to `seconds`; a piece is what the short backlog holds.
    """
    first = f"backlog of {piece:,}"
    queues = {first: short, **others}
    rates: dict[str, list[float]] = {name: [] for name in queues}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Workers("strandline", q.bench.dsn, 2)) for name, q in queues.items()}
        for name, queue in queues.items():  # a warm-up: connections, plans, caches
            queue.took(workers[name].round(500, tasks=piece)[0])
        for _ in range(rounds):
            for name, queue in queues.items():
                done, length = 0, 0.0
                queue.settle()
                while length < seconds:
                    queue.fill()
                    count, time = workers[name].round(500, tasks=piece)
                    queue.took(count)
                    done, length = done + count, length + time
                rates[name].append(done / length)
    base = median(rates[first])
    rows: Rows = [{"name": f"{first}, batch 500, 2 connections", "value": round(base), "unit": "1/s"}]
    for name in others:
        rate = median(rates[name])
        same = {"ratio": rate / base, "budget": SAME, "ok": rate >= SAME * base}
        rows.append({"name": f"{name}, median of {rounds} rounds", "value": round(rate), "unit": "1/s", **same})
    spread = max(rates[first]) / min(rates[first]) - 1
    return [*rows, {"name": "spread of the rounds of the short backlog", "value": round(100 * spread), "unit": "%"}]


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """In the last of them a reader holds a snapshot from before the dead rows."""
    seconds, fewer = max(0.2, SECONDS * scale), min(1.0, scale)
    backlog, dead_rows, piece = (max(2_000, int(n * fewer)) for n in (LONG, DEAD, SHORT))
    with server() as bench:
        large = Queue(migrated(bench.database("large")), backlog)
        dead = Bench(bench.database("dead", template="large").dsn, bench.bindir)
        short = Queue(migrated(bench.database("short")), piece)
        with held_snapshot(dead):
            behind = Queue(dead, backlog, left=backlog)
            with Workers("strandline", dead.dsn, 2) as workers:
                behind.took(workers.round(500, tasks=dead_rows)[0])
            others = {f"backlog of {backlog:,}": large, f"the same behind {dead_rows:,} dead rows": behind}
            return in_turns(short, others, piece, seconds, ROUNDS)
