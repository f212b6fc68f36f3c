"""P8, durable control: cancel, pause, deadline, trigger are rows, seen at the latest at the next page or renewal; no
signal has to arrive; no lost lease loses them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fix_engine import OpenEngine
from fix_ledger import LEASE, TARGET, Background, Database, OpenLedger, claim, page, request
from fix_proxy import Proxy
from fix_workers import KILLED, Start, Worker
from providers import Gated, Numbers

import strandline as sl
from strandline import _core
from strandline.errors import Cancelled

BY = "ann"
HOST = "alpha"
WORKER = f"{HOST}:7:1"
LONG = 40 * LEASE

# Each as an operator asks it of a run.
VERBS: dict[str, Callable[[_core.Ledger, _core.Run], object]] = {
    "cancel": lambda ledger, run: ledger.cancel({"task": run.task_id}, BY, "not today"),
    "pause": lambda ledger, run: ledger.pause({"plan": run.plan_id}, BY, "maintenance"),
    "quarantine": lambda ledger, run: ledger.set_worker(HOST, "QUARANTINED", BY, "bad disk"),
    "stop": lambda ledger, run: ledger.set_worker(WORKER, "DRAINING", BY, "a new version"),
}
CASES = [("cancel", 0), ("cancel", 2), ("pause", 0), ("pause", 2), ("quarantine", 2), ("stop", 0)]  # before which page
WISHES = {"cancel": "cancelled", "pause": "paused", "quarantine": "quarantined", "stop": "draining"}


def begin(ledger: _core.Ledger, plan: dict[str, Any], *, lease: int = LONG) -> _core.Run:
    """A run of a worker that is known."""
    ledger.register_worker(WORKER, HOST, 7, "1", ["default"])
    (run,) = ledger.claim(WORKER, 1, lease, plans=[plan["plan_id"]])
    return run


def store(ledger: _core.Ledger, run: _core.Run, first: int) -> str | None:
    """Commits one page of one row; what is wished of the run then."""
    committed = ledger.commit(run, TARGET, [page([first], after=first + 1)], done=False, lease=LEASE)
    return committed.get("wish")


def asked(open_ledger: OpenLedger, verb: str, run: _core.Run) -> None:
    """Somebody asks and goes away."""
    operator = open_ledger()
    assert VERBS[verb](operator, run)
    operator.close()


def check_seen(verb: str, ledger: _core.Ledger, run: _core.Run, database: Database, first: int) -> None:
    """The next page learns of it: a cancel refuses it, everything else takes it in."""
    if verb == "cancel":
        with pytest.raises(Cancelled):
            store(ledger, run, first)
        assert database.ids() == list(range(first))
        assert database.task(run.task_id)["status_code"] == "CANCELLED"
    else:
        assert store(ledger, run, first) == WISHES[verb].upper()
        assert database.ids() == list(range(first + 1))
        ledger.give_back(run, WISHES[verb].upper())
    row = database.run(run)
    assert (row["ended_by"], row["errors"][0]["origin"]) == (BY, "operator")
    assert BY in row["errors"][0]["message"]


# Seen at the latest at the next page or renewal -----------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "pages"), CASES)
def test_the_next_page_sees_it(
    verb: str, pages: int, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database
) -> None:
    run = begin(ledger, ledger.plan(request(0, 10)))
    for first in range(pages):
        assert store(ledger, run, first) is None
    asked(open_ledger, verb, run)
    check_seen(verb, ledger, run, database, pages)


@pytest.mark.parametrize("verb", VERBS)
def test_the_next_renewal_sees_it(verb: str, dsn: str, ledger: _core.Ledger, open_ledger: OpenLedger) -> None:
    run = begin(ledger, ledger.plan(request(0, 10)), lease=LEASE)
    renewer = _core.Renewer(dsn, "strandline", LEASE)
    try:
        renewer.add(run)
        assert renewer.state(run) == "held"
        asked(open_ledger, verb, run)
        began = ledger.now()
        while renewer.state(run) == "held":
            assert ledger.now() < began + LEASE
        assert renewer.state(run) == WISHES[verb]
    finally:
        renewer.close()


@pytest.mark.parametrize("verb", VERBS)
def test_it_does_not_wait_for_a_page_behind_its_fence(
    verb: str,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    """Nor does the page see it: the next one does."""
    run = begin(ledger, ledger.plan(request(0, 10)))
    worker = open_ledger(proxy.dsn)
    held = proxy.stop_at("run.batches")
    a = background(store, worker, run, 0)
    held.wait()
    asked(open_ledger, verb, run)
    held.forward()
    assert a.result() is None
    check_seen(verb, worker, run, database, 1)


@pytest.mark.parametrize("verb", ["cancel", "pause"])
def test_asked_while_its_claim_is_held_it_meets_the_run(
    verb: str,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    plan = ledger.plan(request(0, 10))
    worker, operator = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("tx.commit")
    a = background(claim, worker, plan)
    held.wait()
    b = background(getattr(operator, verb), {"plan": plan["plan_id"]}, BY)
    database.wait_until_blocked(operator.backend_pid, by=worker.backend_pid)
    held.forward()
    (run,) = a.result()
    assert b.result() == [{"task_id": run.task_id, "status": "RUNNING"}]
    check_seen(verb, worker, run, database, 0)


# No lost lease loses it -----------------------------------------------------------------------------------------------


def lose(ledger: _core.Ledger, database: Database, run: _core.Run) -> dict[str, int]:
    """The worker is never heard of again."""
    database.wait_until_lease_over(run)
    return ledger.reap(lease=LEASE)


@pytest.mark.parametrize(("verb", "pages"), CASES)
def test_it_outlives_the_lease(
    verb: str, pages: int, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database
) -> None:
    plan = ledger.plan(request(0, 10))
    run = begin(ledger, plan, lease=LEASE)
    for first in range(pages):
        store(ledger, run, first)
    asked(open_ledger, verb, run)
    assert lose(ledger, database, run)["cancelled" if verb == "cancel" else "lost"] == 1
    task = database.task(run.task_id)
    assert task["status_code"] == ("CANCELLED" if verb == "cancel" else "QUEUED")
    assert task["reason_code"] == {"cancel": "CANCELLED", "pause": "PAUSED"}.get(verb, "LEASE_LOST")
    ledger.trigger({"plan": plan["plan_id"]}, BY)  # a trigger undoes none of them
    assert ledger.claim(WORKER, 10, LEASE, plans=[plan["plan_id"]]) == []
    if verb == "pause":
        assert claim(ledger, plan) == []
        assert len(ledger.resume({"plan": plan["plan_id"]}, BY)) == 1
    if verb == "cancel":
        assert ledger.retry({"plan": plan["plan_id"]}, BY) == [run.task_id]
    (heir,) = claim(ledger, plan)  # of another host
    assert (heir.task_id, heir.batch_no) == (run.task_id, pages)
    assert database.value("select count(*) from strandline.ing_audit_event where verb = $1 and actor = $2", verb, BY)


def test_a_deadline_outlives_the_lease(ledger: _core.Ledger, database: Database) -> None:
    """Nothing ends a run at its deadline; what it leaves is not begun again."""
    plan = ledger.plan(request(0, 10, deadline=ledger.now() + LEASE))
    (run,) = claim(ledger, plan)
    store(ledger, run, 0)
    database.wait_until("select deadline_at < clock_timestamp() from strandline.ing_task")
    assert store(ledger, run, 1) is None
    found = lose(ledger, database, run)
    assert (found["lost"], found["failed"]) == (1, 1)
    task = database.task(run.task_id)
    assert (task["status_code"], task["reason_code"]) == ("FAILED", "DEADLINE")
    assert claim(ledger, plan) == []
    assert database.ids() == [0, 1]


def test_a_priority_outlives_the_lease(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 30))
    run = claim(ledger, plan)[2]
    ledger.set_priority({"task": run.task_id}, 1, BY)
    lose(ledger, database, run)
    assert database.task(run.task_id)["priority"] == 1
    ledger.trigger({"plan": plan["plan_id"]}, BY)
    assert [each.task_id for each in claim(ledger, plan, 1)] == [run.task_id]


def test_a_trigger_ends_the_rest_after_a_loss(ledger: _core.Ledger, database: Database) -> None:
    """Also in the eyes of a worker whose low-water marks lie behind it."""
    plan = ledger.plan(request(0, 20, max_losses=100))
    run, _ = claim(ledger, plan)
    lose(ledger, database, run)
    later = "update strandline.ing_task set scheduled_at = clock_timestamp() + interval '1 hour' where attempt_no = 2"
    database.rows(later)
    assert claim(ledger, plan) == []
    assert ledger.trigger({"task": run.task_id}, BY) == [{"task_id": run.task_id, "status": "QUEUED"}]
    assert [each.task_id for each in claim(ledger, plan)] == [run.task_id]


@pytest.mark.parametrize("verb", ["cancel", "pause", "trigger", "set_priority"])
def test_asked_while_the_loss_of_its_run_is_held_it_counts(
    verb: str,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    database.wait_until_lease_over(run)
    reaper, operator = open_ledger(proxy.dsn), open_ledger()
    look = proxy.stop_at("task.leave")
    a = background(reaper.reap, lease=LEASE)
    held = look.then("tx.commit")
    more = [3] if verb == "set_priority" else []
    b = background(getattr(operator, verb), {"task": run.task_id}, *more, BY)
    database.wait_until_blocked(operator.backend_pid, by=reaper.backend_pid)
    held.forward()
    assert a.result()["lost"] == 1
    status = "CANCELLED" if verb == "cancel" else "QUEUED"
    assert b.result() == [{"task_id": run.task_id, "status": status}]
    task = database.task(run.task_id)
    assert (task["status_code"], task["held"]) == (status, verb == "pause")
    if verb == "set_priority":
        assert task["priority"] == 3
    if verb == "trigger":
        assert len(claim(ledger, plan)) == 1


def test_a_retry_does_not_undo_the_pause_of_its_source(ledger: _core.Ledger) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    cause = {"origin": "source", "kind": "fatal", "message": "no", "where": None}
    ledger.fail(run, cause, reason="FATAL", retryable=False, backoff=[])
    of = {"cursor": plan["cursor_id"]}
    ledger.pause(of, BY)
    assert ledger.retry({"task": run.task_id}, BY) == [run.task_id]
    assert claim(ledger, plan) == []
    assert len(ledger.resume(of, BY)) == 1
    assert len(claim(ledger, plan)) == 1


# Of worker processes --------------------------------------------------------------------------------------------------


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """What the provider Gated waits at before its third page."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def in_hand(engine: sl.Engine, database: Database, start: Start, gate: Path) -> Callable[..., tuple[sl.Plan, Worker]]:
    """`in_hand(**plan)`: a plan of one slice, and a worker that has stored two pages of it and makes the third."""

    def make(**options: Any) -> tuple[sl.Plan, Worker]:
        plan = engine.plan(Gated, window=(0, 40), params={"gate": str(gate)}, **options)
        worker = start(pool="default")
        database.wait_until("exists (select from strandline.ing_task_run where batch_no = 2)")
        return plan, worker

    return make


