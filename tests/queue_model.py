"""The queue in plain Python: what DESIGN and the protocol say that each verb does, without database, lock or clock.

Bounds are small ids. What the database's clock decides (which of two due tasks has waited longer) the model does not
know: it says how many are taken and what they must be, and whoever compares takes the order from the database's times.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

OPERATOR = "operator"
LIVE = ("QUEUED", "RUNNING")
FALLEN = ("FAILED", "CANCELLED")

WORKERS = ("alpha:1:0", "beta:1:0")


class RefusedError(Exception):
    """The verb is refused: the first argument is the name of the error."""


@dataclass(eq=False)
class Run:
    task: Task
    attempt: int
    worker: str
    batch_no: int
    checkpoint: int | None
    reached: int | None
    status: str = "LIVE"  # PLANNED and RUNNING are the same to everybody
    reason: str | None = None
    by: str | None = None
    expired: bool = False

    def end(self, status: str, reason: str, by: str) -> None:
        self.status, self.reason, self.by, self.expired = status, reason, by, False


@dataclass(eq=False)
class Task:
    id: int
    plan: int
    cursor: Cursor | None
    lo: int
    hi: int
    generation: int
    status: str = "QUEUED"
    reason: str | None = None
    attempt: int = 1
    failures: int = 0
    losses: int = 0
    held: bool = False
    priority: int = 5
    pool: str = "default"
    key: str | None = None
    waiting: bool = False
    due: bool = True
    late: bool = False
    max_attempts: int = 5
    max_losses: int = 10
    batch_no: int = 0
    walk: int = 1
    cancel: bool = False
    superseded: bool = False
    gate: str | None = None  # plan:ID or cursor:ID:BOUND
    bad: tuple[int, bool] | None = None  # the page that it failed at: its row, whether it is the last one
    passed_over: bool = False  # the last batch is a skipped page
    stored: list[int] = field(default_factory=list)  # what its walk has brought, in order
    runs: list[Run] = field(default_factory=list)
    walk_runs: int = 0  # runs of earlier walks, whose checkpoints count no more
    walk_batch: int = 0  # batches of earlier walks

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def run(self) -> Run | None:
        return self.runs[-1] if self.runs and self.runs[-1].attempt == self.attempt else None

    @property
    def window(self) -> set[int]:
        return set(range(self.lo, self.hi))

    def last(self) -> Run | None:
        """The newest run of this walk."""
        return self.runs[-1] if len(self.runs) > self.walk_runs else None

    def stored_pages(self) -> bool:
        """Whether this walk has committed any."""
        last = self.last()
        return last is not None and last.batch_no > self.walk_batch

    @property
    def position(self) -> int:
        """The id of the next row that a run would read."""
        last = self.last()
        return self.lo if last is None or last.checkpoint is None else last.checkpoint


@dataclass(eq=False)
class Cursor:
    id: int
    table: str
    merge: bool
    ordered: bool
    generation: int = 1
    held: bool = False
    events: int = 0
    folded: dict[int, set[int]] = field(default_factory=dict)
    loose: dict[int, set[int]] = field(default_factory=dict)  # finished, not folded yet

    def covered(self, generation: int) -> set[int]:
        return self.folded.get(generation, set()) | self.loose.get(generation, set())

    @property
    def mark(self) -> int:
        at = 0
        while at in self.folded.get(1, ()):
            at += 1
        return at


@dataclass(eq=False)
class Plan:
    id: int
    status: str = "ACTIVE"


def parts(units: Collection[int]) -> list[tuple[int, int]]:
    """Units as half-open intervals, ascending."""
    out: list[tuple[int, int]] = []
    for each in sorted(units):
        if out and out[-1][1] == each:
            out[-1] = (out[-1][0], each + 1)
        else:
            out.append((each, each + 1))
    return out


def cut(units: Collection[int], step: int) -> list[tuple[int, int]]:
    """Units in slices of an aligned step."""
    out: list[tuple[int, int]] = []
    for lo, hi in parts(units):
        points = [lo, *range(lo - lo % step + step, hi, step), hi]
        out.extend(pairwise(points))
    return out


class Model:
    """Every verb returns what the ledger answers, or raises RefusedError and changes nothing."""

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}
        self.gates: dict[str, Task] = {}
        self.plans: dict[int, Plan] = {}
        self.cursors: dict[int, Cursor] = {}
        self.edges: dict[tuple[int, int], tuple[str, bool]] = {}  # child, parent: kind, satisfied
        self.mutexes: dict[str, int] = {}  # slots
        self.pools: dict[str, int | None] = {"default": None}
        self.workers: dict[str, str] = {}
        self.rows: dict[str, Counter[int]] = {}
        self.skipped: dict[str, set[int]] = defaultdict(set)  # ids of pages that an operator passed over
        self.admitting: set[str] = set()  # keys whose free places this step has given away

    # Questions --------------------------------------------------------------------------------------------------------

    def everything(self) -> list[Task]:
        """Tasks and gates, ascending by id, gates first."""
        return [*sorted(self.gates.values(), key=lambda gate: gate.id), *self.tasks.values()]

    def by_id(self, task: int) -> Task:
        return self.tasks[task] if task in self.tasks else next(g for g in self.gates.values() if g.id == task)

    def unmet(self, task: Task) -> int:
        return sum(not done for (child, _), (_, done) in self.edges.items() if child == task.id)

    def children(self, task: Task, *, open_only: bool = True) -> list[Task]:
        """Who needs its success and has not got it."""
        return [
            self.tasks[child]
            for (child, parent), (kind, done) in self.edges.items()
            if parent == task.id and kind == "ALL_SUCCEEDED" and not (open_only and done)
        ]

    def missing(self, cursor: Cursor, generation: int, lo: int, hi: int) -> set[int]:
        out = set(range(lo, hi)) - cursor.covered(generation)
        for task in self.tasks.values():
            if task.cursor is cursor and task.generation == generation and task.live:
                out -= task.window
        return out

    def running(self, pool: str) -> list[Task]:
        return [task for task in self.tasks.values() if task.status == "RUNNING" and task.pool == pool]

    def set_worker(self, name: str, status: str) -> bool:
        """A stop is for the workers that are there; a quarantine is kept under the name until it is released."""
        if status == "DRAINING":
            there = [known for known in WORKERS if known == name or known.startswith(f"{name}:")]
            changed = [known for known in there if self.workers.get(known) != "DRAINING"]
        elif status == "ACTIVE":
            known = [other for other in self.workers if other == name or other.startswith(f"{name}:")]
            changed = [other for other in known if self.workers[other] != "ACTIVE"]
        else:
            changed = [name] if self.workers.get(name) != status else []
        self.workers.update(dict.fromkeys(changed, status))
        return bool(changed)

    def wish(self, worker: str) -> str | None:
        host, pid, _ = worker.split(":")
        wishes = {self.workers.get(name) for name in (worker, f"{host}:{pid}", host)}
        return next((each for each in ("DRAINING", "QUARANTINED") if each in wishes), None)

    def claimable(self) -> list[Task]:
        return [
            t
            for t in self.tasks.values()
            if t.status == "QUEUED" and t.due and not (t.waiting or t.held or t.late or self.unmet(t))
        ]

    def eligible(self, key: str) -> list[Task]:
        """Who could be admitted to a mutex."""
        return [
            t
            for t in self.tasks.values()
            if t.key == key and t.waiting and t.status == "QUEUED" and t.due and not t.held and not self.unmet(t)
        ]

    def admitted(self, key: str) -> int:
        return sum(task.key == key and task.live and not task.waiting for task in self.tasks.values())

    def find(self, of: dict[str, int], states: Iterable[str]) -> list[Task]:
        ((kind, number),) = of.items()
        if kind == "task":
            return [self.tasks[number]]
        return [
            t
            for t in self.tasks.values()
            if t.status in states and (t.plan if kind == "plan" else t.cursor.id if t.cursor else 0) == number
        ]

    # Exits ------------------------------------------------------------------------------------------------------------

    def _leave(
        self, tasks: list[Task], want: str, reason: str, *, failures: int = 0, losses: int = 0, due: bool = True
    ) -> list[Task]:
        moved = [task for task in tasks if task.live]
        for task in moved:
            status = "CANCELLED" if want == "QUEUED" and task.cancel else want
            batch_no = task.run.batch_no if task.run else task.batch_no
            if batch_no > task.batch_no:
                task.failures = task.losses = 0
            task.failures += failures
            task.losses += losses
            task.batch_no = batch_no
            task.status = status
            task.reason = "CANCELLED" if status != want else "PAUSED" if status == "QUEUED" and task.held else reason
            task.waiting = status == "QUEUED" and task.key is not None
            if task.key:
                self.admitting.add(task.key)
            if status == "QUEUED":
                task.attempt += 1
                task.due = due
            for (child, parent), (kind, done) in list(self.edges.items()):
                over = status == "SUCCEEDED" or (kind == "ALL_RESOLVED" and status in FALLEN)
                if parent == task.id and not done and over:
                    self.edges[child, parent] = (kind, True)
                    if key := self.tasks[child].key:
                        self.admitting.add(key)
        return moved

    def leave(self, tasks: list[Task], want: str, reason: str, **more: Any) -> list[Task]:
        moved = self._leave(tasks, want, reason, **more)
        below: dict[int, Task] = {}
        front = [task for task in moved if task.status in FALLEN]
        while front:
            for child in self.children(front.pop()):
                if child.id not in below:
                    below[child.id] = child
                    front.append(child)
        doomed = [task for task in below.values() if task.status == "QUEUED"]
        return moved + self._leave(doomed, "FAILED", "UPSTREAM_FAILED")

    def close_plans(self, plans: Iterable[int]) -> None:
        waiting = set(plans) - {0}
        while waiting:
            waiting |= self._close(min(waiting))[1] - {0}
            waiting.remove(min(waiting))

    def _close(self, number: int) -> tuple[str | None, set[int]]:
        plan = self.plans[number]
        own = [t for t in self.tasks.values() if t.plan == number]
        if plan.status != "ACTIVE" or any(t.live for t in own):
            return None, {number}
        states = [t.status for t in own if t.reason != "SPLIT"]
        good = states.count("SUCCEEDED")
        if not states:
            plan.status = "CANCELLED"
        elif good:
            plan.status = "SUCCEEDED" if good == len(states) else "PARTIAL"
        else:
            plan.status = "FAILED" if "FAILED" in states else "CANCELLED"
        gate = self.gates.get(f"plan:{number}")
        if gate is None or gate.status != "QUEUED":
            return plan.status, {number}
        end = plan.status if plan.status in ("SUCCEEDED", "CANCELLED") else "FAILED"
        left = self.leave([gate], end, "DONE" if end == "SUCCEEDED" else end)
        return plan.status, {number, *(task.plan for task in left)}

    def close_plan(self, number: int) -> str | None:
        status, fallen = self._close(number)
        self.close_plans(fallen - {number})
        return status

    def open_gates(self, cursor: Cursor | None = None) -> None:
        for gate in list(self.gates.values()):
            if (
                gate.cursor
                and cursor in (None, gate.cursor)
                and gate.status == "QUEUED"
                and gate.lo <= gate.cursor.mark
            ):
                self.leave([gate], "SUCCEEDED", "DONE")

    def fold(self, cursor: Cursor) -> int:
        events = 0
        for generation, units in sorted(cursor.loose.items()):
            if not units:
                continue
            for into in {generation, 1}:
                cursor.folded[into] = cursor.folded.get(into, set()) | units
            events += 1
        cursor.loose.clear()
        cursor.events += events
        if events:
            self.open_gates(cursor)
        return events

    def fold_all(self) -> int:
        return sum(self.fold(cursor) for cursor in self.cursors.values())

    # Runs -------------------------------------------------------------------------------------------------------------

    def claim(self, task: Task, worker: str) -> Run:
        last = task.last()
        task.status = "RUNNING"
        run = Run(task, task.attempt, worker, task.batch_no, None, None)
        if last is not None:
            run.checkpoint, run.reached = last.checkpoint, last.reached
        task.runs.append(run)
        return run

    def _fence(self, run: Run, error: str = "LeaseLost") -> Task:
        if run.status != "LIVE":
            raise RefusedError(error)
        return run.task

    def store(self, run: Run, ids: Iterable[int], checkpoint: int | None, reached: int | None) -> None:
        """A committed page. The caller has asked whether the run is to end."""
        task = self._fence(run)
        assert task.cursor is not None
        rows = self.rows.setdefault(task.cursor.table, Counter())
        for each in ids:
            rows[each] = 1 if task.cursor.merge else rows[each] + 1
            task.stored.append(each)
        run.batch_no += 1
        run.expired = False
        task.passed_over = False
        if checkpoint is not None:
            run.checkpoint = checkpoint
        run.reached = reached

    def cover(self, task: Task, hi: int) -> None:
        assert task.cursor is not None
        task.cursor.loose.setdefault(task.generation, set()).update(range(task.lo, hi))

    def done(self, run: Run) -> None:
        """After its last page."""
        run.end("SUCCEEDED", "DONE", run.worker)
        self.cover(run.task, run.task.hi)
        self.leave([run.task], "SUCCEEDED", "DONE")

    def end_cancelled(self, run: Run) -> None:
        task = self._fence(run)
        run.end("CANCELLED", "CANCELLED", OPERATOR)
        left = self.leave([task], "CANCELLED", "CANCELLED")
        self.close_plans({each.plan for each in left} - {task.plan})

    def give_back(self, run: Run, reason: str, by: str, *, due: bool) -> str:
        if (run.status, run.reason, run.by) == ("YIELDED", reason, by):
            return run.task.status
        task = self._fence(run)
        run.end("YIELDED", reason, by)
        self.leave([task], "QUEUED", reason, due=due)
        return task.status

    def fail(self, run: Run, reason: str, bad: tuple[int, bool] | None, *, retryable: bool, due: bool) -> str:
        if (run.status, run.reason, run.by) == ("FAILED", reason, run.worker):
            return run.task.status
        task = self._fence(run)
        failures = 1 + (0 if run.batch_no > task.batch_no else task.failures)
        spent = not retryable or failures >= task.max_attempts
        run.end("FAILED", reason, run.worker)
        task.bad = bad
        left = self.leave(
            [task], "FAILED" if spent else "QUEUED", reason if spent else "BACKING_OFF", failures=1, due=due
        )
        self.close_plans({each.plan for each in left} - {task.plan})
        return task.status

    def restart_walk(self, run: Run) -> None:
        task = self._fence(run)
        assert task.cursor is not None
        if not task.cursor.merge:
            self.rows.setdefault(task.cursor.table, Counter()).subtract(task.stored)
        task.stored.clear()
        run.end("YIELDED", "RESTART", run.worker)
        task.walk += 1
        self.leave([task], "QUEUED", "RESTART")
        task.walk_runs, task.walk_batch = len(task.runs), task.batch_no

    def reap(self) -> dict[str, int]:
        """The pause of lost tasks is the caller's business: they are not due."""
        out = Counter(lost=0, cancelled=0, failed=0, folded=0)
        plans: set[int] = set()
        for task in list(self.tasks.values()):
            run = task.run
            if task.status != "RUNNING" or run is None or not run.expired:
                continue
            losses = 1 + (0 if run.batch_no > task.batch_no else task.losses)
            run.end("LOST", "LEASE_LOST", "reaper")
            spent = losses >= task.max_losses and not task.cancel
            left = self.leave([task], "FAILED" if spent else "QUEUED", "LEASE_LOST", losses=1, due=False)
            plans |= {each.plan for each in left}
            out["lost" if task.status == "QUEUED" else task.status.lower()] += 1
        late = [task for task in self.tasks.values() if task.status == "QUEUED" and task.late]
        out["failed"] += len(late)
        plans |= {each.plan for each in self.leave(late, "FAILED", "DEADLINE")}
        self.admitting |= set(self.mutexes)
        self.open_gates()
        self.close_plans(plans | set(self.plans))
        out["folded"] = self.fold_all()
        return dict(out)

    # Operators --------------------------------------------------------------------------------------------------------

    def cancel(self, of: dict[str, int]) -> list[tuple[int, str]]:
        tasks = self.find(of, LIVE)
        asked = [task for task in tasks if task.live and not task.cancel]
        for task in asked:
            task.cancel = True
        running = [task for task in asked if task.status == "RUNNING"]
        left = self.leave([task for task in asked if task.status == "QUEUED"], "CANCELLED", "CANCELLED")
        self.close_plans(task.plan for task in left)
        return [(task.id, task.status) for task in (*left, *running)]

    def hold(self, of: dict[str, int], held: bool) -> list[tuple[int, str]]:
        """Pause and resume."""
        if "cursor" in of:
            self.cursors[of["cursor"]].held = held
        moved = [task for task in self.find(of, LIVE) if task.live and task.held != held]
        for task in moved:
            if task.key and (not held or (task.status == "QUEUED" and not task.waiting)):
                self.admitting.add(task.key)
            task.held = held
            if task.status == "QUEUED":
                task.reason = "PAUSED" if held else "DUE"
                task.waiting = task.key is not None if held else task.waiting
        return [(task.id, task.status) for task in moved]

    def trigger(self, of: dict[str, int]) -> list[tuple[int, str]]:
        moved = [task for task in self.find(of, LIVE) if task.status == "QUEUED" and not task.due]
        for task in moved:
            task.due, task.reason = True, "DUE"
            if task.key:
                self.admitting.add(task.key)
        return [(task.id, task.status) for task in moved]

    def set_priority(self, of: dict[str, int], priority: int) -> list[tuple[int, str]]:
        moved = [task for task in self.find(of, LIVE) if task.live and task.priority != priority]
        for task in moved:
            task.priority = priority
        return [(task.id, task.status) for task in moved]

    def _whole(self, task: Task) -> bool:
        """Whether its whole window is still missing."""
        return task.cursor is None or self.missing(task.cursor, task.generation, task.lo, task.hi) == task.window

    def _stays_fallen(self, task: Task) -> bool:
        return any(
            child == task.id and kind == "ALL_SUCCEEDED" and not done and self.by_id(parent).status in FALLEN
            for (child, parent), (kind, done) in self.edges.items()
        )

    def _queue_again(self, task: Task) -> bool:
        if self._stays_fallen(task) or task.status not in FALLEN:
            return False
        task.status, task.reason, task.attempt = "QUEUED", "RETRIED", task.attempt + 1
        task.failures = task.losses = 0
        task.cancel, task.due, task.waiting = False, True, task.key is not None
        task.held = task.cursor.held if task.cursor else task.held
        if task.key:
            self.admitting.add(task.key)
        return True

    def _fell_with(self, tasks: list[Task]) -> list[Task]:
        found = {task.id: task for task in tasks}
        front = list(tasks)
        while front:
            task = front.pop()
            below = [c for c in self._needing(task) if (c.status, c.reason) == ("FAILED", "UPSTREAM_FAILED")]
            gate = self.gates.get(f"plan:{task.plan}") if task.plan else None
            for each in (*below, *([gate] if gate and gate.status in FALLEN else [])):
                if each.id not in found:
                    found[each.id] = each
                    front.append(each)
        return [found[each] for each in sorted(found)]

    def _needing(self, task: Task) -> list[Task]:
        return [self.tasks[child] for child, parent in self.edges if parent == task.id]

    def retry(self, of: dict[str, int]) -> list[int]:
        queued, found = self._queue_closed(of)
        self._let_go(found)
        return queued

    def _let_go(self, tasks: list[Task]) -> None:
        for cursor in {task.cursor.id: task.cursor for task in tasks if task.cursor}.values():
            self.fold(cursor)
        self.close_plans(task.plan for task in tasks)

    def _queue_closed(self, of: dict[str, int]) -> tuple[list[int], list[Task]]:
        """The tasks that are queued again, and all that were found closed."""
        wanted = self.find(of, FALLEN)
        found = self._fell_with(wanted)
        closed = [task for task in found if task.status in FALLEN and not task.gate]
        tasks = []
        for task in closed:
            if not task.superseded and self._whole(task):
                tasks.append(task)
            elif task.id == of.get("task"):
                raise RefusedError("Conflict")
        own = {f"plan:{task.plan}" for task in tasks}
        gates = [task for task in found if task.gate in own and task.status in FALLEN]
        before = [(gate, dict(vars(gate))) for gate in gates]
        again = [task for task in sorted((*tasks, *gates), key=lambda each: each.id) if self._queue_again(task)]
        queued = [task.id for task in again if not task.gate]
        if not queued and any(self._stays_fallen(task) for task in tasks):
            for gate, was in before:
                vars(gate).update(was)
            raise RefusedError("Conflict")
        for task in closed:
            self.plans[task.plan].status = "ACTIVE"
        return queued, closed

    def skip(self, task: Task) -> tuple[int, str]:
        if task.bad is None:
            if not task.passed_over:
                raise RefusedError("Conflict")
            if task.live or task.status == "SUCCEEDED":
                self._let_go([task])
            return task.batch_no, task.status
        row, last = task.bad
        if task.status in ("RUNNING", "SUCCEEDED") or task.position != row or self._stays_fallen(task):
            raise RefusedError("Conflict")
        held = [task]
        if task.status in FALLEN:
            held = self._queue_closed({"task": task.id})[1]
        run = self.claim(task, OPERATOR)
        run.batch_no += 1
        run.checkpoint, run.reached = row + 1, None
        batch_no = run.batch_no
        assert task.cursor is not None
        self.skipped[task.cursor.table].add(row)
        task.bad, task.passed_over = None, True
        if last:
            self.done(run)
        else:
            run.end("YIELDED", "SKIPPED", OPERATOR)
            self.leave([task], "QUEUED", "SKIPPED")
        self._let_go(held)
        return batch_no, "SUCCEEDED" if last else "QUEUED"
