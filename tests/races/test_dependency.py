"""Dependencies: no wake-up is lost when parents end, fall, are asked for again or gain children, all at once."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from fix_dependency import EDGE, WAITS, Plan, asked, fail, on, only_task, plan_status, resolve, state, states
from fix_ledger import TARGET, Background, Database, Held, OpenLedger, claim, finish, finish_all, query, request, wrong
from fix_proxy import Proxy

from strandline import _core
from strandline.errors import ConfigError, Conflict

NOTHING = {"rows": None, "deleted": None, "before": None, "after": None, "size": 0, "started": 0}  # an empty page

# Parents that end at once ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("children", [1, 20])
def test_two_parents_end_at_once(
    children: int,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    first, second = claim(ledger, ledger.plan(request(0, 20)))
    child = ledger.plan(asked("gauge", 0, 10 * children, on(task=first.task_id), on(task=second.task_id)))
    assert state(database, child)[2] == 2
    one, other = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("tx.commit")
    a = background(finish, one, first)
    held.wait()
    b = background(finish, other, second)
    database.wait_until_blocked(other.backend_pid, by=one.backend_pid)
    held.forward()
    a.result()
    b.result()
    assert state(database, child)[2] == 0
    assert len(claim(ledger, child)) == children


def test_a_count_instead_of_a_subtraction_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database, background: Background
) -> None:
    """Each of the two counts what the other has not committed yet."""
    runs = claim(ledger, ledger.plan(request(0, 20)))
    child = ledger.plan(asked("gauge", 0, 10, *(on(task=run.task_id) for run in runs)))
    ending = [held(), held()]
    for connection, run in zip(ending, runs, strict=True):
        connection.text(
            "update strandline.ing_task_dependency set satisfied = true where requires_task_id = $1", run.task_id
        )
    count = (
        "update strandline.ing_task c set unmet = (select count(*) from strandline.ing_task_dependency e"
        " where e.task_id = c.id and not e.satisfied) where c.id = $1"
    )
    task = only_task(database, child)
    ending[0].text(count, task)
    waiting = background(ending[1].text, count, task)
    database.wait_until_blocked(ending[1].pid, by=ending[0].pid)
    ending[0].commit()
    waiting.result()
    ending[1].commit()
    assert state(database, child)[2] == 1  # and nobody is left


def three_parents(ledger: _core.Ledger) -> tuple[list[_core.Run], Plan]:
    runs = claim(ledger, ledger.plan(request(0, 30)))
    return runs, ledger.plan(asked("gauge", 0, 10, *(on(task=run.task_id) for run in runs)))


def test_three_parents_in_one_leave(ledger: _core.Ledger, database: Database) -> None:
    runs, child = three_parents(ledger)
    assert ledger.finish(runs, TARGET, [NOTHING for _ in runs], lease=1_000_000) == ["SUCCEEDED"] * 3
    assert database.value("select count(distinct xmin::text) from strandline.ing_task_dependency") == 1
    assert state(database, child)[2] == 0


def test_a_row_for_each_parent_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """An UPDATE takes one of the rows that it finds for a target."""
    runs, child = three_parents(ledger)
    tasks = [run.task_id for run in runs]
    worker = held()
    worker.run("task.lock", tasks)
    ungrouped = wrong(
        "task.leave",
        (
            "select task_id, count(*)::int as n from d where task_id <> all($1::bigint[]) group by 1",
            "select task_id, 1 as n from d where task_id <> all($1::bigint[])",
        ),
    )
    worker.text(ungrouped, tasks, "SUCCEEDED", "DONE", 0, 0, 0)
    worker.commit()
    assert state(database, child)[2] == 2


# Children that come while their parent goes ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_a_child_planned_while_the_end_of_its_parent_is_held(
    end: str, ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker, planner = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("tx.commit")
    a = background(finish if end == "SUCCEEDED" else fail, worker, run)
    held.wait()
    b = background(planner.plan, asked("gauge", 0, 10, on(task=run.task_id)))
    database.wait_until_blocked(planner.backend_pid, by=worker.backend_pid)
    held.forward()
    a.result()
    child = b.result()
    if end == "SUCCEEDED":
        assert state(database, child)[2] == 0
        assert len(claim(ledger, child)) == 1
    else:
        assert state(database, child)[:2] == ("FAILED", "UPSTREAM_FAILED")
        assert plan_status(database, child) == child["status"] == "FAILED"


@pytest.mark.parametrize("together", [False, True], ids=["a commit", "many in one statement"])
def test_a_parent_ends_while_the_planner_of_its_child_is_held(
    together: bool,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    """The end waits for the planner, in a statement that does not see what the planner has written."""
    runs = claim(ledger, ledger.plan(request(0, 20)))
    planner, worker = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("plan.tasks_copy")
    a = background(planner.plan, asked("gauge", 0, 10, *(on(task=run.task_id) for run in runs)))
    held.wait()
    if together:
        b = background(worker.finish, runs, TARGET, [NOTHING for _ in runs], lease=1_000_000)
    else:
        b = background(lambda: [finish(worker, run) for run in runs])
    database.wait_until_blocked(worker.backend_pid, by=planner.backend_pid)
    held.forward()
    child = a.result()
    b.result()
    assert state(database, child)[2] == 0
    assert len(claim(ledger, child)) == 1
    assert "dependencies" not in {each["check"] for each in ledger.verify()}


def test_a_child_is_split_while_its_parent_ends_that_has_not_seen_it(
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    held: Callable[..., Held],
    database: Database,
    background: Background,
) -> None:
    """The end took its locks before there was a child. Its parts come to wait where it has looked already."""
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    planner, operator, worker = open_ledger(proxy.dsn), open_ledger(), held()
    stop = proxy.stop_at("plan.tasks_copy")
    a = background(planner.plan, asked("gauge", 0, 10, on(task=run.task_id)))
    stop.wait()
    b = background(worker.run, "task.lock", [run.task_id])
    database.wait_until_blocked(worker.pid, by=planner.backend_pid)
    stop.forward()
    child = a.result()
    assert [row["id"] for row in b.result()] == [run.task_id]
    c = background(operator.split, only_task(database, child), '{"strategy": "ID", "step": 5}', "suite")
    database.wait_until_blocked(operator.backend_pid, by=worker.pid)
    worker.run("task.leave", [run.task_id], "SUCCEEDED", "DONE", 0, 0, 0)
    worker.commit()
    c.result()
    assert [status for status, _ in states(database, child)] == ["CANCELLED", "QUEUED", "QUEUED"]
    assert len(claim(ledger, child)) == 2


def test_who_waits_read_with_the_lock_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database, background: Background
) -> None:
    """The statement that takes the lock sees the edges of the moment before it waited."""
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    child = ledger.plan(asked("gauge", 0, 10))
    task = only_task(database, child)
    worker, planner = held(), held()
    planner.run("gate.parents", [run.task_id], [])
    planner.text(EDGE, task, run.task_id)
    planner.text(WAITS, task)
    tied = wrong(
        "task.lock",
        (
            " as cancel",
            " as cancel, exists (select from strandline.ing_task_dependency where requires_task_id = t.id) as tied",
        ),
    )
    waiting = background(worker.text, tied, [run.task_id])
    database.wait_until_blocked(worker.pid, by=planner.pid)
    planner.commit()
    (row,) = waiting.result()
    assert not row["tied"]


@pytest.mark.parametrize("lock", ["", " for key share"], ids=["no lock", "key share"])
def test_parents_read_without_holding_them_wrong_form_breaks(
    lock: str, ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """FOR KEY SHARE is what a foreign key takes. The child waits for ever, and verify says so."""
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    child = ledger.plan(asked("gauge", 0, 10))
    worker, planner = held(), held()
    resolve(worker, run.task_id, "SUCCEEDED")
    planner.text("set local lock_timeout = '100ms'")
    (parent,) = planner.text(wrong("gate.parents", (" for share", lock)), [run.task_id], [])
    assert parent["status_code"] == "RUNNING"
    worker.commit()
    task = only_task(database, child)
    planner.text(EDGE, task, run.task_id)
    planner.text(WAITS, task)
    planner.commit()
    assert state(database, child)[2] == 1
    assert f"it waits for task {run.task_id}, which succeeded" in [each["message"] for each in ledger.verify()]


# Falls and revivals ---------------------------------------------------------------------------------------------------


def test_a_fall_and_a_retry_take_exactly_those_below(ledger: _core.Ledger, database: Database) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    child = ledger.plan(asked("gauge", 0, 10, on(task=run.task_id)))
    grandchild = ledger.plan(asked("third", 0, 10, on(task=only_task(database, child))))
    other = ledger.plan(asked("fourth", 0, 10, on(task=run.task_id, resolved=True)))
    fail(ledger, run)
    assert state(database, child)[:2] == state(database, grandchild)[:2] == ("FAILED", "UPSTREAM_FAILED")
    (running,) = claim(ledger, other)
    below = [only_task(database, plan) for plan in (child, grandchild)]
    assert ledger.retry({"task": run.task_id}, "suite") == [run.task_id, *below]
    assert state(database, child)[::2] == state(database, grandchild)[::2] == ("QUEUED", 1)
    assert database.run(running)["status_code"] == "PLANNED"
    for plan in (run.plan_id, child["plan_id"], grandchild["plan_id"]):
        finish_all(ledger, {"plan_id": plan, "cursor_id": run.cursor_id})
    assert state(database, grandchild)[0] == "SUCCEEDED"
    assert "dependencies" not in {each["check"] for each in ledger.verify()}


def test_an_edge_against_the_order_of_ids_is_refused(ledger: _core.Ledger, database: Database) -> None:
    """So no circle can be written, whatever a planner has overlooked."""
    first, second = claim(ledger, ledger.plan(request(0, 20)))
    with pytest.raises(psycopg.errors.CheckViolation):
        database.rows(EDGE, first.task_id, second.task_id)
    database.rows(EDGE, second.task_id, first.task_id)


def chain(ledger: _core.Ledger, database: Database, *codes: str) -> list[int]:
    """Tasks of which each waits for the one before it."""
    tasks: list[int] = []
    for code in codes:
        needs = [on(task=task) for task in tasks[-1:]]
        tasks.append(only_task(database, ledger.plan(asked(code, 0, 10, *needs))))
    return tasks


def test_a_great_grandchild_planned_while_its_ancestor_fails(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """The fall has counted whom it takes along and waits for the last of them, behind whom a planner writes another."""
    first, _, grandchild = chain(ledger, database, "meter", "gauge", "third")
    (run,) = ledger.claim("suite", 1, 1_000_000, pool="default")
    assert run.task_id == first
    planner, worker = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("plan.tasks_copy")
    a = background(planner.plan, asked("fourth", 0, 10, on(task=grandchild)))
    held.wait()
    b = background(fail, worker, run)
    database.wait_until_blocked(worker.backend_pid, by=planner.backend_pid)
    held.forward()
    last = a.result()
    assert b.result() == "FAILED"
    assert state(database, last)[:2] == ("FAILED", "UPSTREAM_FAILED")
    assert plan_status(database, last) == "FAILED"


def test_a_fall_that_looks_once_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database, background: Background
) -> None:
    first, child, grandchild = chain(ledger, database, "meter", "gauge", "third")
    claim(ledger, {"plan_id": database.task(first)["plan_id"]})
    last = ledger.plan(asked("fourth", 0, 10))
    planner, worker = held(), held()
    planner.run("gate.parents", [grandchild], [])
    planner.text(EDGE, only_task(database, last), grandchild)
    planner.text(WAITS, only_task(database, last))
    resolve(worker, first, "FAILED")
    doomed = [row["id"] for row in worker.run("task.doomed", [first])]
    assert doomed == [child, grandchild]
    waiting = background(worker.run, "task.lock_below", doomed)
    database.wait_until_blocked(worker.pid, by=planner.pid)
    planner.commit()
    waiting.result()
    worker.run("task.leave", doomed, "FAILED", "UPSTREAM_FAILED", 0, 0, 0)
    worker.commit()
    assert state(database, last)[::2] == ("QUEUED", 1)  # for ever


def test_a_child_is_not_retried_below_a_parent_that_stays_fallen(ledger: _core.Ledger, database: Database) -> None:
    first, second = claim(ledger, ledger.plan(request(0, 20)))
    child = ledger.plan(asked("gauge", 0, 10, on(task=first.task_id), on(task=second.task_id)))
    fail(ledger, first)
    fail(ledger, second)
    task = only_task(database, child)
    with pytest.raises(Conflict, match=f"task {task} needs task {first.task_id}, which is FAILED: retry that first"):
        ledger.retry({"task": task}, "suite")
    assert ledger.retry({"task": first.task_id}, "suite") == [first.task_id]
    assert state(database, child)[0] == "FAILED"
    assert ledger.retry({"task": second.task_id}, "suite") == [second.task_id, task]
    assert state(database, child) == ("QUEUED", "RETRIED", 2)


def test_a_retry_that_does_not_ask_for_the_parents_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    child = ledger.plan(asked("gauge", 0, 10, on(task=run.task_id)))
    fail(ledger, run)
    text = query("task.retry")
    start = text.index(" and not exists")
    worker = held()
    assert worker.text(text[:start] + text[text.index(" returning", start) :], only_task(database, child))
    worker.commit()
    assert state(database, child)[::2] == ("QUEUED", 1)  # for ever


def test_a_retry_of_a_task_while_a_child_is_planned_on_it(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """The child is born fallen, while the retry has counted whom it revives and waits for the parent."""
    parent = ledger.plan(request(0, 10))
    (run,) = claim(ledger, parent)
    fail(ledger, run)
    planner, retrier = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("plan.tasks_copy")
    a = background(planner.plan, asked("gauge", 0, 10, on(task=run.task_id)))
    held.wait()
    b = background(retrier.retry, {"task": run.task_id}, "suite")
    database.wait_until_blocked(retrier.backend_pid, by=planner.backend_pid)
    held.forward()
    child = a.result()
    assert b.result() == [run.task_id, only_task(database, child)]
    assert state(database, child)[::2] == ("QUEUED", 1)
    assert [plan_status(database, plan) for plan in (parent, child)] == ["ACTIVE", "ACTIVE"]


# Circles --------------------------------------------------------------------------------------------------------------


def test_a_retry_does_not_close_a_circle(ledger: _core.Ledger, database: Database) -> None:
    """Nobody waits for what is cancelled, so that others may come to wait until somebody loads its window."""
    gauge = ledger.plan(asked("gauge", 0, 10))
    valve = ledger.plan(asked("valve", 0, 20, on(cursor=gauge["cursor_id"])))
    meter = ledger.plan(asked("meter", 0, 20, on(plan=valve["plan_id"])))
    ledger.cancel({"plan": meter["plan_id"]}, "suite")
    last = ledger.plan(asked("gauge", 10, 20, on(cursor=meter["cursor_id"])))
    with pytest.raises(Conflict, match=f"plan:{meter['plan_id']} waits for plan {valve['plan_id']}, which has come to"):
        ledger.retry({"plan": meter["plan_id"]}, "suite")
    assert states(database, meter) == [("CANCELLED", "CANCELLED")] * 2
    assert plan_status(database, meter) == "CANCELLED"
    # As the message says: its window without the dependency, and everything ends.
    again = ledger.plan(asked("meter", 0, 20))
    for plan in (gauge, again, last, valve):
        finish_all(ledger, plan)
        ledger.fold_all()
        assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"


def test_two_planners_do_not_close_a_circle(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """Neither sees what the other has not committed: they take turns."""
    gauge, valve = (ledger.plan(asked(code, 0, 10)) for code in ("gauge", "valve"))
    one, other = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("plan.tasks_copy")
    a = background(one.plan, asked("gauge", 10, 20, on(cursor=valve["cursor_id"])))
    held.wait()
    b = background(other.plan, asked("valve", 10, 20, on(cursor=gauge["cursor_id"])))
    database.wait_until_blocked(other.backend_pid, by=one.backend_pid)
    held.forward()
    a.result()
    with pytest.raises(ConfigError, match=r"gauge>.* waits for this plan's own window"):
        b.result()


def test_a_retry_and_a_planner_do_not_close_a_circle(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    gauge = ledger.plan(asked("gauge", 0, 10))
    meter = ledger.plan(asked("meter", 0, 20, on(cursor=gauge["cursor_id"])))
    ledger.cancel({"plan": meter["plan_id"]}, "suite")
    planner, retrier = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("plan.tasks_copy")
    a = background(planner.plan, asked("gauge", 10, 20, on(cursor=meter["cursor_id"])))
    held.wait()
    b = background(retrier.retry, {"plan": meter["plan_id"]}, "suite")
    database.wait_until_blocked(retrier.backend_pid, by=planner.backend_pid)
    held.forward()
    a.result()
    with pytest.raises(Conflict, match=r"waits for gauge>.*, which has come to wait for it"):
        b.result()


# What others load, and what stays fallen ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [10, 5], ids=["the same cuts", "other cuts"])
def test_dependents_of_a_plan_go_on_when_another_has_loaded_its_window(
    step: int, ledger: _core.Ledger, database: Database
) -> None:
    """Before any fold: whoever closes the other plan is the only one who looks."""
    gauge = ledger.plan(asked("gauge", 0, 20))
    child = ledger.plan(asked("meter", 0, 10, on(plan=gauge["plan_id"])))
    ledger.cancel({"plan": gauge["plan_id"]}, "suite")
    again = ledger.plan(asked("gauge", 0, 20, step=step))
    for run in claim(ledger, again):
        finish(ledger, run)
    assert ledger.close_plan(again["plan_id"]) == "SUCCEEDED"
    assert plan_status(database, gauge) == "SUCCEEDED"
    assert state(database, child)[::2] == ("QUEUED", 0)


def test_what_was_cancelled_is_not_queued_again_when_others_load_the_rest(
    ledger: _core.Ledger, database: Database
) -> None:
    gauge = ledger.plan(asked("gauge", 0, 20))
    child = ledger.plan(asked("meter", 0, 10, on(plan=gauge["plan_id"])))
    ledger.cancel({"plan": gauge["plan_id"]}, "suite")
    half = ledger.plan(asked("gauge", 0, 10, step=5))
    finish_all(ledger, half)
    assert ledger.close_plan(half["plan_id"]) == "SUCCEEDED"
    assert {status for status, _ in states(database, gauge)} == {"CANCELLED"}
    assert state(database, child)[:2] == ("FAILED", "UPSTREAM_FAILED")


def test_what_two_have_let_down_stays_fallen_when_one_of_them_is_mended(
    ledger: _core.Ledger, database: Database
) -> None:
    """Another plan loads what the one has failed to: whoever closes that plan is not told of the other."""
    gauge, valve = (ledger.plan(asked(code, 0, 10)) for code in ("gauge", "valve"))
    child = ledger.plan(asked("meter", 0, 10, on(plan=gauge["plan_id"]), on(plan=valve["plan_id"])))
    ledger.cancel({"plan": gauge["plan_id"]}, "suite")
    ledger.cancel({"plan": valve["plan_id"]}, "suite")
    again = ledger.plan(asked("gauge", 0, 10, step=5))
    finish_all(ledger, again)
    assert ledger.close_plan(again["plan_id"]) == "SUCCEEDED"
    assert state(database, child)[:2] == ("FAILED", "UPSTREAM_FAILED")
    ledger.retry({"plan": valve["plan_id"]}, "suite")
    assert state(database, child)[::2] == ("QUEUED", 1)


def test_a_retry_of_what_stays_fallen_brings_back_nobody_below_it(ledger: _core.Ledger, database: Database) -> None:
    first, second, third = (asked(code, 0, 10) for code in ("gauge", "valve", "meter"))
    a = ledger.plan(first)
    b = ledger.plan({**second, "depends_on": [on(plan=a["plan_id"])]})
    c = ledger.plan({**third, "depends_on": [on(plan=b["plan_id"])]})
    ledger.cancel({"plan": b["plan_id"]}, "suite")
    ledger.cancel({"plan": a["plan_id"]}, "suite")
    with pytest.raises(Conflict, match=f"needs plan {a['plan_id']}, which is CANCELLED: retry that first"):
        ledger.retry({"plan": b["plan_id"]}, "suite")
    assert state(database, c)[:2] == ("FAILED", "UPSTREAM_FAILED")
    ledger.retry({"plan": a["plan_id"]}, "suite")
    ledger.retry({"plan": b["plan_id"]}, "suite")
    assert [state(database, plan)[0] for plan in (a, b, c)] == ["QUEUED"] * 3


def test_a_plan_that_left_its_window_to_others_is_waited_for_with_them(
    ledger: _core.Ledger, database: Database
) -> None:
    gauge = ledger.plan(asked("gauge", 0, 20))
    same = ledger.plan(asked("gauge", 0, 10))
    assert (same["status"], same["reason_code"]) == ("SUCCEEDED", "IN_FLIGHT")
    child = ledger.plan(asked("meter", 0, 10, on(plan=same["plan_id"])))
    assert state(database, child)[::2] == ("QUEUED", 1)
    finish_all(ledger, gauge)
    assert ledger.close_plan(gauge["plan_id"]) == "SUCCEEDED"
    assert state(database, child)[::2] == ("QUEUED", 0)


def test_a_slice_that_was_split_is_not_waited_for(ledger: _core.Ledger, database: Database) -> None:
    gauge = ledger.plan(asked("gauge", 0, 10))
    task = only_task(database, gauge)
    ledger.split(task, '{"strategy": "ID", "step": 5}', "suite")
    with pytest.raises(ConfigError, match=f"task {task} was split; name its plan"):
        ledger.plan(asked("meter", 0, 10, on(task=task)))