def open_until_ended(gate: Path, worker: Worker, database: Database) -> None:
    """Opens the gate for the worker, now and then, until it has ended."""
    for _ in range(1000):
        if worker.ended:
            return
        with contextlib.suppress(OSError):  # nobody waits there
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        database.value("select pg_sleep(0.01)::text")
    raise AssertionError("the worker lives on")


def rows(database: Database) -> int:
    found: int = database.value("select count(*) from public.gated")
    return found


ASKED: dict[str, Callable[[sl.Engine, sl.Plan, Worker], object]] = {
    "cancel": lambda engine, plan, worker: engine.cancel(plan, reason="not today"),
    "pause": lambda engine, plan, worker: engine.pause(plan, reason="maintenance"),
    "stop": lambda engine, plan, worker: engine.stop(f"{os.uname().nodename}:{worker.pid}", reason="a new version"),
}


@pytest.mark.parametrize("verb", ASKED)
def test_a_worker_sees_it_though_nobody_tells_it(
    verb: str,
    in_hand: Callable[..., tuple[sl.Plan, Worker]],
    open_engine: OpenEngine,
    database: Database,
    gate: Path,
) -> None:
    """Whoever asked is gone before the worker looks."""
    plan, worker = in_hand()
    operator = open_engine()
    assert ASKED[verb](operator, plan, worker)
    operator.close()
    open_until_ended(gate, worker, database)
    assert worker.wait() == 0
    # The page in hand, and the one that was asked for while it was stored.
    assert rows(database) in ([10] if verb == "cancel" else [15, 20])
    (end,) = database.rows("select status_code, end_reason_code from strandline.ing_task_run")
    reason = {"cancel": "CANCELLED", "pause": "PAUSED", "stop": "DRAINING"}[verb]
    assert (end["status_code"], end["end_reason_code"]) == ("CANCELLED" if verb == "cancel" else "YIELDED", reason)


