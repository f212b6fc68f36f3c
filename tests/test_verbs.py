"""What each verb does in each state: every cell of the tables of docs/verbs.md, tried on a real ledger."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from fix_engine import OpenEngine
from fix_ledger import TARGET, Database, claim, finish, finish_all, page, request
from providers import Numbers
from verb_table import NOTHING, STATES, TABLE, WORKER_STATES, WORKER_TABLE, Cell

import strandline as sl
from strandline import _core

HOUR = 3_600_000_000
REASON = "because the suite says so"
# A page that came and could not be stored, with the cursor behind it: what skip passes over.
BAD_PAGE = {"before": None, "after": '{"next": 5}', "done": False, "size": 5}
CAUSE = {"origin": "destination", "kind": "data", "message": "no room", "where": None}

VERBS: dict[str, Callable[[sl.Engine, str], Any]] = {
    "cancel": lambda engine, task: engine.cancel(task, reason=REASON),
    "pause": lambda engine, task: engine.pause(task, reason=REASON),
    "resume": lambda engine, task: engine.resume(task, reason=REASON),
    "trigger": lambda engine, task: engine.trigger(task, reason=REASON),
    "retry": lambda engine, task: engine.retry(task, reason=REASON),
    "priority": lambda engine, task: engine.priority(task, 2, reason=REASON),
    "split": lambda engine, task: engine.split(task, 5, reason=REASON),
    "skip": lambda engine, task: engine.skip(task, reason=REASON),
}


class Stage:
    """Brings a task into a state, the way it comes there in life. With `bad` it has failed at a page before."""

    def __init__(self, ledger: _core.Ledger, engine: sl.Engine, *, bad: bool) -> None:
        self._ledger = ledger
        self._engine = engine
        self._bad = bad

    def task(self, state: str) -> int:
        made: int = getattr(self, f"_{state}")()
        return made

    def _plan(self, lo: int = 0, hi: int = 10, **changes: Any) -> dict[str, Any]:
        return self._ledger.plan(request(lo, hi, **changes))

    def _fail(self, plan: dict[str, Any], *, retryable: bool = True, backoff: int = 0) -> int:
        (run,) = claim(self._ledger, plan)
        cause = {**CAUSE, "page": BAD_PAGE} if self._bad else CAUSE
        self._ledger.fail(run, cause, reason="DATA", retryable=retryable, backoff=[backoff])
        return run.task_id

    def _only(self, plan: dict[str, Any]) -> int:
        return self._engine.status(plan["plan_id"]).tasks[0].task

    def _due(self) -> int:
        plan = self._plan()
        return self._fail(plan) if self._bad else self._only(plan)

    def _delayed(self) -> int:
        return self._fail(self._plan(), backoff=HOUR) if self._bad else self._only(self._plan(delay=HOUR))

    def _mutex(self) -> int:
        first = self._plan(mutex_key="warehouse")
        if not self._bad:
            return self._only(self._plan(100, 110, mutex_key="warehouse"))
        (run,) = claim(self._ledger, first)
        self._plan(100, 110, mutex_key="warehouse")  # waits, and is admitted when the first one gives its turn back
        self._ledger.fail(run, {**CAUSE, "page": BAD_PAGE}, reason="DATA", retryable=True, backoff=[0])
        return run.task_id

    def _dependency(self) -> int:
        parent = {"plan": self._plan(100, 110)["plan_id"], "resolved": False}
        if self._bad:
            self._fail(self._plan(), retryable=False)
        return self._only(self._plan(depends_on=[parent]))

    def _paused(self) -> int:
        task = self._due()
        self._engine.pause(f"task:{task}")
        return task

    def _running(self) -> int:
        plan = self._plan()
        if self._bad:
            self._fail(plan)
        (run,) = claim(self._ledger, plan, lease=HOUR)
        return run.task_id

    def _ending(self) -> int:
        task = self._running()
        self._engine.cancel(f"task:{task}")
        return task

    def _succeeded(self) -> int:
        plan = self._plan()
        task = self._fail(plan)
        finish_all(self._ledger, plan)
        return task

    def _failed(self) -> int:
        return self._fail(self._plan(), retryable=False)

    def _cancelled(self) -> int:
        task = self._due()
        self._engine.cancel(f"task:{task}")
        return task

    def _superseded(self) -> int:
        task = self._due()
        self._engine.split(f"task:{task}", 2)
        return task


def state_of(database: Database, task: int) -> str:
    """The word of STATES or LATER for a task as it stands."""
    row = database.task(task)
    status: str = row["status_code"]
    if status == "RUNNING":
        return "ending" if row["cancel_requested_at"] else "pausing" if row["held"] else "running"
    if status == "CANCELLED" and row["reason_code"] == "SPLIT":
        return "superseded"
    if status != "QUEUED":
        return status.lower()
    if row["held"]:
        return "paused"
    if row["unmet"]:
        return "dependency"
    if database.value("select scheduled_at > clock_timestamp() from strandline.ing_task where id = $1::bigint", task):
        return "delayed"
    return "mutex" if row["mutex_waiting"] else "due"


def audited(database: Database, verb: str) -> list[dict[str, Any]]:
    """What the audit trail has of a verb that this test asked for."""
    return database.rows(
        "select subject, actor from strandline.ing_audit_event where verb = $1 and reason = $2", verb, REASON
    )


def answered_nothing(answer: Any) -> bool:
    """Whether a verb says that it changed nothing."""
    if isinstance(answer, dict):
        return not answer.get("slices", 0) if "slices" in answer else not answer["changed"]
    return not answer


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", TABLE)
def test_a_cell(verb: str, state: str, ledger: _core.Ledger, engine: sl.Engine, database: Database) -> None:
    cell = TABLE[verb][state]
    stage = Stage(ledger, engine, bad=verb == "skip")
    number = stage.task(state)
    task = f"task:{number}"
    assert state_of(database, number) == state, "the stage is set wrongly"
    before = database.task(number)

    def unchanged() -> bool:
        return database.task(number) == before and not audited(database, verb)

    if cell.refused is not None:
        with pytest.raises(sl.Conflict, match=cell.refused):
            VERBS[verb](engine, task)
        assert unchanged()
        return
    first = VERBS[verb](engine, task)
    if cell.after is None:
        assert answered_nothing(first)
        assert unchanged()
        return
    assert not answered_nothing(first)
    assert state_of(database, number) == cell.after
    assert [row["subject"] for row in audited(database, verb)] == [task]
    # Asked again it changes nothing, and says so.
    after = database.task(number)
    assert answered_nothing(VERBS[verb](engine, task))
    assert database.task(number) == after
    assert len(audited(database, verb)) == 1
    assert ledger.verify() == []


def test_the_table_has_a_cell_for_everything() -> None:
    assert all(list(cells) == list(STATES) for cells in TABLE.values())
    assert all(list(cells) == list(WORKER_STATES) for cells in WORKER_TABLE.values())
    assert set(VERBS) == set(TABLE)


def test_every_verb_of_the_engine_can_be_awaited(dsn: str, ledger: _core.Ledger) -> None:
    verbs = {name for name in vars(sl.Engine) if not name.startswith("_")}
    assert verbs <= set(dir(sl.AsyncEngine(None)))  # type: ignore[arg-type] # only its names are asked for
    task = ledger.plan(request(0, 10))["plan_id"]

    async def act() -> list[Any]:
        async with await sl.aconnect(dsn) as engine:
            return [await engine.pause(task), await engine.pause(task), await engine.resume(task)]

    first, again, resumed = asyncio.run(act())
    assert (len(first), again, len(resumed)) == (1, [], 1)


@pytest.mark.parametrize("state", STATES)
def test_skip_of_a_task_that_failed_at_no_page(
    state: str, ledger: _core.Ledger, engine: sl.Engine, database: Database
) -> None:
    number = Stage(ledger, engine, bad=False).task(state)
    before = database.task(number)
    with pytest.raises(sl.Conflict, match="no page to pass over"):
        engine.skip(number)
    assert database.task(number) == before


def test_a_retry_of_several_tells_of_those_that_still_end(
    ledger: _core.Ledger, engine: sl.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    plan = ledger.plan(request(0, 20))
    bad, running = claim(ledger, plan, limit=2, lease=HOUR)
    ledger.fail(bad, CAUSE, reason="DATA", retryable=False, backoff=[0])
    engine.cancel(f"task:{running.task_id}")
    assert engine.retry(plan["plan_id"]) == [bad.task_id]
    assert f"task {running.task_id} was cancelled and runs up to its next page" in caplog.text
    with pytest.raises(sl.Conflict, match=f"task {running.task_id} was cancelled"):
        engine.retry(plan["plan_id"])


# What becomes of it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["due", "delayed", "mutex", "dependency", "paused", "running"])
def test_the_slices_of_a_split_wait_for_the_same(
    state: str, ledger: _core.Ledger, engine: sl.Engine, database: Database
) -> None:
    number = Stage(ledger, engine, bad=False).task(state)
    made = engine.split(number, 5)
    assert made["slices"] == len(made["tasks"]) == 2
    assert made["covered"] is None
    waits = "due" if state == "running" else state
    states = [state_of(database, each) for each in made["tasks"]]
    assert states == [waits, waits]
    old, *new = (database.task(each) for each in (number, *made["tasks"]))
    assert sorted((row["lo"], row["hi"]) for row in new) == [(old["lo"], old["lo"] + 5), (old["lo"] + 5, old["hi"])]
    assert {row["plan_id"] for row in new} == {old["plan_id"]}


def test_a_split_plan_counts_its_new_slices_only(ledger: _core.Ledger, engine: sl.Engine, database: Database) -> None:
    plan = ledger.plan(request(0, 20))
    (first, _) = (task.task for task in engine.status(plan["plan_id"]).tasks)
    engine.split(first, 2)
    (row,) = engine.status(plan["plan_id"]).plans
    assert (row.slices, row.queued, row.failed, row.cancelled) == (6, 6, 0, 0)
    finish_all(ledger, plan)
    report = engine.report(plan["plan_id"])
    assert (report.status, report.slices, report.succeeded, report.failed) == ("SUCCEEDED", 6, 6, 0)
    assert report.failures == ()
    assert database.ids() == list(range(20))
    assert ledger.verify() == []


def test_a_split_keeps_what_is_committed(ledger: _core.Ledger, engine: sl.Engine, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=HOUR)
    ledger.commit(run, TARGET, [{**page(range(4), after={"next": 4}), "upto": 4}], done=False, lease=HOUR)
    made = engine.split(run.task_id, 3)
    assert made["covered"] == (0, 4)
    assert [(row["lo"], row["hi"]) for row in map(database.task, made["tasks"])] == [(4, 6), (6, 9), (9, 10)]
    with pytest.raises(sl.LeaseLost):
        ledger.commit(run, TARGET, [{**page(range(4, 10)), "upto": 10}], done=True, lease=HOUR)
    finish_all(ledger, plan)
    assert database.ids() == list(range(10))
    assert engine.report(plan["plan_id"]).status == "SUCCEEDED"
    assert ledger.verify() == []


def test_a_split_needs_to_know_how_far_the_pages_reach(ledger: _core.Ledger, engine: sl.Engine) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)), lease=HOUR)
    ledger.commit(run, TARGET, [page(range(4), after={"next": 4})], done=False, lease=HOUR)
    with pytest.raises(sl.Conflict, match="upto"):
        engine.split(run.task_id, 3)
    ledger.commit(run, TARGET, [page(range(4, 10))], done=True, lease=HOUR)


def test_a_split_of_what_a_task_waits_for_is_refused(ledger: _core.Ledger, engine: sl.Engine) -> None:
    parent = engine.status(ledger.plan(request(0, 10))["plan_id"]).tasks[0].task
    ledger.plan(request(100, 110, depends_on=[{"task": parent, "resolved": False}]))
    with pytest.raises(sl.Conflict, match="needed by another task"):
        engine.split(parent, 5)


def test_skip_of_a_last_page_ends_the_task(ledger: _core.Ledger, engine: sl.Engine, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    last = {"before": None, "after": None, "done": True, "size": 10}
    ledger.fail(run, {**CAUSE, "page": last}, reason="DATA", retryable=False, backoff=[])
    assert engine.skip(run.task_id) == {"batch_no": 1, "status": "SUCCEEDED", "changed": True}
    assert engine.skip(run.task_id)["changed"] is False
    assert engine.report(plan["plan_id"]).status == "SUCCEEDED"
    assert database.value("select status_code from strandline.ing_task_run_batch") == "SKIPPED"
    assert engine.coverage("meter", (0, 10)).complete
    assert ledger.verify() == []


# At the next page -----------------------------------------------------------------------------------------------------


class Told(Numbers):
    """Numbers; `told` is called once, while the second page is fetched."""

    name = "told"
    told: ClassVar[list[Callable[[sl.Context], object]]] = []

    def before(self, context: sl.Context, first: int) -> None:
        if first == 5 and self.told:
            self.told.pop()(context)


@pytest.mark.parametrize(
    ("verb", "left"),
    [
        (lambda engine, context: engine.cancel(f"task:{context.task_id}"), ("CANCELLED", "CANCELLED", "CANCELLED")),
        (lambda engine, context: engine.pause(f"task:{context.task_id}"), ("QUEUED", "PAUSED", "YIELDED")),
        (lambda engine, context: engine.pause(context.plan_id), ("QUEUED", "PAUSED", "YIELDED")),
        (lambda engine, context: engine.quarantine(socket.gethostname()), ("QUEUED", "QUARANTINED", "YIELDED")),
        (lambda engine, context: engine.stop(socket.gethostname()), ("QUEUED", "DRAINING", "YIELDED")),
    ],
    ids=["cancel", "pause", "pause-plan", "quarantine", "stop"],
)
def test_a_running_task_obeys_at_its_next_page(
    verb: Callable[[sl.Engine, sl.Context], object],
    left: tuple[str, str, str],
    engine: sl.Engine,
    open_engine: OpenEngine,
    database: Database,
) -> None:
    operator = open_engine()
    Told.told[:] = [lambda context: verb(operator, context)]
    plan = engine.plan(Told, window=(0, 20))
    engine.work(plan, seconds=5, errors="report")
    (task,) = engine.status(plan).tasks
    assert task.ended is not None
    assert (task.status, task.ended.reason, task.ended.status) == left
    assert task.ended.causes[0].origin == "operator"
    assert task.pages <= 3  # the page in hand, and the one that was fetched while it was stored
    assert database.value("select count(*) from public.told") == 5 * task.pages
    # What was asked for is a row: it holds for whoever comes next, until it is taken back. A stop is for who was there.
    if task.ended.reason != "DRAINING":
        assert operator.work(plan, seconds=0.05, errors="report").rows == 5 * task.pages
    operator.quarantine(socket.gethostname(), release=True)
    operator.resume(plan)
    operator.retry(plan)
    assert operator.work(plan).rows == 20
    assert database.value("select count(distinct id) from public.told") == 20


def test_a_paused_source_holds_what_is_planned_for_it_later(
    ledger: _core.Ledger, engine: sl.Engine, database: Database
) -> None:
    ledger.plan(request(0, 10))
    assert len(engine.pause("meter", reason=REASON)) == 1
    assert engine.pause("meter", reason=REASON) == []
    later = ledger.plan(request(50, 60))
    assert claim(ledger, later) == []
    (held,) = engine.status(later["plan_id"]).tasks
    assert held.held
    assert len(engine.resume("meter")) == 2
    assert engine.resume("meter") == []
    assert len(claim(ledger, later)) == 1
    assert [row["subject"] for row in audited(database, "pause")] == [f"cursor:{later['cursor_id']}"]


def test_priority_is_who_comes_first(ledger: _core.Ledger, engine: sl.Engine) -> None:
    plan = ledger.plan(request(0, 30))
    last = engine.status(plan["plan_id"]).tasks[-1].task
    assert [row["task"] for row in engine.priority(f"task:{last}", 1)] == [last]
    assert claim(ledger, plan, 1)[0].task_id == last


def test_a_verb_on_a_plan_moves_what_can_be_moved(ledger: _core.Ledger, engine: sl.Engine) -> None:
    plan = ledger.plan(request(0, 30))
    runs = claim(ledger, plan, 2)
    finish(ledger, runs[0])
    moved = engine.pause(plan["plan_id"])
    assert sorted(row["status"] for row in moved) == ["QUEUED", "RUNNING"]
    assert runs[1].task_id in {row["task"] for row in moved}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda engine: engine.pause(None), "of is missing"),
        (lambda engine: engine.pause(4711), "no plan 4711"),
        (lambda engine: engine.trigger("task:4711"), "no task 4711"),
        (lambda engine: engine.skip(4711), "no task 4711"),
        (lambda engine: engine.skip("orders"), "task is 'orders'"),
        (lambda engine: engine.split("task:4711", 5), "no task 4711"),
        (lambda engine: engine.priority("meter", 10), "priority is 10"),
        (lambda engine: engine.priority("meter", True), "priority is True"),
        (lambda engine: engine.pool("", 1), "no name"),
        (lambda engine: engine.pool("default", -1), "limit is -1"),
        (lambda engine: engine.quarantine(""), "no name"),
        (lambda engine: engine.stop("nobody:1:1"), "nobody:1:1"),
    ],
)
def test_what_is_not_there_is_said(call: Callable[[sl.Engine], Any], words: str, engine: sl.Engine) -> None:
    with pytest.raises(sl.ConfigError, match=words):
        call(engine)


def test_a_slice_of_another_kind_is_refused(ledger: _core.Ledger, engine: sl.Engine) -> None:
    task = engine.status(ledger.plan(request(0, 10))["plan_id"]).tasks[0].task
    for slice, words in (("1 day", "ID"), ({"strategy": "BUDGET", "max_records": 5}, "BUDGET")):
        with pytest.raises(sl.ConfigError, match=words):
            engine.split(task, slice)


# Workers and pools ---------------------------------------------------------------------------------------------------

WORKER = "meadow:7:1"
WORKER_VERBS: dict[str, Callable[[sl.Engine, str], bool]] = {
    "worker quarantine": lambda engine, name: engine.quarantine(name, reason=REASON),
    "worker release": lambda engine, name: engine.quarantine(name, release=True, reason=REASON),
    "worker stop": lambda engine, name: engine.stop(name, reason=REASON),
}


def worker_in(status: str, ledger: _core.Ledger, engine: sl.Engine) -> None:
    ledger.register_worker(WORKER, "meadow", 7, "1", ["default"])
    if status == "QUARANTINED":
        engine.quarantine(WORKER)
    elif status == "DRAINING":
        engine.stop(WORKER)
    elif status == "STOPPED":
        ledger.stop_worker(WORKER)


def worker_status(database: Database) -> str:
    found: str = database.value("select status_code from strandline.ing_worker where worker = $1", WORKER)
    return found


@pytest.mark.parametrize("status", WORKER_STATES)
@pytest.mark.parametrize("verb", WORKER_TABLE)
def test_a_cell_of_the_workers(
    verb: str, status: str, ledger: _core.Ledger, engine: sl.Engine, database: Database
) -> None:
    worker_in(status, ledger, engine)
    assert worker_status(database) == status
    cell: Cell = WORKER_TABLE[verb][status]
    assert WORKER_VERBS[verb](engine, WORKER) is (cell is not NOTHING)
    assert worker_status(database) == (cell.after or status)
    assert WORKER_VERBS[verb](engine, WORKER) is False
    assert len(audited(database, verb.removeprefix("worker "))) == (cell is not NOTHING)


@pytest.mark.parametrize("name", [WORKER, "meadow:7", "meadow"])
@pytest.mark.parametrize("verb", ["worker quarantine", "worker stop"])
def test_a_worker_that_may_not_claim(name: str, verb: str, ledger: _core.Ledger, engine: sl.Engine) -> None:
    ledger.plan(request(0, 20))
    ledger.register_worker(WORKER, "meadow", 7, "1", ["default"])
    assert WORKER_VERBS[verb](engine, name)
    assert ledger.claim(WORKER, 1, HOUR, pool="default") == []
    wished = "QUARANTINED" if verb == "worker quarantine" else "DRAINING"
    assert ledger.heartbeat(WORKER) == wished
    assert {row.worker: row.status for row in engine.status().workers}[WORKER] == wished
    assert len(ledger.claim("elsewhere:7:1", 1, HOUR, pool="default")) == 1
    assert engine.quarantine(name, release=True)
    assert ledger.heartbeat(WORKER) == "ACTIVE"
    assert len(ledger.claim(WORKER, 1, HOUR, pool="default")) == 1


def test_a_pool_has_its_limit_until_it_has_another(ledger: _core.Ledger, engine: sl.Engine, database: Database) -> None:
    ledger.plan(request(0, 100))
    assert engine.pool("default", 2, reason=REASON)
    assert not engine.pool("default", 2, reason=REASON)
    assert len(ledger.claim("suite", 10, HOUR, pool="default")) == 2
    assert ledger.claim("suite", 10, HOUR, pool="default") == []
    assert engine.pool("default", 3, reason=REASON)
    assert len(ledger.claim("suite", 10, HOUR, pool="default")) == 1
    assert engine.pool("default", 0, reason=REASON)
    assert ledger.claim("suite", 10, HOUR, pool="default") == []
    assert engine.pool("default", None, reason=REASON)
    assert not engine.pool("default", None, reason=REASON)
    assert len(ledger.claim("suite", 10, HOUR, pool="default")) == 7
    assert len(audited(database, "pool")) == 4
