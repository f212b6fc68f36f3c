"""The verbs of the queue as rules of a hypothesis machine, each done by the ledger and by the model, and compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from fix_ledger import page, request
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from queue_comparison import SOURCES, Bench, Comparison, target_of
from queue_model import FALLEN, LIVE, OPERATOR, WORKERS, Cursor, RefusedError, Run, Task
from queue_planner import Need, Planner

from strandline import _core
from strandline.errors import Cancelled, ConfigError, Conflict, LeaseLost

HOUR = 3_600_000_000
SPACE = 48  # ids of a source

number = st.integers(0, 11)
subject = st.tuples(st.sampled_from(("task", "task", "task", "plan", "cursor")), number)


class Machine(RuleBasedStateMachine):
    model_class: type[Planner] = Planner

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench, self.database = bench, bench.database
        self.model = self.model_class()
        self.native: dict[Run, _core.Run] = {}
        self.comparison = Comparison(bench.database, self.model)
        self.steps = 0
        self.sound = False  # whether the last step ended well
        self.ledgers: list[_core.Ledger] = []

    @initialize(
        first=st.integers(0, 2),
        step=st.sampled_from((4, 8)),
        limits=st.tuples(st.integers(1, 3), st.integers(1, 2)),
        waits=st.sampled_from((None, "task", "plan", "cursor")),
    )
    def begin(self, first: int, step: int, limits: tuple[int, int], waits: str | None) -> None:
        """Two plans stand; the second one may wait for the first, its stream, or a task of it."""
        self.bench.clean()
        self.ledgers = [_core.Ledger(self.bench.dsn) for _ in WORKERS]
        for ledger, worker in zip(self.ledgers, WORKERS, strict=True):
            host, pid, _ = worker.split(":")
            ledger.register_worker(worker, host, int(pid), "1", ["default"])
            self.model.workers[worker] = "ACTIVE"
        for name, table, merge, ordered in SOURCES:
            made = self.ledger.plan(self.request(name, (0, 0), 4))
            assert (made["status"], made["reason_code"]) == ("SUCCEEDED", "EMPTY_WINDOW")
            cursor = Cursor(made["cursor_id"], table, merge, ordered)
            self.model.cursors[cursor.id] = cursor
            self.model.write_plan(
                self.model.prepare_plan(cursor, (0, 0), 4, "missing", []), made["plan_id"], cursor, [], {}, [], ""
            )
        self.check()
        of = {"task": 0, "plan": len(SOURCES), "cursor": first}
        for source, needs in ((first, []), ((first + 1) % 3, [(waits, of[waits], False)] if waits else [])):
            self.plan(source, 0, 2, step, "missing", needs, None, None, "default", 5, False, False, limits)

    def teardown(self) -> None:
        try:
            if self.sound:
                self.let_everything_end()
        finally:
            for ledger in self.ledgers:
                ledger.close()

    # Means ------------------------------------------------------------------------------------------------------------

    @property
    def ledger(self) -> _core.Ledger:
        """Operators use either connection in turn."""
        return self.ledgers[self.steps % len(self.ledgers)]

    def request(self, source: str, window: tuple[int, int], step: int, **changes: Any) -> dict[str, Any]:
        target = target_of(next(table for name, table, _, _ in SOURCES if name == source))
        return request(
            *window,
            step=step,
            provenance={"code": source, "reference": "tests:Any", "version": "1", "config": {}, "labels": {}},
            stream={"name": target["table"], **target, "columns": None, "contract": {}},
            trigger={"scheduler": "MANUAL", "job": source, "log": None, "type": "MANUAL"},
            **changes,
        )

    def pick(self, found: Sequence[Any], at: int) -> Any:
        return found[at % len(found)]

    def of(self, wanted: tuple[str, int], states: Sequence[str] = LIVE) -> dict[str, int]:
        """A subject; a task mostly in one of the states to which the verb does something."""
        kind, at = wanted
        tasks = [t.id for t in self.model.tasks.values() if at == 0 or t.status in states] or list(self.model.tasks)
        known = {"task": tasks, "plan": list(self.model.plans), "cursor": list(self.model.cursors)}[kind]
        return {kind: self.pick(known, at)}

    def runs(self, *, live: bool = True) -> list[Run]:
        return [run for run in self.native if (run.status == "LIVE") or not live]

    def some_run(self, at: int, *, live: bool = True) -> Run | None:
        """A run, claimed now if need be: most rules want one."""
        if not self.runs():
            able = [worker for worker, name in enumerate(WORKERS) if not self.model.wish(name)]
            due = self.model.claimable()
            if able and due:
                self.claim(self.pick(able, at), 1 + at % 4, self.pick(due, at).pool)
        known = self.runs(live=live)
        return self.pick(known, at) if known else None

    def both(self, verb: Callable[[], Any], rule_: Callable[[], Any]) -> tuple[Any, Any]:
        """The answer of the ledger and the model's, or twice the name of the error."""
        self.sound = False
        try:
            answer = verb()
        except (Conflict, ConfigError, LeaseLost, Cancelled) as error:
            answer = type(error).__name__
            note(f"{answer}: {error}")
        try:
            expected = rule_()
        except RefusedError as error:
            expected = error.args[0]
        return answer, expected

    def check(self) -> None:
        self.steps += 1
        self.sound = False
        self.comparison.check()
        if self.steps % 25 == 0:
            assert self.ledger.verify() == []
        self.sound = True

    def same(self, verb: Callable[[], Any], rule_: Callable[[], Any]) -> Any:
        answer, expected = self.both(verb, rule_)
        assert answer == expected
        self.check()
        return answer

    # Planning ---------------------------------------------------------------------------------------------------------

    @rule(
        source=st.integers(0, 2),
        start=st.integers(0, 9),
        length=st.integers(1, 6),
        step=st.sampled_from((4, 6, 12)),
        only=st.sampled_from(("missing", "missing", "missing", "missing", "failed", "all")),
        needs=st.lists(st.tuples(st.sampled_from(("task", "plan", "cursor")), number, st.booleans()), max_size=2),
        key=st.sampled_from((None, None, "api", "disk")),
        slots=st.sampled_from((None, None, 1, 2)),
        pool=st.sampled_from(("default", "default", "other")),
        priority=st.sampled_from((5, 5, 1, 9)),
        waits=st.sampled_from((False, False, False, True)),
        late=st.sampled_from((*[False] * 15, True)),
        limits=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    )
    def plan(
        self,
        source: int,
        start: int,
        length: int,
        step: int,
        only: str,
        needs: list[tuple[str, int, bool]],
        key: str | None,
        slots: int | None,
        pool: str,
        priority: int,
        waits: bool,
        late: bool,
        limits: tuple[int, int],
    ) -> None:
        cursor = list(self.model.cursors.values())[source]
        window = (start * 4, min(SPACE, start * 4 + length * 4))
        wanted = []
        for kind, at, resolved in needs:
            known = {"task": list(self.model.tasks), "plan": list(self.model.plans), "cursor": list(self.model.cursors)}
            wanted.append(Need(kind, self.pick(known[kind], at), resolved))
        max_attempts, max_losses = limits
        asked = self.request(
            SOURCES[source][0],
            window,
            step,
            only=only,
            depends_on=[{need.kind: need.id, "resolved": need.resolved} for need in wanted],
            mutex_key=key,
            mutex_slots=slots if key else None,
            pool=pool,
            priority=priority,
            delay=HOUR if waits else 0,
            deadline=self.ledger.now() - 1 if late else None,
            max_attempts=max_attempts,
            max_losses=max_losses,
        )
        if key:
            self.model.mutexes[key] = slots or self.model.mutexes.get(key, 1)
        known_tasks = set(self.model.tasks)
        answer, work = self.both(
            lambda: self.ledger.plan(asked), lambda: self.model.prepare_plan(cursor, window, step, only, wanted)
        )
        if isinstance(answer, str) or isinstance(work, str):
            assert answer == work
        else:
            assert (answer["reason_code"], answer["slices"]) == (work.reason, len(work.reopened) + len(work.slices))
            ids = self.new_tasks(answer["plan_id"], known_tasks, work.slices)
            own: dict[str, Any] = {"priority": priority, "pool": pool, "key": key, "due": not waits, "late": late}
            own |= {"max_attempts": max_attempts, "max_losses": max_losses}
            gates = self.gates() if work.gates else {}
            status = self.model.write_plan(work, answer["plan_id"], cursor, ids, gates, wanted, only, **own)
            assert answer["status"] == status
        self.check()

    def new_tasks(self, plan: int, known: set[int], slices: Sequence[tuple[int, int]]) -> list[int]:
        rows = self.database.rows(
            "select id, lo, hi from strandline.ing_task where plan_id = $1::bigint order by id", plan
        )
        made = [row for row in rows if row["id"] not in known]
        assert [(row["lo"], row["hi"]) for row in made] == list(slices)
        return [row["id"] for row in made]

    def gates(self) -> dict[str, int]:
        rows = self.database.rows("select id, params from strandline.ing_task where kind_code = 'GATE'")
        return {
            f"plan:{p['plan']}" if "plan" in (p := row["params"]) else f"cursor:{p['cursor']}:{p['bound']}": row["id"]
            for row in rows
        }

    # Workers ----------------------------------------------------------------------------------------------------------

    @rule(worker=st.integers(0, 1), limit=st.integers(1, 4), pool=st.sampled_from(("default", "default", "other")))
    def claim(self, worker: int, limit: int, pool: str) -> None:
        found = self.ledgers[worker].claim(WORKERS[worker], limit, HOUR, pool=pool)
        able = [task for task in self.model.claimable() if task.pool == pool]
        self.claimed(found, self.first(able, pool, limit, worker, []), WORKERS[worker])

    @rule(worker=st.integers(0, 1), limit=st.integers(1, 4), plans=st.lists(number, min_size=1, max_size=2))
    def claim_of_plans(self, worker: int, limit: int, plans: list[int]) -> None:
        chosen = sorted({self.pick(list(self.model.plans), at) for at in plans})
        found = self.ledgers[worker].claim(WORKERS[worker], limit, HOUR, plans=chosen)
        expected: list[Task] = []
        for pool in ("default", "other"):
            able = [task for task in self.model.claimable() if task.plan in chosen and task.pool == pool]
            expected += self.first(able, pool, limit - len(expected), worker, chosen)
        self.claimed(found, expected, WORKERS[worker])

    def first(self, able: list[Task], pool: str, limit: int, worker: int, plans: list[int]) -> list[Task]:
        """What a claim takes: by priority, then by time, as many as the pool still lets run."""
        if self.model.wish(WORKERS[worker]):
            return []
        slots = self.model.pools.get(pool)
        if slots is not None:
            limit = min(limit, max(0, slots - len(self.model.running(pool))))
        able.sort(key=lambda t: (t.priority, t.plan if plans else 0, self.comparison.times[t.id], t.id))
        return able[: max(0, limit)]

    def claimed(self, found: list[_core.Run], expected: list[Task], worker: str) -> None:
        assert {run.task_id for run in found} == {task.id for task in expected}
        for native in found:
            task = self.model.tasks[native.task_id]
            run = self.model.claim(task, worker)
            self.native[run] = native
            assert (native.attempt_no, native.walk_no, native.batch_no) == (task.attempt, task.walk, task.batch_no)
            assert (native.lo, native.hi, native.generation) == (task.lo, task.hi, task.generation)
            assert native.checkpoint == (None if run.checkpoint is None else json.dumps(run.checkpoint))
            assert (native.reached, native.failures, native.losses) == (run.reached, task.failures, task.losses)
        self.check()

    def next_page(self, run: Run, size: int, *, done: bool) -> tuple[dict[str, Any], list[int], int, int | None]:
        """The page that a worker with this handle would read now."""
        lo = run.task.lo if run.checkpoint is None else run.checkpoint
        hi = run.task.hi if done else min(lo + size, run.task.hi)
        ids = list(range(lo, hi))
        assert run.task.cursor is not None
        upto = hi if run.task.cursor.ordered else None
        return {**page(ids, after=hi), "upto": upto}, ids, hi, upto

    def target(self, run: Run) -> dict[str, Any]:
        assert run.task.cursor is not None
        return target_of(run.task.cursor.table)

    def commit(self, run: Run, size: int, *, done: bool) -> None:
        sent, ids, after, upto = self.next_page(run, size, done=done)

        def stored() -> Any:
            ledger = self.ledgers[WORKERS.index(run.worker)]
            return ledger.commit(self.native[run], self.target(run), [sent], done=done, lease=HOUR).get("wish")

        def expected() -> str | None:
            if run.status == "LIVE" and run.task.cancel:
                self.model.end_cancelled(run)
                raise RefusedError("Cancelled")
            wish = "PAUSED" if run.task.held else self.model.wish(run.worker)
            self.model.store(run, ids, after, upto)
            if done:
                self.model.done(run)
            return wish

        self.same(stored, expected)

    @rule(at=number, size=st.integers(0, 3))
    def commit_page(self, at: int, size: int) -> None:
        if run := self.some_run(at):
            self.commit(run, size, done=False)

    @rule(at=number)
    def commit_last(self, at: int) -> None:
        if run := self.some_run(at):
            self.commit(run, 0, done=True)

    @rule(at=number, done=st.booleans())
    def commit_by_anybody(self, at: int, done: bool) -> None:
        """Also by runs that are over."""
        if run := self.some_run(at, live=False):
            self.commit(run, 1, done=done)

    @rule(picks=st.lists(number, min_size=1, max_size=4), live=st.sampled_from((True, True, False)))
    def finish(self, picks: list[int], live: bool) -> None:
        if not (first := self.some_run(picks[0], live=live)):
            return
        same = [run for run in self.runs(live=live) if run.task.cursor is first.task.cursor]
        chosen = list(dict.fromkeys([first, *(self.pick(same, at) for at in picks)]))
        sent = [self.next_page(run, 0, done=True) for run in chosen]
        answers = self.ledger.finish(
            [self.native[run] for run in chosen], self.target(first), [p[0] for p in sent], lease=HOUR
        )
        expected = []
        for run, (_, ids, after, upto) in zip(chosen, sent, strict=True):
            if run.status != "LIVE":
                expected.append("LOST")
            elif run.task.cancel:
                self.model.end_cancelled(run)
                expected.append("CANCELLED")
            else:
                self.model.store(run, ids, after, upto)
                self.model.done(run)
                expected.append("SUCCEEDED")
        assert answers == expected
        self.check()

    @rule(at=number, live=st.sampled_from((True, True, True, False)), rests=st.booleans())
    def give_back(self, at: int, live: bool, rests: bool) -> None:
        if not (run := self.some_run(at, live=live)):
            return
        reason = "PAUSED" if run.task.held else self.model.wish(run.worker) or "BUDGET"
        by = run.worker if reason == "BUDGET" else OPERATOR
        self.same(
            lambda: self.ledger.give_back(self.native[run], reason, HOUR if rests else 0),
            lambda: self.model.give_back(run, reason, by, due=not rests),
        )

    @rule(
        at=number,
        live=st.sampled_from((True, True, True, False)),
        retryable=st.booleans(),
        rests=st.booleans(),
        stuck=st.booleans(),
    )
    def fail(self, at: int, live: bool, retryable: bool, rests: bool, stuck: bool) -> None:
        """`stuck`: at a page of one row that cannot be stored."""
        if not (run := self.some_run(at, live=live)):
            return
        row = run.task.lo if run.checkpoint is None else run.checkpoint
        cause: dict[str, Any] = {"origin": "source", "kind": "transient", "message": "it broke", "where": None}
        bad = None
        if stuck and row < run.task.hi:
            bad = (row, row + 1 == run.task.hi)
            before = None if run.checkpoint is None else json.dumps(row)
            cause["page"] = {"before": before, "after": json.dumps(row + 1), "done": bad[1], "size": 1}
        reason = "TRANSIENT" if retryable else "FATAL"
        backoff = [HOUR] if rests else []
        self.same(
            lambda: self.ledger.fail(
                self.native[run], cause, reason=reason, retryable=retryable, backoff=backoff, by=run.worker
            ),
            lambda: self.model.fail(run, reason, bad, retryable=retryable, due=not rests),
        )

    @rule(at=number)
    def restart_walk(self, at: int) -> None:
        if not (run := self.some_run(at)):
            return
        self.same(
            lambda: self.ledger.restart_walk(self.native[run], self.target(run), "RESTART"),
            lambda: self.model.restart_walk(run),
        )

    @rule(at=number)
    def lease_passes(self, at: int) -> None:
        if not (run := self.some_run(at)):
            return
        run.expired = True
        self.database.rows(
            "update strandline.ing_task_run set leased_until = clock_timestamp() - interval '1 second'"
            " where task_id = $1::bigint and attempt_no = $2::int",
            run.task.id,
            run.attempt,
        )
        self.check()

    @rule(loses=st.booleans(), at=number)
    def reap(self, loses: bool, at: int) -> None:
        if loses:
            self.lease_passes(at=at)
        answer, expected = self.ledger.reap(lease=HOUR), self.model.reap()
        # The rest after a loss would be over some day: it becomes one that a trigger has to end.
        self.database.rows(
            "update strandline.ing_task set scheduled_at = scheduled_at + interval '1 hour'"
            " where status_code = 'QUEUED' and reason_code in ('LEASE_LOST', 'PAUSED') and id = any($1::bigint[])",
            [task.id for task in self.model.tasks.values() if task.status == "QUEUED" and not task.due],
        )
        assert answer == expected
        self.check()

    @rule(at=number)
    def close_plan(self, at: int) -> None:
        plan = self.pick(list(self.model.plans), at)
        self.same(lambda: self.ledger.close_plan(plan), lambda: self.model.close_plan(plan))

    @rule(at=st.integers(0, 3))
    def fold(self, at: int) -> None:
        if at == 3:
            self.same(self.ledger.fold_all, self.model.fold_all)
            return
        cursor = list(self.model.cursors.values())[at % 3]
        self.same(lambda: self.ledger.fold(cursor.id), lambda: self.model.fold(cursor))

    # Operators --------------------------------------------------------------------------------------------------------

    def moved(self, verb: Callable[..., Any], rule_: Callable[..., Any], of: dict[str, int], *more: Any) -> None:
        """A verb that says which tasks it changed, and changes nothing when it is asked again."""

        def answer() -> list[tuple[int, str]]:
            return sorted((row["task_id"], row["status"]) for row in verb(of, *more, OPERATOR, "because"))

        self.same(answer, lambda: sorted(rule_()))

    @rule(wanted=subject)
    def cancel(self, wanted: tuple[str, int]) -> None:
        of = self.of(wanted)
        self.moved(self.ledger.cancel, lambda: self.model.cancel(of), of)

    @rule(wanted=subject)
    def pause(self, wanted: tuple[str, int]) -> None:
        of = self.of(wanted)
        self.moved(self.ledger.pause, lambda: self.model.hold(of, True), of)

    @rule(wanted=subject)
    def resume(self, wanted: tuple[str, int]) -> None:
        of = self.of(wanted)
        self.moved(self.ledger.resume, lambda: self.model.hold(of, False), of)

    @rule(wanted=subject)
    def trigger(self, wanted: tuple[str, int]) -> None:
        of = self.of(wanted)
        self.moved(self.ledger.trigger, lambda: self.model.trigger(of), of)

    @rule(wanted=subject, priority=st.sampled_from((1, 5, 9)))
    def set_priority(self, wanted: tuple[str, int], priority: int) -> None:
        of = self.of(wanted)
        self.moved(self.ledger.set_priority, lambda: self.model.set_priority(of, priority), of, priority)

    @rule(wanted=subject)
    def retry(self, wanted: tuple[str, int]) -> None:
        of = self.of(wanted, FALLEN)
        self.same(lambda: self.ledger.retry(of, OPERATOR), lambda: self.model.retry(of))

    @precondition(lambda self: any(task.bad for task in self.model.tasks.values()))
    @rule(at=number)
    def skip(self, at: int) -> None:
        task = self.pick([t for t in self.model.tasks.values() if t.bad or t.passed_over], at)

        def answer() -> tuple[int, str]:
            told = self.ledger.skip(task.id, OPERATOR, "broken")
            return told["batch_no"], told["status"]

        self.same(answer, lambda: self.model.skip(task))

    @rule(at=number, step=st.sampled_from((2, 3)), live=st.sampled_from((True, True, False)))
    def split(self, at: int, step: int, live: bool) -> None:
        if not (found := [t for t in self.model.tasks.values() if t.live or not live]):
            return
        task = self.pick(found, at)
        strategy = json.dumps({"strategy": "ID", "step": step})
        known = set(self.model.tasks)
        answer, split = self.both(
            lambda: self.ledger.split(task.id, strategy, OPERATOR), lambda: self.model.prepare_split(task, step)
        )
        if isinstance(answer, str) or isinstance(split, str):
            assert answer == split
        else:
            plan, reached = task.plan, split.reached
            assert answer["covered"] == (None if reached in (None, task.lo) else (task.lo, reached))
            made = self.model.write_split(split, self.new_tasks(plan, known, split.work.slices))
            assert (answer["tasks"], answer["slices"]) == (made, len(made))
        self.check()

    @rule(
        name=st.sampled_from(("alpha", "alpha:1", "alpha:1:0", "beta")),
        status=st.sampled_from(("ACTIVE", "ACTIVE", "QUARANTINED", "DRAINING")),
    )
    def set_worker(self, name: str, status: str) -> None:
        self.same(lambda: self.ledger.set_worker(name, status, OPERATOR), lambda: self.model.set_worker(name, status))
        for ledger, worker in zip(self.ledgers, WORKERS, strict=True):
            assert ledger.heartbeat(worker) == (self.model.wish(worker) or "ACTIVE")

    @rule(pool=st.sampled_from(("default", "other")), limit=st.sampled_from((None, None, None, 0, 1, 2, 4)))
    def set_pool(self, pool: str, limit: int | None) -> None:
        def changed() -> bool:
            return pool not in self.model.pools or self.model.pools[pool] != limit

        self.same(
            lambda: self.ledger.set_pool(pool, limit, OPERATOR),
            lambda: (changed(), self.model.pools.update({pool: limit}))[0],
        )

    # The end ----------------------------------------------------------------------------------------------------------

    def let_everything_end(self) -> None:
        """Operators let go, work goes on until nothing is left, and nothing is stuck."""
        for name in list(self.model.workers):
            self.set_worker(name, "ACTIVE")
        for pool in list(self.model.pools):
            self.set_pool(pool, None)
        for at in range(len(self.model.cursors)):
            for verb in (self.resume, self.trigger):
                if self.model.tasks:
                    verb(("cursor", at))
        for run in self.runs():
            self.commit(run, 0, done=True)
        while True:
            self.reap(loses=False, at=0)
            for worker in range(len(WORKERS)):
                for pool in ("default", "other"):
                    self.claim(worker, 100, pool)
            if not self.runs():
                break
            for run in self.runs():
                self.commit(run, 0, done=True)
        self.reap(loses=False, at=0)
        left = [task for task in self.model.everything() if task.live]
        closed_gates = {gate.id for gate in left if gate.gate and gate.cursor}
        for task in left:
            parents = {p for (c, p), (_, done) in self.model.edges.items() if c == task.id and not done}
            assert task.gate or self.waits_for(parents, closed_gates), f"task {task.id} is stuck"
        assert self.ledger.verify() == []

    def waits_for(self, parents: set[int], gates: set[int]) -> bool:
        """Whether one of them, or what it waits for in turn, is the gate of a stream."""
        seen: set[int] = set()
        front = list(parents)
        while front:
            each = front.pop()
            if each in gates:
                return True
            if each in seen:
                continue
            seen.add(each)
            task = self.model.by_id(each)
            front += [p for (c, p), (_, done) in self.model.edges.items() if c == each and not done]
            if task.gate and task.cursor is None:
                front += [t.id for t in self.model.tasks.values() if t.plan == int(task.gate[5:]) and t.live]
        return False