@pytest.mark.parametrize("verb", ASKED)
def test_it_outlives_a_killed_worker(
    verb: str,
    in_hand: Callable[..., tuple[sl.Plan, Worker]],
    engine: sl.Engine,
    database: Database,
    start: Start,
) -> None:
    """SIGKILL, with a page in hand; the next worker on that host does as was asked."""
    plan, worker = in_hand()
    assert ASKED[verb](engine, plan, worker)
    assert worker.kill() == KILLED
    database.wait_until("select bool_and(leased_until < clock_timestamp()) from strandline.ing_task_run")
    heir = start(plan=plan.id)
    assert heir.wait() == 0
    if verb == "stop":  # another process
        assert engine.report(plan).status == "SUCCEEDED"
    else:
        assert rows(database) == 10
        (task,) = engine.status(plan).tasks
        assert task.status == ("CANCELLED" if verb == "cancel" else "QUEUED")
        assert (engine.retry if verb == "cancel" else engine.resume)(plan)
        assert start(plan=plan.id).wait() == 0
    assert [row["id"] for row in database.rows("select id from public.gated order by id")] == list(range(40))
    assert engine.verify().differences == []


def test_a_deadline_outlives_a_killed_worker(
    in_hand: Callable[..., tuple[sl.Plan, Worker]], engine: sl.Engine, database: Database, start: Start
) -> None:
    plan, worker = in_hand()
    database.rows("update strandline.ing_task set deadline_at = clock_timestamp() + interval '0.1 s'")
    assert worker.kill() == KILLED
    database.wait_until("select bool_and(deadline_at < clock_timestamp()) from strandline.ing_task")
    database.wait_until("select bool_and(leased_until < clock_timestamp()) from strandline.ing_task_run")
    assert start(plan=plan.id).wait() == 0
    assert rows(database) == 10
    (task,) = engine.status(plan).tasks
    assert (task.status, task.reason) == ("FAILED", "DEADLINE")


def test_what_a_paused_source_plans_waits_though_its_worker_was_killed(
    in_hand: Callable[..., tuple[sl.Plan, Worker]], engine: sl.Engine, database: Database, start: Start, gate: Path
) -> None:
    _, worker = in_hand()
    assert engine.pause("gated")
    assert worker.kill() == KILLED
    engine.plan(Gated, window=(40, 80), params={"gate": str(gate)})
    database.wait_until("select bool_and(leased_until < clock_timestamp()) from strandline.ing_task_run")
    other = engine.plan(Numbers, window=(0, 20))
    heir = start(pool="default", seconds=30)
    database.wait_until("(select status_code from strandline.ing_task where plan_id = $1) = 'SUCCEEDED'", other.id)
    assert heir.kill() == KILLED
    assert rows(database) == 10
    held = "select count(*) from strandline.ing_task where held and status_code = 'QUEUED'"
    assert database.value(held) == 2
