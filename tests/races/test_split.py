"""A slice is cut anew while something else happens to it: what is committed stays, and every row lands once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fix_ledger import LEASE, TARGET, Background, Database, OpenLedger, claim, finish, finish_all, page, query, request
from fix_proxy import Proxy, Stop

from strandline import _core
from strandline.errors import Conflict, LeaseLost

BY_TWO = '{"strategy": "ID", "step": 2}'
BY = "suite"
LONG = 20 * LEASE


def store(ledger: _core.Ledger, run: _core.Run, lo: int, hi: int, *, done: bool = False) -> dict[str, Any]:
    """Commits [lo, hi) as one page that says how far it reaches."""
    content = {**page(range(lo, hi), after=hi), "upto": hi}
    return ledger.commit(run, TARGET, [content], done=done, lease=LONG)


def split_held(proxy: Proxy, background: Background, ledger: _core.Ledger, task: int) -> tuple[Stop, Any]:
    """A split that has done all and not committed: its stop and its answer to come."""
    look = proxy.stop_at("plan.grow")
    answer = background(ledger.split, task, BY_TWO, BY)
    return look.then("tx.commit"), answer


def check_whole(ledger: _core.Ledger, database: Database, plan: dict[str, Any], stop: int) -> None:
    finish_all(ledger, plan)
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    assert database.ids() == list(range(stop))
    assert database.mark(plan["cursor_id"]) == stop
    assert ledger.verify() == []


# Beside a page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 3], ids=["the first page", "a later page"])
def test_a_split_waits_for_a_page_behind_its_fence(
    before: int,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    """It then counts that page in: the run that it ended is the newer one."""
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=LONG)
    for each in range(before):
        store(ledger, run, each, each + 1)
    worker, operator = open_ledger(proxy.dsn), open_ledger()
    look = proxy.stop_at("run.fence")
    a = background(store, worker, run, before, before + 2)
    held = look.then("tx.commit")
    b = background(operator.split, run.task_id, BY_TWO, BY)
    database.wait_until_blocked(operator.backend_pid, by=worker.backend_pid)
    held.forward()
    assert a.result()["records"] == 2
    assert b.result()["covered"] == (0, before + 2)
    (row,) = database.rows("select batch_no, lo, hi, record_count from strandline.ing_coverage")
    assert row == {"batch_no": before + 1, "lo": 0, "hi": before + 2, "record_count": before + 2}
    with pytest.raises(LeaseLost):
        store(worker, run, before + 2, before + 4)
    check_whole(ledger, database, plan, 10)


def test_what_the_look_before_the_fence_knew_wrong_form_breaks(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """Cut at what the task's row says, or the run's last one in a plain look, the open page would be read again."""
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=LONG)
    store(ledger, run, 0, 2)
    worker = open_ledger(proxy.dsn)
    look = proxy.stop_at("run.fence")
    a = background(store, worker, run, 2, 4)
    held = look.then("tx.commit")
    (seen,) = ledger.fetch("run.last", run.task_id)
    assert (seen["batch_no"], seen["reached"]) == (1, 2)
    assert database.task(run.task_id)["batch_no"] == 0
    held.forward()
    a.result()
    (ended,) = ledger.fetch("run.end", run.task_id, run.attempt_no, "CANCELLED", "SPLIT", BY, None)
    assert (ended["batch_no"], ended["reached"]) == (2, 4)


@pytest.mark.parametrize("done", [False, True], ids=["a page", "the last page"])
def test_a_page_at_its_fence_while_a_split_is_held(
    done: bool, ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """Its rows are in the target already, and go with its transaction."""
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=LONG)
    store(ledger, run, 0, 3)
    worker, operator = open_ledger(proxy.dsn), open_ledger(proxy.dsn)
    at_fence = proxy.stop_at("task.lock" if done else "run.fence")
    a = background(store, worker, run, 3, 10, done=done)
    at_fence.wait()
    held, b = split_held(proxy, background, operator, run.task_id)
    at_fence.forward()
    database.wait_until_blocked(worker.backend_pid, by=operator.backend_pid)
    held.forward()
    assert b.result()["covered"] == (0, 3)
    with pytest.raises(LeaseLost):
        a.result()
    assert database.ids() == [0, 1, 2]
    check_whole(ledger, database, plan, 10)


def test_a_split_waits_for_the_last_page_and_has_nothing_left_to_cut(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=LONG)
    worker, operator = open_ledger(proxy.dsn), open_ledger()
    look = proxy.stop_at("run.fence")
    a = background(finish, worker, run)
    held = look.then("tx.commit")
    b = background(operator.split, run.task_id, BY_TWO, BY)
    database.wait_until_blocked(operator.backend_pid, by=worker.backend_pid)
    held.forward()
    a.result()
    with pytest.raises(Conflict, match="has succeeded"):
        b.result()
    check_whole(ledger, database, plan, 10)


# Beside other verbs ---------------------------------------------------------------------------------------------------


def test_a_split_waits_for_a_claim_and_ends_its_run(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    worker, operator = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("tx.commit")
    a = background(claim, worker, plan, lease=LONG)
    held.wait()
    task = database.value("select id from strandline.ing_task")
    b = background(operator.split, task, BY_TWO, BY)
    database.wait_until_blocked(operator.backend_pid, by=worker.backend_pid)
    held.forward()
    (run,) = a.result()
    assert b.result()["slices"] == 5
    assert database.run(run)["end_reason_code"] == "SPLIT"
    with pytest.raises(LeaseLost):
        store(worker, run, 0, 10, done=True)
    check_whole(ledger, database, plan, 10)


def test_a_claim_passes_over_a_slice_that_is_being_split(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 20))
    task = database.value("select min(id) from strandline.ing_task")
    held, split = split_held(proxy, background, open_ledger(proxy.dsn), task)
    (run,) = claim(ledger, plan)  # at once
    assert run.lo == 10
    finish(ledger, run)
    assert ledger.close_plan(plan["plan_id"]) is None
    held.forward()
    assert split.result()["slices"] == 5
    check_whole(ledger, database, plan, 20)


def test_two_splits_at_once(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    task = database.value("select id from strandline.ing_task")
    first, second = open_ledger(proxy.dsn), open_ledger()
    held, a = split_held(proxy, background, first, task)
    b = background(second.split, task, BY_TWO, BY)
    database.wait_until_blocked(second.backend_pid, by=first.backend_pid)
    held.forward()
    assert a.result()["slices"] == 5
    with pytest.raises(Conflict, match="is CANCELLED"):
        b.result()
    check_whole(ledger, database, plan, 10)


def test_a_planner_waits_for_a_split_and_finds_nothing_missing(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=LONG)
    store(ledger, run, 0, 3)
    operator, planner = open_ledger(proxy.dsn), open_ledger()
    held, split = split_held(proxy, background, operator, run.task_id)
    b = background(planner.plan, request(0, 10))
    database.wait_until_blocked(planner.backend_pid, by=operator.backend_pid)
    held.forward()
    split.result()
    assert (b.result()["slices"], b.result()["missing"]) == (0, [])
    check_whole(ledger, database, plan, 10)


def test_a_fold_passes_by_and_the_split_looks_again(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 20))
    first, second = claim(ledger, plan, lease=LONG)
    held, split = split_held(proxy, background, open_ledger(proxy.dsn), second.task_id)
    finish(ledger, first)
    assert ledger.fold(plan["cursor_id"]) == 0  # at once: the cursor is taken
    held.forward()
    split.result()
    assert database.mark(plan["cursor_id"]) == 10
    check_whole(ledger, database, plan, 20)


def test_a_split_waits_for_a_cancel_and_leaves_it_at_that(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    task = database.value("select id from strandline.ing_task")
    canceller, operator = open_ledger(proxy.dsn), open_ledger()
    look = proxy.stop_at("task.cancel_ask")
    a = background(canceller.cancel, {"task": task}, BY)
    held = look.then("tx.commit")
    b = background(operator.split, task, BY_TWO, BY)
    database.wait_until_blocked(operator.backend_pid, by=canceller.backend_pid)
    held.forward()
    assert a.result() == [{"task_id": task, "status": "CANCELLED"}]
    with pytest.raises(Conflict, match="is CANCELLED"):
        b.result()
    assert database.tasks(plan["cursor_id"]) == []


def test_a_split_does_not_undo_a_cancel(ledger: _core.Ledger, database: Database) -> None:
    """The worker has not seen it yet."""
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=LONG)
    ledger.cancel({"task": run.task_id}, BY)
    with pytest.raises(Conflict, match="cancel"):
        ledger.split(run.task_id, BY_TWO, BY)
    ledger.end_cancelled(run)
    assert database.tasks(plan["cursor_id"]) == []


@pytest.mark.parametrize("of", ["plan", "cursor"])
@pytest.mark.parametrize("verb", ["cancel", "pause"])
def test_a_verb_on_all_waits_for_a_split_and_finds_its_slices(
    verb: str,
    of: str,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    plan = ledger.plan(request(0, 10))
    task = database.value("select id from strandline.ing_task")
    splitter, operator = open_ledger(proxy.dsn), open_ledger()
    held, split = split_held(proxy, background, splitter, task)
    act = background(getattr(operator, verb), {of: plan[f"{of}_id"]}, BY)
    database.wait_until_blocked(operator.backend_pid, by=splitter.backend_pid)
    held.forward()
    assert split.result()["slices"] == 5
    assert len(act.result()) == 5
    assert claim(ledger, plan) == []


@pytest.mark.parametrize("asked", ["before", "after"])
def test_a_pause_holds_the_new_slices(asked: str, ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=LONG)
    store(ledger, run, 0, 3)
    of = {"task": run.task_id} if asked == "before" else {"plan": plan["plan_id"]}
    verbs = [lambda: ledger.pause(of, BY), lambda: ledger.split(run.task_id, BY_TWO, BY)]
    for verb in verbs if asked == "before" else reversed(verbs):
        verb()
    assert claim(ledger, plan) == []
    assert len(ledger.resume({"plan": plan["plan_id"]}, BY)) == 4
    check_whole(ledger, database, plan, 10)


# All at once ----------------------------------------------------------------------------------------------------------

SLICES, WIDE = 12, 40


def test_running_slices_are_split_beside_four_workers(
    ledger: _core.Ledger, open_ledger: OpenLedger, database: Database
) -> None:
    """Twelve slices of forty pages; whichever runs is cut. Every row is there once."""
    plan = ledger.plan(request(0, SLICES * WIDE, step=WIDE))
    over = threading.Event()
    long_ones = (
        "select id from strandline.ing_task where status_code = 'RUNNING' and hi - lo > 10 order by random() limit 1"
    )

    def work(own: _core.Ledger) -> None:
        while not over.is_set():
            for run in claim(own, plan, 1, lease=LONG):
                walk(own, run)
            if not live():
                over.set()

    def walk(own: _core.Ledger, run: _core.Run) -> None:
        assert run.lo is not None
        assert run.hi is not None
        try:
            for lo in range(run.lo if run.checkpoint is None else int(run.checkpoint), run.hi, 2):
                store(own, run, lo, lo + 2, done=lo + 2 == run.hi)
        except LeaseLost:
            pass

    def live() -> int:
        (count,) = own_look.select(
            "select count(*) from strandline.ing_task where status_code in ('QUEUED', 'RUNNING')"
        )[2][0]
        return int(count)

    def cut(own: _core.Ledger) -> int:
        done = 0
        while not over.is_set():
            for (task,) in own.select(long_ones)[2]:
                try:
                    own.split(task, '{"strategy": "ID", "step": 10}', BY)
                    done += 1
                except Conflict:
                    pass
        return done

    own_look = open_ledger()
    with ThreadPoolExecutor(5) as pool:
        workers = [pool.submit(work, open_ledger()) for _ in range(4)]
        splitter = pool.submit(cut, open_ledger())
        for each in workers:
            each.result()
        assert splitter.result() >= 3
    check_whole(ledger, database, plan, SLICES * WIDE)


def test_the_fence_of_a_split_is_the_end_of_the_run() -> None:
    """It compares as the fence of a page does, and tells how far the run has come."""
    assert "status_code in ('PLANNED', 'RUNNING') returning id, batch_no, reached" in query("run.end")
