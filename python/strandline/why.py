"""Why a task waits or ended: what `status --why` says, from the ledger, down to the task at the root of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from strandline.window import Window

if TYPE_CHECKING:
    from strandline._core import Ledger

_NAMED = 3
"""How many tasks a sentence names; a wait for thousands reads as well with three of them."""
_NEEDS = 20
"""How many dependencies of one task are followed."""
_DEEPEST = 12
"""How many tasks lie between a question and its root at most."""
_SEEN_WITHIN = 180.0
"""Seconds after which a worker that said nothing does not serve its pool any more."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing that keeps a task from going on, or that ended it.

    `kind` is paused, dependency, deadline, mutex, due, backing_off, rate_limited, pool, worker, turn, running, failed
    or cancelled; `message` says it in words; `because` is what lies behind it, for a dependency the blockers of the
    task that is waited for. `task` and `plan` name what is waited for, or who holds it.
    """

    kind: str
    message: str
    task: int | None = None
    plan: int | None = None
    because: tuple[Blocker, ...] = ()

    def roots(self) -> Iterable[Blocker]:
        """What lies at the bottom of it: itself, or the roots of what it is because of."""
        if not self.because:
            yield self
        for each in self.because:
            yield from each.roots()


def blockers(ledger: Ledger, row: dict[str, Any]) -> tuple[Blocker, ...]:
    """All that keeps the task of a row of status.tasks from its success, the most lasting first; () when it has it."""
    return _Inquiry(ledger).of(row)


def summary(row: dict[str, Any]) -> str:
    """The same in a few words, from the row alone: for lists."""
    status, error = row["status"], row["last_error"] or {}
    if status == "SUCCEEDED":
        return "every page is committed"
    if status == "CANCELLED":
        return _cancelled(row)
    if status == "FAILED":
        return _failed(row)
    if status == "RUNNING":
        asked = "to end" if row["cancel_requested_at"] is not None else "to give it back" if row["held"] else ""
        return _running(row) + (f"; it was asked {asked} and will at its next page" if asked else "")
    if row["held"]:
        return "paused by an operator"
    if row["unmet"]:
        return f"waits for {row['unmet']} other tasks" if row["unmet"] > 1 else "waits for another task, plan or stream"
    if _overdue(row):
        return "its deadline has passed; the next reaper ends it"
    if row["scheduled_at"] > row["at"]:
        return _due(row, error)
    if row["mutex_waiting"]:
        return f"waits for its turn with mutex {row['mutex_key']!r}"
    if row["pool"].startswith("local:"):
        return f"waits for the process {row['pool'][6:]}, which alone knows its provider"
    return f"waits for a worker of pool {row['pool']!r}: strandline work"


class _Inquiry:
    """One question. A task that was met already is not asked again: several may wait for it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._met: set[int] = set()

    def of(self, row: dict[str, Any], depth: int = 0) -> tuple[Blocker, ...]:
        self._met.add(row["task"])
        status = row["status"]
        if status == "SUCCEEDED":
            return ()
        if status == "CANCELLED":
            return (Blocker("cancelled", self._cancelled(row), row["task"], row["plan"]),)
        if status == "FAILED":
            because = self._needs(row, depth) if row["reason"] == "UPSTREAM_FAILED" else ()
            return (Blocker("failed", _failed(row), row["task"], row["plan"], because),)
        if status == "RUNNING":
            return (Blocker("running", _running(row) + self._asked(row), row["task"], row["plan"]),)
        return tuple(self._queued(row, depth))

    def _queued(self, row: dict[str, Any], depth: int) -> Iterable[Blocker]:
        """A queued task needs all of these gone."""
        found = False
        if row["held"]:
            found = True
            yield Blocker("paused", "paused" + self._asker(row, "pause") + "; strandline resume lets it go on")
        if row["unmet"]:
            found = True
            yield from self._needs(row, depth)
        if _overdue(row):
            found = True
            yield Blocker("deadline", f"its deadline, {_at(row['deadline_at'])}, has passed; the next reaper ends it")
        if row["scheduled_at"] > row["at"]:
            found = True
            yield Blocker(_waits_as(row), _due(row, row["last_error"] or {}))
        elif row["mutex_waiting"] and not row["held"] and not row["unmet"]:
            found = True
            yield self._mutex(row)
        if not found:
            yield from self._unclaimed(row)

    def _mutex(self, row: dict[str, Any]) -> Blocker:
        key = row["mutex_key"]
        rows = self._ledger.fetch("status.mutex", key, _NAMED)
        places = rows[0]["slots"] if rows else 1
        holders = [each for each in rows if each["task"] is not None]
        text = f"waits for its turn with mutex {key!r}, which {_tasks(places)} may hold at a time"
        if holders:
            text += f": {_listed(_holder(each) for each in holders)}"
        first = holders[0] if holders else {"task": None, "plan": None}
        return Blocker("mutex", text, first["task"], first["plan"])

    def _unclaimed(self, row: dict[str, Any]) -> Iterable[Blocker]:
        """Nothing of its own keeps it: what keeps the workers from it?"""
        pool = row["pool"]
        if pool.startswith("local:"):
            yield Blocker("worker", f"waits for the process {pool[6:]}, which alone knows its provider")
            return
        full = self._full(pool)
        if full is not None:
            yield full
        workers = self._ledger.fetch("status.pool_workers", pool, _SEEN_WITHIN)[0]
        if not workers["serving"]:
            text = f"no worker serves pool {pool!r}: strandline work --pool {pool}"
            if workers["of_plans"]:
                text += (
                    f", unless one of {_workers(workers['of_plans'])} that serve single plans is at plan {row['plan']}"
                )
            yield Blocker("worker", text)
        elif not workers["free"]:
            text = f"the workers of pool {pool!r} may not claim: {workers['wished']} is under quarantine or is to stop"
            yield Blocker("worker", text + "; strandline worker release lets it")
        elif full is None:
            before = self._ledger.fetch("status.turn", row["task"], 1000)[0]["before"]
            count = f"{before} tasks" if before < 1000 else "1,000 tasks or more"
            place = f"; {count} are before it" if before > 1 else "; one task is before it" if before else ""
            yield Blocker("turn", f"waits for one of {_workers(workers['free'])} of pool {pool!r}{place}")

    def _full(self, pool: str) -> Blocker | None:
        """The limit of a pool, where it is reached."""
        rows = self._ledger.fetch("status.pool", pool, _NAMED)
        if not rows or rows[0]["slots"] is None or rows[0]["taken"] < rows[0]["slots"]:
            return None
        limit = rows[0]["slots"]
        holders = [each for each in rows if each["task"] is not None]
        running = f": {_listed(_holder(each) for each in holders)}" if holders else ""
        more = f" and {rows[0]['taken'] - len(holders)} more" if rows[0]["taken"] > len(holders) else ""
        text = f"pool {pool!r} is full, its limit is {_tasks(limit)} at a time{running}{more}"
        if limit == 0:
            text = f"pool {pool!r} has the limit 0: nothing of it runs until strandline pool {pool} --limit raises it"
        first = holders[0] if holders else {"task": None, "plan": None}
        return Blocker("pool", text, first["task"], first["plan"])

    # Dependencies ---------------------------------------------------------------------------------------------------

    def _needs(self, row: dict[str, Any], depth: int) -> tuple[Blocker, ...]:
        needs = self._ledger.fetch("status.needs", row["task"], _NEEDS)
        # What failed already comes first: it is what somebody has to do something about.
        found = [self._need(need, depth) for need in needs]
        return tuple(sorted(found, key=lambda each: all(root.kind not in _FALLEN for root in each.roots())))

    def _need(self, need: dict[str, Any], depth: int) -> Blocker:
        if not need["gate"]:
            return self._on_task(need["parent"], depth)
        if need["plan"] is not None:
            return self._on_plan(need["plan"], need["kind_code"], depth)
        return self._on_stream(need["cursor_id"], need["bound"], depth)

    def _on_task(self, task: int, depth: int) -> Blocker:
        row = self._row(task)
        if row is None:
            return Blocker("dependency", f"needs task {task}, which is not there any more", task)
        text = f"needs task {task} of plan {row['plan']} ({row['source']}), which {_stands(row)}"
        because = self.of(row, depth + 1) if task not in self._met and depth < _DEEPEST else ()
        return Blocker("dependency", text, task, row["plan"], because)

    def _on_plan(self, plan: int, kind: str, depth: int) -> Blocker:
        rows = self._ledger.fetch("status.plans", plan, None, None, None, 1)
        if not rows:
            return Blocker("dependency", f"needs plan {plan}, which is not there any more", plan=plan)
        row = rows[0]
        wanted = "to succeed" if kind == "ALL_SUCCEEDED" else "to end"
        parts = [f"{row[name]} {name}" for name in ("failed", "cancelled", "running", "queued") if row[name]]
        text = (
            f"needs plan {plan} ({row['source']}) {wanted}; it is {row['status']}, {row['succeeded']} of"
            f" {row['slices']} slices are in" + "".join(f", {part}" for part in parts)
        )
        holders = self._ledger.fetch("status.plan_holders", plan, _NAMED)
        return Blocker("dependency", text, None, plan, self._behind(holders, depth))

    def _on_stream(self, cursor: int, bound: int, depth: int) -> Blocker:
        row = self._ledger.fetch("status.cursor", cursor)[0]
        kind, zone = row["cursor_type_code"], row["time_zone"]
        name = f"{row['provenance_code']}>{row['cursor_key']}"
        until, mark = _bound(bound, kind, zone), _bound(row["value_norm"], kind, zone)
        text = f"needs {name} to be covered up to {until}; it is up to {mark}"
        holders = self._ledger.fetch("status.stream_holders", cursor, bound, _NAMED)
        if not holders and row["value_norm"] < bound:
            text += (
                f", and nothing is planned there: ingest {row['provenance_code']} with a window that ends at {until}"
            )
        return Blocker("dependency", text, None, None, self._behind(holders, depth))

    def _behind(self, holders: list[dict[str, Any]], depth: int) -> tuple[Blocker, ...]:
        """The tasks that a gate waits for, each with what keeps it."""
        new = [each["id"] for each in holders if each["id"] not in self._met]
        if depth >= _DEEPEST:
            return ()
        return tuple(self._held_up(row, depth) for row in map(self._row, new) if row is not None)

    def _held_up(self, row: dict[str, Any], depth: int) -> Blocker:
        because = self.of(row, depth + 1)
        if len(because) == 1 and not because[0].because and because[0].task in (None, row["task"]):
            (only,) = because
            return Blocker(only.kind, f"task {row['task']}: {only.message}", row["task"], row["plan"])
        return Blocker("dependency", f"task {row['task']} {_stands(row)}", row["task"], row["plan"], because)

    def _row(self, task: int) -> dict[str, Any] | None:
        rows = self._ledger.fetch("status.tasks", task, None, None, 1)
        return rows[0] if rows else None

    # Who asked ------------------------------------------------------------------------------------------------------

    def _asker(self, row: dict[str, Any], *verbs: str) -> str:
        """' by NAME (TIME): REASON' of whoever asked for one of the verbs last; '' where nobody did."""
        subjects = [f"task:{row['task']}", f"plan:{row['plan']}"]
        if row["cursor_id"] is not None:
            subjects.append(f"cursor:{row['cursor_id']}")
        rows = self._ledger.fetch("status.audit", subjects, list(verbs))
        if not rows:
            return ""
        event = rows[0]
        kind = event["subject"].partition(":")[0]
        of = {"plan": f" with plan {row['plan']}", "cursor": f" with all of {row['source']}"}.get(kind, "")
        told = f": {event['reason']}" if event["reason"] else ", who gave no reason"
        return f"{of} by {event['actor']} ({_at(event['created_at'])}){told}"

    def _asked(self, row: dict[str, Any]) -> str:
        if row["cancel_requested_at"] is not None:
            return f"; cancelled{self._asker(row, 'cancel')}, and ends at its next page"
        if row["held"]:
            return f"; paused{self._asker(row, 'pause')}, and gives back at its next page"
        return ""

    def _cancelled(self, row: dict[str, Any]) -> str:
        if row["reason"] == "SPLIT":
            return f"cut anew{self._asker(row, 'split')}; other tasks of plan {row['plan']} go on with what was missing"
        if row["reason"] in (None, "CANCELLED"):
            return f"cancelled{self._asker(row, 'cancel')}; committed pages stay, and retry or the same ingest goes on"
        return _cancelled(row)


