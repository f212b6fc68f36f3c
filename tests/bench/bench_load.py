"""Rows from Arrow into a table, with the whole ledger, against psql's binary \\copy of the very same rows."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from server import Bench, median, server

import strandline as sl

ROWS = 2_000_000
ROUNDS = 3
BUDGET = 1.5  # times the floor


def table(rows: int, first: int = 0) -> pa.Table:
    """bigint, timestamptz, four float8, text of 12, nullable int."""
    numbers = np.arange(first, first + rows)
    random = np.random.default_rng(first)
    return pa.table(
        {
            "id": pa.array(numbers),
            "at": pa.array(numbers * 1_000_000 + 1_357_016_400_000_000, type=pa.timestamp("us", "UTC")),
            **{name: pa.array(random.random(rows)) for name in "abcd"},
            "name": pa.array([f"row{n:09d}" for n in range(first, first + rows)]),
            "count": pa.array(numbers % 1000, type=pa.int32(), mask=numbers % 7 == 0),
        }
    )


def floor(bench: Bench, dump: Path) -> float:
    """Seconds of \\copy into an empty table of the same shape; the lineage columns are in the file."""
    bench.psql("drop table if exists floor", "create table floor (like loaded including all)", "checkpoint")
    begin = time.perf_counter()
    bench.psql(f"\\copy floor from '{dump}' (format binary)")
    return time.perf_counter() - begin


def ours(engine: sl.Engine, bench: Bench, rows: pa.Table) -> float:
    """Seconds of one ingest call, from the value to the closed plan."""
    bench.psql("truncate loaded", "checkpoint")
    begin = time.perf_counter()
    report = engine.ingest(rows, "loaded", mode="append", only="all", progress=False)
    seconds = time.perf_counter() - begin
    assert report.rows == rows.num_rows
    return seconds


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """In turns, so that both meet the same machine; the medians count."""
    count = max(10_000, int(ROWS * scale))
    rows = table(count)
    with server() as bench, tempfile.TemporaryDirectory() as scratch, sl.connect(_migrated(bench)) as engine:
        dump = Path(scratch) / "rows.bin"
        engine.ingest(rows, "loaded", mode="append", progress=False)
        bench.psql(f"\\copy loaded to '{dump}' (format binary)")
        times: dict[str, list[float]] = {"floor": [], "ours": []}
        for _ in range(ROUNDS):
            times["ours"].append(ours(engine, bench, rows))
            times["floor"].append(floor(bench, dump))
        assert engine.query("select count(*) from loaded").fetchall() == [(count,)]
    base, loaded = median(times["floor"]), median(times["ours"])
    return [
        {"name": f"psql \\copy, binary, {count:,} rows", "value": round(base, 2), "unit": "s"},
        {
            "name": f"ingest from Arrow, append, full ledger, {count:,} rows",
            "value": round(loaded, 2),
            "unit": "s",
            "ratio": loaded / base,
            "budget": BUDGET,
            "ok": loaded <= BUDGET * base,
        },
    ]


def _migrated(bench: Bench) -> str:
    sl.migrate(bench.dsn)
    return bench.dsn
