"""Planning and splitting in plain Python: which slices a window still needs, and for whom they wait.

Both go in two steps, because the database gives the ids: `prepare` says what is to come or raises RefusedError,
`write` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from queue_model import FALLEN, LIVE, OPERATOR, Cursor, Model, Plan, RefusedError, Run, Task, cut

Bounds = tuple[int, int]


@dataclass
class Need:
    """What a plan is to wait for: a plan, a task or a cursor, by id."""

    kind: str
    id: int
    resolved: bool


@dataclass
class Work:
    generation: int
    reopened: list[Task] = field(default_factory=list)
    slices: list[Bounds] = field(default_factory=list)
    superseded: list[Task] = field(default_factory=list)
    parents: list[tuple[Task, str]] = field(default_factory=list)
    fallen: bool = False
    gates: list[Task] = field(default_factory=list)  # that have to be made
    revived: list[Task] = field(default_factory=list)  # gates that had fallen
    reason: str | None = None
    status: str = "ACTIVE"

    def __bool__(self) -> bool:
        return bool(self.reopened or self.slices)


@dataclass
class Split:
    task: Task
    work: Work
    reached: int | None  # what it has brought ends here


class Planner(Model):
    def lay_out(
        self, cursor: Cursor, generation: int, window: Bounds, step: int, only: str, leaving: Task | None = None
    ) -> Work:
        """`leaving`: a live task that is cut anew."""
        lo, hi = window
        work = Work(generation)
        missing = self.missing(cursor, generation, lo, hi)
        if leaving is not None:
            missing |= leaving.window & set(range(lo, hi))
        closed = [t for t in self._closed(cursor, generation, window, leaving) if t.window & missing]
        rest = set(missing)
        for task in closed:
            whole = task.batch_no > 0 or (only == "failed" and task.status == "FAILED")
            if whole and not task.superseded and task is not leaving:
                work.reopened.append(task)
                rest -= task.window
        if only == "failed":
            work.reopened = [task for task in work.reopened if task.status == "FAILED"]
            return work
        known = {(task.lo, task.hi): task for task in closed}
        for bounds in cut(rest, step):
            if bounds in known:
                work.reopened.append(known[bounds])
            else:
                work.slices.append(bounds)
        work.superseded = [
            task
            for task in closed
            if not (task.superseded or task.batch_no or task is leaving or task in work.reopened) and task.window & rest
        ]
        return work

    def _closed(self, cursor: Cursor, generation: int, window: Bounds, leaving: Task | None = None) -> list[Task]:
        found = [
            t
            for t in self.tasks.values()
            if t.cursor is cursor and t.generation == generation and (t.status in FALLEN or t is leaving)
        ]
        return [t for t in sorted(found, key=lambda t: (t.lo, t.id)) if t.lo < window[1] and t.hi > window[0]]

    # Plans ------------------------------------------------------------------------------------------------------------

    def prepare_plan(self, cursor: Cursor, window: Bounds, step: int, only: str, needs: Sequence[Need]) -> Work:
        lo, hi = window
        generation = 1
        if only == "all":
            if not cursor.merge and self.begun(cursor):
                raise RefusedError("ConfigError")
            generation = cursor.generation + 1 if cursor.merge else 1
        if only == "failed" and cursor.generation > 1 and lo < hi:
            newest = self._closed(cursor, cursor.generation, window)
            if any(task.status == "FAILED" and not task.superseded for task in newest):
                generation = cursor.generation
        work = self.lay_out(cursor, generation, window, step, only)
        if work:
            self._need(work, cursor, window, needs)
            return work
        flying = any(
            t.cursor is cursor and t.generation == generation and t.live and t.lo < hi and t.hi > lo
            for t in self.tasks.values()
        )
        work.status = "SUCCEEDED"
        work.reason = (
            "EMPTY_WINDOW"
            if lo >= hi
            else "NOTHING_FAILED"
            if only == "failed"
            else "IN_FLIGHT"
            if flying
            else "NOTHING_MISSING"
        )
        return work

    def begun(self, cursor: Cursor) -> bool:
        """Whether a reread could store again what a target in append mode holds."""
        tasks = [task for task in self.tasks.values() if task.cursor is cursor]
        return cursor.events > 0 or any(cursor.loose.values()) or any(task.live or task.batch_no for task in tasks)

    def _need(self, work: Work, cursor: Cursor, window: Bounds, needs: Sequence[Need]) -> None:
        wanted: dict[str, tuple[Task, bool]] = {}
        for need in needs:
            found = self._parent(need, cursor, window, work)
            if found is not None:
                name, parent = found
                wanted[name] = (parent, wanted.get(name, (parent, True))[1] and need.resolved and need.kind != "cursor")
        for parent, any_end in wanted.values():
            status = "QUEUED" if parent in work.revived else parent.status
            if status == "SUCCEEDED" or (any_end and status in FALLEN):
                continue
            work.parents.append((parent, "ALL_RESOLVED" if any_end else "ALL_SUCCEEDED"))
            work.fallen = work.fallen or status in FALLEN
        if not work.parents:
            return
        named = [need.id for need in needs if need.kind == "task"]
        if work.reopened and named and max(named) > min(task.id for task in work.reopened):
            raise RefusedError("ConfigError")
        if self._circle([parent for parent, _ in work.parents], cursor, window[0], work.reopened):
            raise RefusedError("ConfigError")

    def _parent(self, need: Need, cursor: Cursor, window: Bounds, work: Work) -> tuple[str, Task] | None:
        if need.kind == "task":
            return f"task:{need.id}", self.tasks[need.id]
        if need.kind == "plan":
            status = self.plans[need.id].status
            if status == "SUCCEEDED" or (need.resolved and status != "ACTIVE"):
                return None
            name = f"plan:{need.id}"
            fresh = Task(0, 0, None, 0, 0, 0, gate=name, held=True, pool="", reason="DEPENDENCY")
            if status != "ACTIVE":
                fresh.status = fresh.reason = "FAILED"
        else:
            source = self.cursors[need.id]
            if source is cursor:
                raise RefusedError("ConfigError")
            if source.mark >= window[1]:
                return None
            name = f"cursor:{need.id}:{window[1]}"
            fresh = Task(0, 0, source, window[1], window[1], 0, gate=name, held=True, pool="", reason="DEPENDENCY")
        known = self.gates.get(name) or next((gate for gate in work.gates if gate.gate == name), None)
        if known is None:
            work.gates.append(fresh)
        elif known.status in FALLEN and fresh.status == "QUEUED":
            work.revived.append(known)  # its plan is open again
        return name, known or fresh

    def _circle(self, front: list[Task], cursor: Cursor, lo: int, older: list[Task]) -> bool:
        """Whether one of `front` waits, through whatever others, for `older` or for a bound of `cursor` beyond `lo`."""
        seen: list[Task] = []
        while front:
            task = front.pop()
            if task in seen:
                continue
            seen.append(task)
            if task in older or (task.gate and task.cursor is cursor and task.lo > lo):
                return True
            front += [self.by_id(p) for (c, p), (_, done) in self.edges.items() if c == task.id and not done]
            if not task.gate:
                continue
            for other in self.tasks.values():
                if not self.unmet(other) and other not in older:
                    continue
                if task.cursor is None and other.plan == int(task.gate[5:]) and other.status != "SUCCEEDED":
                    front.append(other)
                if task.cursor is not None and other.cursor is task.cursor and other.live and other.lo < task.lo:
                    front.append(other)
        return False

    def write_plan(
        self,
        work: Work,
        number: int,
        cursor: Cursor,
        ids: Sequence[int],
        gates: dict[str, int],
        needs: Sequence[Need],
        only: str,
        **settings: Any,
    ) -> str:
        """Returns the plan's status. `ids` are those of the new tasks, `gates` those of all gates."""
        if only == "all":
            cursor.generation = work.generation
        self.plans[number] = Plan(number, work.status)
        for gate in work.gates:
            assert gate.gate is not None
            gate.id = gates[gate.gate]
            self.gates[gate.gate] = gate
        for gate in work.revived:
            gate.status, gate.reason, gate.attempt = "QUEUED", "DEPENDENCY", gate.attempt + 1
        for task in work.superseded:
            task.superseded = True
        for task in work.reopened:
            self.edges = {edge: is_ for edge, is_ in self.edges.items() if edge[0] != task.id}
            self._reopen(task, number, cursor.held, settings)
        made = [
            Task(each, number, cursor, lo, hi, work.generation, held=cursor.held, **settings)
            for each, (lo, hi) in zip(ids, work.slices, strict=True)
        ]
        for task in made:
            self.tasks[task.id] = task
            task.waiting = task.key is not None
            if task.held:
                task.reason = "PAUSED"
            elif work.parents:
                task.reason = "DEPENDENCY"
            if work.fallen:
                task.status, task.reason = "FAILED", "UPSTREAM_FAILED"
        for task in (*work.reopened, *made):
            for parent, kind in work.parents:
                self.edges[task.id, parent.id] = (kind, False)
            if task.status == "QUEUED" and work.parents and task in work.reopened:
                task.reason = "DEPENDENCY"
        if work.fallen:
            self.leave(work.reopened, "FAILED", "UPSTREAM_FAILED")
        if work and settings.get("key"):
            self.admitting.add(settings["key"])
        self.fold(cursor)
        for need in needs:
            if need.kind == "cursor":
                self.open_gates(self.cursors[need.id])
        if needs:
            self.close_plan(number)
        return self.plans[number].status

    def _reopen(self, task: Task, plan: int, held: bool, settings: dict[str, Any]) -> None:
        task.plan, task.status, task.reason, task.attempt = plan, "QUEUED", "REOPENED", task.attempt + 1
        task.failures = task.losses = 0
        task.cancel, task.superseded, task.held = False, False, held
        for name, value in settings.items():
            setattr(task, name, value)
        task.waiting = task.key is not None

    # Split ------------------------------------------------------------------------------------------------------------

    def prepare_split(self, task: Task, step: int) -> Split:
        needed = any(parent == task.id and not done for (_, parent), (_, done) in self.edges.items())
        if task.status not in LIVE or task.cancel or needed:
            raise RefusedError("Conflict")
        last: Run | None = task.last()
        reached = None
        if last is not None and task.stored_pages():
            if last.reached is None:
                raise RefusedError("Conflict")
            reached = last.reached
        rest = task.lo if reached is None else reached
        assert task.cursor is not None
        work = self.lay_out(task.cursor, task.generation, (rest, task.hi), step, "missing", task)
        if work.reopened and self.unmet(task):
            raise RefusedError("Conflict")
        return Split(task, work, reached)

    def write_split(self, split: Split, ids: Sequence[int]) -> list[int]:
        """Returns the ids of the tasks that hold what is left."""
        task, work = split.task, split.work
        assert task.cursor is not None
        inherited = {parent: is_ for (child, parent), is_ in self.edges.items() if child == task.id}
        settings = {name: getattr(task, name) for name in ("priority", "pool", "key", "due", "late")}
        settings |= {"max_attempts": task.max_attempts, "max_losses": task.max_losses}
        held = task.held
        if task.status == "RUNNING":
            assert task.run is not None
            task.run.end("CANCELLED", "SPLIT", OPERATOR)
        if split.reached is not None and split.reached > task.lo:
            self.cover(task, split.reached)
        settings["due"] = settings["due"] or task.status == "RUNNING"
        self.leave([task], "CANCELLED", "SPLIT")
        task.superseded = True
        for other in work.superseded:
            other.superseded = True
        for other in work.reopened:
            self.edges = {edge: is_ for edge, is_ in self.edges.items() if edge[0] != other.id}
            self._reopen(other, task.plan, held, settings)
        for each, (lo, hi) in zip(ids, work.slices, strict=True):
            made = Task(each, task.plan, task.cursor, lo, hi, work.generation, held=held, **settings)
            made.waiting = made.key is not None
            self.tasks[each] = made
            self.edges |= {(each, parent): is_ for parent, is_ in inherited.items()}
            made.reason = "PAUSED" if held else "DEPENDENCY" if self.unmet(made) else None
        if task.key and (work.slices or work.reopened):
            self.admitting.add(task.key)
        self.fold(task.cursor)
        plan = task.plan
        self.close_plan(plan)
        return [*sorted(other.id for other in work.reopened), *ids]
