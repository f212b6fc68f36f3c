"""Work for executors: an importable function with plain arguments, to be called anywhere and any number of times."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from strandline import presence
from strandline.arguments import checked

if TYPE_CHECKING:
    from strandline.report import Report


@checked
def drain(
    dsn: str | None = None,
    plan: int | None = None,
    *,
    pool: str | None = None,
    worker: int = 0,
    seconds: float | None = None,
    tasks: int | None = None,
    schema: str | None = None,
) -> Report:
    """Claims and works one task after another until nothing is left or the budget is spent.

    Runs in a process, a thread, a pod, a mapped Airflow task: every call has a connection of its own. `worker` is the
    caller's number for it and appears in logs only. A server that does not answer yet is waited for, a minute at most
    and within `seconds`; then Unreachable. Never raises for failed slices: they are in the report. Raises
    ConfigError for a plan whose provider only the planning process knows.
    """
    from strandline.engine import connect_patiently

    began = time.monotonic()
    presence.log.debug("drain %s of %s", worker, f"plan {plan}" if plan is not None else f"pool {pool}")
    with connect_patiently(dsn, schema, seconds) as engine:
        left = None if seconds is None else max(0.0, seconds - (time.monotonic() - began))
        return engine.work(plan, pool=pool, workers=1, seconds=left, tasks=tasks, errors="report", progress=False)
