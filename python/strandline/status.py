"""What is planned, at work, done and given up: the answers of `Engine.status`."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from strandline.errors import ConfigError
from strandline.report import plain
from strandline.why import Blocker, blockers, summary
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
class Cause:
    """Why a run ended: `origin` is source, engine, destination or operator, `kind` a word for programs."""

    origin: str
    kind: str
    message: str
    where: str | None = None


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How the last run of a task that is over ended: in which state, for which reason, by whom (a worker, an actor,
    "reaper"), when, and what caused it."""

    attempt: int
    status: str
    reason: str
    by: str
    at: datetime
    causes: tuple[Cause, ...]


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A task with its last run. `why` says in words what it waits for, or why it ended.

    `blockers` is the same as data, down to the root; it is filled where one task was asked for. `ended` is the end of
    its last run that is over, None while there is none.
    """

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
    blockers: tuple[Blocker, ...] = ()
    ended: RunEnd | None = None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker that gave a sign of life lately, or a name that a quarantine or a stop was asked for.

    `status` is ACTIVE, or QUARANTINED or DRAINING where that was asked for it, its process or its host.
    """

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
        return {part.name: [_plain(row) for row in getattr(self, part.name)] for part in fields(self)}

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
        rows = ledger.fetch("status.tasks", task, plan, of_tasks, limit)
        tasks = [_task(row, blockers(ledger, row) if task is not None else ()) for row in rows]
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


def _task(row: dict[str, Any], found: tuple[Blocker, ...]) -> TaskStatus:
    error = row["last_error"] or {}
    computed = ("window", "why", "kind", "error", "where", "blockers", "ended")
    values = {item.name: row[item.name] for item in fields(TaskStatus) if item.name not in computed}
    return TaskStatus(
        **values,
        window=window_of(row, "lo", "hi"),
        why="; ".join(each.message for each in found) or summary(row),
        kind=error.get("kind"),
        error=error.get("message"),
        where=error.get("where"),
        blockers=found,
        ended=_ended(row),
    )


def _ended(row: dict[str, Any]) -> RunEnd | None:
    if row["ended_attempt"] is None:
        return None
    reason = row["ended_reason"] or row["ended_status"]
    stored = row["ended_causes"] or []
    causes = [
        Cause(each.get("origin", "engine"), each.get("kind", ""), each.get("message", ""), each.get("where"))
        for each in (stored if isinstance(stored, list) else [stored])
    ]
    if not causes:  # a success writes none: its cause is what the code means
        causes = [Cause("engine", reason.lower(), row["ended_meaning"] or reason)]
    return RunEnd(
        attempt=row["ended_attempt"],
        status=row["ended_status"],
        reason=reason,
        by=row["ended_by"] or row["ended_worker"],
        at=row["ended_at"],
        causes=tuple(causes),
    )


def _worker(row: dict[str, Any]) -> WorkerStatus:
    return WorkerStatus(**{item.name: row[item.name] for item in fields(WorkerStatus)})


def _plain(value: Any) -> Any:
    """A row of the answer, and what lies in it, as JSON can hold it."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    return plain(value)
