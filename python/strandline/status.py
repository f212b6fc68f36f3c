"""What is planned, at work, done and given up: the answers of `Engine.status`."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from strandline.errors import ConfigError
from strandline.report import plain
from strandline.window import Window

if TYPE_CHECKING:
    from strandline._core import Ledger

PLAN_STATES = ("ACTIVE", "SUCCEEDED", "PARTIAL", "FAILED", "CANCELLED")
TASK_STATES = ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED")
_SEEN_WITHIN = 180.0
"""Seconds after which a worker that said nothing is no longer listed."""


@dataclass(frozen=True, slots=True)
class PlanStatus:
    """A plan and how many of its slices are in which state."""

    plan: int
    source: str
    stream: str
    target: str
    operation: str
    status: str
    reason: str | None
    window: Window | None
    slices: int
    succeeded: int
    failed: int
    running: int
    queued: int
    cancelled: int
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A task with its last run. `why` says in words what it waits for, or why it ended."""

    task: int
    plan: int
    source: str
    window: Window | None
    status: str
    reason: str | None
    why: str
    priority: int
    pool: str
    attempt: int
    walk: int
    pages: int
    failures: int
    losses: int
    held: bool
    scheduled_at: datetime
    deadline_at: datetime | None
    worker: str | None
    leased_until: datetime | None
    kind: str | None
    error: str | None
    where: str | None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker that gave a sign of life lately."""

    worker: str
    host: str
    pid: int
    version: str
    pools: Sequence[str]
    status: str
    started_at: datetime
    heartbeat_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """Plans, newest first; tasks where a plan, a task or their state was asked for; workers. Iterates over plans."""

    plans: list[PlanStatus] = field(default_factory=list)
    tasks: list[TaskStatus] = field(default_factory=list)
    workers: list[WorkerStatus] = field(default_factory=list)

    def __iter__(self) -> Iterator[PlanStatus]:
        return iter(self.plans)

    def __len__(self) -> int:
        return len(self.plans)

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain values that JSON can hold."""
        return {
            part.name: [
                {item.name: plain(getattr(row, item.name)) for item in fields(row)} for row in getattr(self, part.name)
            ]
            for part in fields(self)
        }

    def _repr_html_(self) -> str:
        names = ("plan", "source", "status", "window", "slices", "succeeded", "failed", "running", "queued", "reason")
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(getattr(row, name) or ''))}</td>" for name in names) + "</tr>"
            for row in self.plans
        )
        return f"<table><tr>{head}</tr>{body}</table>"


def read(
    ledger: Ledger,
    *,
    plan: int | None = None,
    task: int | None = None,
    source: str | None = None,
    state: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
) -> Status:
    """Reads the status. A state that only tasks have lists tasks; one that only plans have lists plans."""
    state = None if state is None else state.upper()
    if state is not None and state not in PLAN_STATES + TASK_STATES:
        valid = ", ".join(dict.fromkeys(PLAN_STATES + TASK_STATES))
        raise ConfigError(f"state is {state!r}; the valid ones are {valid}")
    if limit < 1:
        raise ConfigError(f"limit is {limit}; ask for at least 1")
    plans: list[PlanStatus] = []
    tasks: list[TaskStatus] = []
    if task is None:
        wanted = state if state in PLAN_STATES and plan is None else None
        plans = [_plan(row) for row in ledger.fetch("status.plans", plan, source, wanted, since, limit)]
    if task is not None or plan is not None or state in TASK_STATES:
        of_tasks = state if state in TASK_STATES else None
        tasks = [_task(row) for row in ledger.fetch("status.tasks", task, plan, of_tasks, limit)]
        if source is not None:
            tasks = [row for row in tasks if row.source == source]
    workers = [_worker(row) for row in ledger.fetch("status.workers", _SEEN_WITHIN)]
    return Status(plans=plans, tasks=tasks, workers=workers)


def window_of(row: dict[str, Any], lo: str, hi: str) -> Window | None:
    """The window of a row of the ledger; None for values and tokens, which have none."""
    kind = row["cursor_type_code"]
    if kind not in ("TIME", "ID") or row[lo] is None or row[hi] is None:
        return None
    return Window.from_bounds(row[lo], row[hi], kind.lower(), row["time_zone"])


def _plan(row: dict[str, Any]) -> PlanStatus:
    values = {item.name: row[item.name] for item in fields(PlanStatus) if item.name != "window"}
    return PlanStatus(**values, window=window_of(row, "window_from", "window_to"))


def _task(row: dict[str, Any]) -> TaskStatus:
    error = row["last_error"] or {}
    computed = ("window", "why", "kind", "error", "where")
    values = {item.name: row[item.name] for item in fields(TaskStatus) if item.name not in computed}
    return TaskStatus(
        **values,
        window=window_of(row, "lo", "hi"),
        why=_why(row),
        kind=error.get("kind"),
        error=error.get("message"),
        where=error.get("where"),
    )


def _worker(row: dict[str, Any]) -> WorkerStatus:
    return WorkerStatus(**{item.name: row[item.name] for item in fields(WorkerStatus)})


def _why(row: dict[str, Any]) -> str:
    status, error = row["status"], row["last_error"] or {}
    failed = f"{error.get('kind')}: {error.get('message')}" if error else "an error"
    if status == "SUCCEEDED":
        return "every page is committed"
    if status == "CANCELLED":
        return f"ended ({row['reason'] or 'CANCELLED'}); its committed pages stay, and retry or the same ingest goes on"
    if status == "FAILED":
        return f"given up after {row['attempt']} attempts ({row['reason']}): {failed}"
    if status == "RUNNING":
        return _why_running(row)
    if row["held"]:
        return "paused by an operator"
    if row["unmet"]:
        return f"waits for {row['unmet']} other tasks"
    if row["mutex_waiting"]:
        return f"waits for its turn with mutex {row['mutex_key']!r}"
    if row["deadline_at"] is not None and row["deadline_at"] <= row["at"]:
        return "its deadline has passed; the next reaper ends it"
    if row["scheduled_at"] > row["at"]:
        pause = max(timedelta(0), row["scheduled_at"] - row["at"])
        because = f" after {failed}" if error and row["failures"] else ""
        return f"{row['reason'] or 'scheduled'}: due in {pause.total_seconds():.1f} s{because}"
    if row["pool"].startswith("local:"):
        return f"waits for the process {row['pool'][6:]}, which alone knows its provider"
    return f"waits for a worker of pool {row['pool']!r}: strandline work"


def _why_running(row: dict[str, Any]) -> str:
    left = (row["leased_until"] - row["at"]).total_seconds()
    asked = "; it was asked to end and will at its next page" if row["cancel_requested_at"] is not None else ""
    if left < 0:
        return f"the lease of {row['worker']} passed {-left:.1f} s ago; the next reaper queues it again{asked}"
    return f"{row['worker']} holds it for {left:.1f} s more, {row['pages']} pages are committed{asked}"