_FALLEN = ("failed", "cancelled")


def _cancelled(row: dict[str, Any]) -> str:
    if row["reason"] == "SPLIT":
        return f"cut anew; other tasks of plan {row['plan']} go on with what was missing"
    return f"ended ({row['reason'] or 'CANCELLED'}); its committed pages stay, and retry or the same ingest goes on"


def _failed(row: dict[str, Any]) -> str:
    if row["reason"] == "UPSTREAM_FAILED":
        return "never began (UPSTREAM_FAILED): what it needs failed or was cancelled; retry that, and this goes on too"
    if row["reason"] == "DEADLINE":
        return f"not claimed before its deadline, {_at(row['deadline_at'])} (DEADLINE)"
    if row["reason"] == "LEASE_LOST":
        return f"given up after losing its lease {row['losses']} times without a page between (LEASE_LOST)"
    attempts = f"{row['attempt']} attempts" if row["attempt"] > 1 else "the first attempt"
    return f"given up after {attempts} ({row['reason']}): {_error(row['last_error'])}"


def _running(row: dict[str, Any]) -> str:
    left = (row["leased_until"] - row["at"]).total_seconds()
    if left < 0:
        return f"the lease of {row['worker']} passed {-left:.1f} s ago; the next reaper queues it again"
    return f"{row['worker']} holds it for {left:.1f} s more, {row['pages']} pages are committed"


