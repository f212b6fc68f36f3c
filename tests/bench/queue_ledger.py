"""A ledger with a backlog of tasks that have nothing to load, as the benches of the queue want it."""

from __future__ import annotations

import itertools
from typing import Any

from server import Bench

import strandline as sl
from strandline import _core

POOL = "bench"
LEASE = 600_000_000
TARGET: dict[str, Any] = {
    "schema": "public",
    "table": "nothing",
    "mode": "append",
    "primary_key": [],
    "cursor_field": None,
}
EMPTY: dict[str, Any] = {"rows": None, "deleted": None, "before": None, "after": None, "size": 0, "started": 0}
_TABLES = ("ing_task", "ing_task_run", "ing_task_run_batch", "ing_coverage", "ing_plan_slice", "ing_plan")
_numbers = itertools.count(1)


def open_ledger(bench: Bench) -> _core.Ledger:
    """A connection of its own to the ledger of a database."""
    return _core.Ledger(bench.dsn, "strandline", "bench")


def migrated(bench: Bench) -> Bench:
    """The database, with a ledger in it."""
    sl.migrate(bench.dsn)
    return bench


def plan(ledger: _core.Ledger, tasks: int, *, pool: str = POOL) -> dict[str, Any]:
    """Plans `tasks` slices of one id each, in a namespace of their own: a refill is as cheap as the first plan."""
    return ledger.plan(
        {
            "provenance": {"code": "bench", "reference": "bench:Queue", "version": "1", "config": {}, "labels": {}},
            "stream": {"name": "nothing", **TARGET, "columns": None, "contract": {}},
            "operation": "HARVEST",
            "trigger": {"scheduler": "MANUAL", "job": "bench", "log": None, "type": "MANUAL"},
            "actor": "bench",
            "cursor": {"type": "ID", "time_zone": "UTC", "origin": 0},
            "window": {"asked": [0, tasks], "lo": 0, "hi": tasks},
            "strategy": {"strategy": "ID", "step": 1},
            "params": {"part": next(_numbers)},
            "pool": pool,
            "max_slices": 2 * tasks,
        }
    )


def settle(bench: Bench) -> None:
    """What autovacuum would do, which is off so that it does not choose a side: before a round, not in it."""
    bench.psql(*(f"vacuum analyze strandline.{name}" for name in _TABLES))
