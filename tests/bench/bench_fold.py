"""Folding one more slice into a watermark whose coverage lies in 10k, 100k and 1M pieces that do not touch."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from queue_ledger import migrated, open_ledger, plan
from server import Bench, median, server

PIECES = (10_000, 100_000, 1_000_000)
FOLDS = 300
AT_ONCE = 10_000
WARM_UP = 20
LIMIT_MS = 1.0
LIMIT_WAL = 1_024
# Piece n is [4n, 4n + 1): what a later fold adds at 4n + 2 touches neither neighbour. The backlog is what as many folds
# of one slice leave behind: a stamped row of coverage, an interval and an event for each.
_BACKLOG = (
    """
insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count,
  event_sequence_no)
select n, 1, {cursor}, 1, 4 * n, 4 * n + 1, n, n, 0, n - {first} + 1 from generate_series({first}, {last}) n
""",
    """
insert into strandline.ing_interval (cursor_id, generation, lo, hi)
select {cursor}, 1, 4 * n, 4 * n + 1 from generate_series({first}, {last}) n
""",
    """
insert into strandline.ing_cursor_event (cursor_id, sequence_no, generation, direction_code, prev_value, new_value,
  intervals, interval_count, coverage_count, coverage_digest, actor, reason, event_hash)
select {cursor}, n - {first} + 1, 1, 'BACKFILL', 0, 0, int8multirange(int8range(4 * n, 4 * n + 1)), 1, 1, '', 'bench',
  'coverage', '' from generate_series({first}, {last}) n
""",
    "update strandline.ing_cursor set head_sequence_no = {last} - {first} + 1 where id = {cursor}",
)
_MANY = """
insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count)
select n, 1, {cursor}, 1, 4 * n, 4 * n + 1, n, n, 0 from generate_series({first}, {last}) n
"""
_ONE = """
insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count)
values (%(piece)s, 2, %(cursor)s, 1, 4 * %(piece)s + 2, 4 * %(piece)s + 3, %(piece)s, %(piece)s, 0)
"""


def scattered(bench: Bench, pieces: int) -> int:
    """A cursor with so many folded pieces, as if as many slices were loaded one by one. Its id."""
    ledger = open_ledger(bench)
    cursor = int(plan(ledger, 1)["cursor_id"])
    ledger.close()
    bench.psql(
        f"select strandline.partition_ahead({pieces + AT_ONCE})",
        *(each.format(cursor=cursor, first=10, last=pieces + 9) for each in _BACKLOG),
    )
    _settle(bench)
    return cursor


def at_once(bench: Bench, cursor: int, pieces: int) -> float:
    """Seconds of the fold of AT_ONCE slices more, beside so many pieces."""
    bench.psql(_MANY.format(cursor=cursor, first=pieces + 10, last=pieces + AT_ONCE + 9))
    ledger = open_ledger(bench)
    begin = time.perf_counter()
    events = ledger.fold(cursor)
    seconds = time.perf_counter() - begin
    assert events == 1, events
    ledger.close()
    found = bench.value(f"select count(*) from strandline.ing_interval where cursor_id = {cursor}")
    assert found == pieces + AT_ONCE, found
    _settle(bench)
    return seconds


def _settle(bench: Bench) -> None:
    tables = ("ing_interval", "ing_coverage", "ing_cursor_event", "ing_cursor")
    bench.psql(*(f"vacuum analyze strandline.{table}" for table in tables))


@dataclass(frozen=True)
class Cost:
    """Of a fold of one slice: the medians of its milliseconds and of the server's CPU in them; its mean WAL in bytes.

    `flush` is the median of a commit beside it that does nothing but wait for the disk, as every fold has to.
    """

    length: float
    cpu: float
    flush: float
    wal: float


def folds(bench: Bench, cursor: int, places: list[int]) -> Cost:
    """The slice's own commit is not in the cost, nor are the first folds, for which the session makes its plans."""
    times: list[float] = []
    cpu: list[float] = []
    flushes: list[float] = []
    wal = 0
    ledger = open_ledger(bench)
    with psycopg.connect(bench.dsn, autocommit=True) as connection:
        for number, place in enumerate(places):
            connection.execute(_ONE, {"piece": place, "cursor": cursor})
            before, spent = _position(connection), _cpu(ledger.backend_pid)
            begin = time.perf_counter()
            events = ledger.fold(cursor)
            length = time.perf_counter() - begin
            assert events == 1, events
            if number >= WARM_UP:
                times.append(1_000 * length)
                cpu.append((_cpu(ledger.backend_pid) - spent) / 1_000_000)
                wal += _position(connection) - before
                begin = time.perf_counter()
                connection.execute("select pg_logical_emit_message(true, 'bench', '')")
                flushes.append(1_000 * (time.perf_counter() - begin))
    ledger.close()
    return Cost(median(times), median(cpu), median(flushes), wal / len(times))


def _cpu(pid: int) -> int:
    """Nanoseconds that a process has run."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])


def _position(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """Every size twice: after a checkpoint, where first touches of pages are logged whole, and without such images."""
    rows: list[dict[str, Any]] = []
    places = random.Random(1)
    with server() as bench:
        for size in PIECES:
            pieces, count = max(1_000, int(size * scale)), WARM_UP + max(20, int(FOLDS * min(1.0, scale)))
            each = migrated(bench.database(f"fold_{size}"))
            cursor = scattered(each, pieces)
            many = at_once(each, cursor, pieces)
            chosen = places.sample(range(10, pieces + 10), 2 * count)
            each.psql("alter system set full_page_writes = off", "select pg_reload_conf()", "checkpoint")
            cost = folds(each, cursor, chosen[:count])
            each.psql("alter system set full_page_writes = on", "select pg_reload_conf()", "checkpoint")
            images = folds(each, cursor, chosen[count:]).wal
            slow = {"ratio": cost.length / LIMIT_MS, "budget": 1.0, "ok": cost.length <= LIMIT_MS}
            wide = {"ratio": cost.wal / LIMIT_WAL, "budget": 1.0, "ok": cost.wal <= LIMIT_WAL}
            last = size == PIECES[-1]
            rows += [
                {
                    "name": f"fold of one slice more beside {pieces:,} pieces, median",
                    "value": round(cost.length, 3),
                    "unit": "ms",
                    **(slow if last else {}),
                },
                {"name": "the server's CPU for it, median", "value": round(cost.cpu, 3), "unit": "ms"},
                {"name": "one wait for the disk, which is in it, median", "value": round(cost.flush, 3), "unit": "ms"},
                {
                    "name": "its WAL without full-page images",
                    "value": round(cost.wal),
                    "unit": "B",
                    **(wide if last else {}),
                },
                {"name": "its WAL right after a checkpoint, images included", "value": round(images), "unit": "B"},
                {"name": f"folding {AT_ONCE:,} slices more at once", "value": round(many, 2), "unit": "s"},
            ]
    return rows