def _due(row: dict[str, Any], error: dict[str, Any]) -> str:
    pause = (row["scheduled_at"] - row["at"]).total_seconds()
    if row["reason"] == "RATE_LIMITED":  # no failure: what the source said is a cause of the run's end only
        error = next(iter(row["ended_causes"] or []), {})
    because = f" after {_error(error)}" if error and (row["failures"] or row["reason"] == "RATE_LIMITED") else ""
    return f"{row['reason'] or 'scheduled'}: due in {pause:.1f} s, {_at(row['scheduled_at'])}{because}"


def _waits_as(row: dict[str, Any]) -> str:
    return {"RATE_LIMITED": "rate_limited"}.get(row["reason"], "backing_off" if row["failures"] else "due")


def _overdue(row: dict[str, Any]) -> bool:
    return row["deadline_at"] is not None and bool(row["deadline_at"] <= row["at"])


def _error(error: dict[str, Any] | None) -> str:
    return f"{error.get('kind')}: {error.get('message')}" if error else "an error"


def _stands(row: dict[str, Any]) -> str:
    return {"RUNNING": "runs", "QUEUED": "waits", "FAILED": "failed", "CANCELLED": "was cancelled"}.get(
        row["status"], f"is {row['status']}"
    )


def _holder(row: dict[str, Any]) -> str:
    return f"task {row['task']} of plan {row['plan']} ({row['worker'] or 'about to be claimed'})"


def _tasks(count: int) -> str:
    return "one task" if count == 1 else f"{count} tasks"


def _workers(count: int) -> str:
    return "the worker" if count == 1 else f"{count} workers"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts)


def _at(moment: datetime | None) -> str:
    if moment is None:
        return "no time"
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def _bound(value: int, kind: str, zone: str) -> str:
    """A bound as it is written in a window."""
    if kind not in ("TIME", "ID"):
        return str(value)
    shown = Window.from_bounds(value, value, kind.lower(), zone).start
    return _at(shown) if isinstance(shown, datetime) else str(shown)
