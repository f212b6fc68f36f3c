"""Planning a million slices, against COPY of the very same rows into the same tables with the same indexes."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import Any

from server import Bench, server

import strandline as sl

SLICES = 1_000_000
ROUNDS = 2
START = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
BUDGET = 2.0  # times the COPY
SLICE_COLUMNS = "id, plan_id, slice_no, slice_signature, task_key, slice_spec, lo, hi, expr_hash, expr_snapshot"
TASK_COLUMNS = (
    "id, idempotent_key, kind_code, plan_id, slice_id, cursor_id, generation, lo, hi, provenance_code, operation_code, "
    "credential, params, expr_hash, priority, pool, mutex_key, labels, mutex_waiting, max_attempts, max_losses, "
    "scheduled_at, deadline_at, status_code"
)


class Minutes(sl.Provider):
    """A source that is only planned."""

    name = "minutes"
    slice = "1 minute"

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        """Never called here."""
        raise AssertionError(context, cursor)


def copies(bench: Bench, scratch: Path, plan: int) -> float:
    """Seconds of two COPYs of the plan's rows into clones of the two tables."""
    files = {"ing_plan_slice": SLICE_COLUMNS, "ing_task": TASK_COLUMNS}
    for name, columns in files.items():
        bench.psql(
            f"\\copy (select {columns} from strandline.{name} where plan_id = {plan} order by id)"
            f" to '{scratch}/{name}' (format binary)",
            f"drop table if exists clone_{name}",
            f"create table clone_{name} (like strandline.{name} including all)",
        )
    bench.psql("checkpoint")
    begin = time.perf_counter()
    for name, columns in files.items():
        bench.psql(f"\\copy clone_{name} ({columns}) from '{scratch}/{name}' (format binary)")
    return time.perf_counter() - begin


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """A fresh ledger for each round, so that every plan meets empty tables, as its COPY does."""
    minutes = max(1000, int(SLICES * scale))
    planned, copied = float("inf"), float("inf")
    for _ in range(ROUNDS):
        with server() as bench, tempfile.TemporaryDirectory() as scratch:
            sl.migrate(bench.dsn)
            with sl.connect(bench.dsn) as engine:
                begin = time.perf_counter()
                plan = engine.plan(Minutes(), window=(START, START + dt.timedelta(minutes=minutes)))
                planned = min(planned, time.perf_counter() - begin)
                assert plan.slices == minutes
                copied = min(copied, copies(bench, Path(scratch), plan.id or 0))
    return [
        {"name": f"COPY of {minutes:,} slices and tasks, same indexes", "value": round(copied, 2), "unit": "s"},
        {
            "name": f"plan of {minutes:,} slices",
            "value": round(planned, 2),
            "unit": "s",
            "ratio": planned / copied,
            "budget": BUDGET,
            "ok": planned <= BUDGET * copied,
        },
    ]
