"""Folding one more slice into a watermark whose coverage lies in 10k, 100k and 1M pieces that do not touch."""

from __future__ import annotations

import random
import time
from typing import Any

import psycopg
from queue_ledger import migrated, open_ledger, plan
from server import Bench, median, server

PIECES = (10_000, 100_000, 1_000_000)
FOLDS = 300
LIMIT_MS = 1.0
LIMIT_WAL = 1_000
# Piece n is [4n, 4n + 1): what a later fold adds at 4n + 2 touches neither neighbour.
_SCATTER = """
insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count)
select n, 1, {cursor}, 1, 4 * n, 4 * n + 1, n, n, 0 from generate_series({first}, {last}) n
"""
_ONE = """
insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count)
values (%(piece)s, 2, %(cursor)s, 1, 4 * %(piece)s + 2, 4 * %(piece)s + 3, %(piece)s, %(piece)s, 0)
"""


def scattered(bench: Bench, pieces: int) -> tuple[int, float]:
    """A cursor with so many folded pieces, as if as many slices were loaded. Its id, and the seconds of that fold."""
    ledger = open_ledger(bench)
    cursor = int(plan(ledger, 1)["cursor_id"])
    bench.psql(
        f"select strandline.partition_ahead({pieces})",
        _SCATTER.format(cursor=cursor, first=10, last=pieces + 9),
        "vacuum analyze strandline.ing_coverage",
    )
    begin = time.perf_counter()
    ledger.fold(cursor)
    seconds = time.perf_counter() - begin
    ledger.close()
    found = bench.value(f"select count(*) from strandline.ing_interval where cursor_id = {cursor}")
    assert found == pieces, found
    bench.psql("vacuum analyze strandline.ing_interval", "vacuum analyze strandline.ing_coverage")
    return cursor, seconds


def folds(bench: Bench, cursor: int, places: list[int]) -> tuple[float, float]:
    """Median milliseconds of a fold of one slice, and its mean WAL in bytes; the slice's own commit is in neither."""
    times: list[float] = []
    wal = 0
    ledger = open_ledger(bench)
    with psycopg.connect(bench.dsn, autocommit=True) as connection:
        for place in places:
            connection.execute(_ONE, {"piece": place, "cursor": cursor})
            before = _position(connection)
            begin = time.perf_counter()
            events = ledger.fold(cursor)
            times.append(time.perf_counter() - begin)
            assert events == 1, events
            wal += _position(connection) - before
    ledger.close()
    return 1000 * median(times), wal / len(places)


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
            pieces, count = max(1_000, int(size * scale)), max(20, int(FOLDS * min(1.0, scale)))
            each = migrated(bench.database(f"fold_{size}"))
            cursor, seconds = scattered(each, pieces)
            chosen = places.sample(range(10, pieces + 10), 2 * count)
            each.psql("alter system set full_page_writes = off", "select pg_reload_conf()", "checkpoint")
            length, wal = folds(each, cursor, chosen[:count])
            each.psql("alter system set full_page_writes = on", "select pg_reload_conf()", "checkpoint")
            _, images = folds(each, cursor, chosen[count:])
            slow = {"ratio": length / LIMIT_MS, "budget": 1.0, "ok": length <= LIMIT_MS}
            wide = {"ratio": wal / LIMIT_WAL, "budget": 1.0, "ok": wal <= LIMIT_WAL}
            last = size == PIECES[-1]
            rows += [
                {"name": f"folding {pieces:,} scattered slices at once", "value": round(seconds, 2), "unit": "s"},
                {
                    "name": f"fold of one slice more beside {pieces:,} pieces, median",
                    "value": round(length, 3),
                    "unit": "ms",
                    **(slow if last else {}),
                },
                {
                    "name": "its WAL without full-page images",
                    "value": round(wal),
                    "unit": "B",
                    **(wide if last else {}),
                },
                {"name": "its WAL right after a checkpoint, images included", "value": round(images), "unit": "B"},
            ]
    return rows
