"""Dependencies: no wake-up is lost when parents end, fall, are asked for again or gain children, all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from fix_ledger import TARGET, Background, Database, Held, OpenLedger, claim, finish, finish_all, query, request, wrong
from fix_proxy import Proxy

from strandline import _core

CAUSE = {"origin": "source", "kind": "fatal", "message": "no", "where": None}
Plan = dict[str, Any]

# What a planner writes of a dependency, beside the task: $1 child, $2 parent.
EDGE = "insert into strandline.ing_task_dependency (task_id, requires_task_id) values ($1::bigint, $2::bigint)"
WAITS = "update strandline.ing_task set unmet = unmet + 1 where id = $1::bigint"


def asked(code: str, lo: int, hi: int, *needs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A plan request of source `code`, each with a cursor of its own, that waits for `needs`."""
    return request(
        lo,
        hi,
        provenance={"code": code, "reference": "tests:Meter", "version": "1", "config": {}, "labels": {}},
        stream={"name": "readings", **TARGET, "columns": None, "contract": {}},
        depends_on=list(needs),
        **changes,
    )


def on(resolved: bool = False, **of: int) -> dict[str, Any]:
    """`on(task=1)`, `on(plan=1)`, `on(cursor=1)`: needed, in any end of it if `resolved`."""
    return {**of, "resolved": resolved}


def fail(ledger: _core.Ledger, run: _core.Run) -> str:
    return ledger.fail(run, CAUSE, reason="FATAL", retryable=False, backoff=[])


def resolve(held: Held, task: int, status: str) -> None:
    """Ends a task as its worker would, in a transaction that stays open."""
    held.run("task.lock", [task])
    held.run("task.leave", [task], status, "DONE", 0, 0, 0)


def only_task(database: Database, plan: Plan) -> int:
    found: int = database.value("select id from strandline.ing_task where plan_id = $1::bigint", plan["plan_id"])
    return found


def state(database: Database, plan: Plan) -> tuple[str, str | None, int]:
    """Status, reason and number of things waited for, which are the same for all tasks of a plan."""
    (row,) = database.rows(
        "select distinct status_code, reason_code, unmet from strandline.ing_task where plan_id = $1::bigint",
        plan["plan_id"],
    )
    return row["status_code"], row["reason_code"], row["unmet"]


def plan_status(database: Database, plan: Plan) -> str:
    found: str = database.value("select status_code from strandline.ing_plan where id = $1::bigint", plan["plan_id"])
    return found


def gates(database: Database) -> list[str]:
    rows = database.rows("select status_code from strandline.ing_task where kind_code = 'GATE' order by id desc")
    return [row["status_code"] for row in rows]


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
    pages = [{"rows": None, "deleted": None, "before": None, "after": None, "size": 0, "started": 0} for _ in runs]
    assert ledger.finish(runs, TARGET, pages, lease=1_000_000) == ["SUCCEEDED"] * 3
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
    waiting = background(worker.run, "task.lock", doomed)
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
    assert ledger.retry({"task": task}, "suite") == []
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


# Gates of plans -------------------------------------------------------------------------------------------------------


def test_two_planners_make_the_gate_of_one_plan_at_once(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    parent = ledger.plan(request(0, 10))
    one, other = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("gate.parents")
    a = background(one.plan, asked("gauge", 0, 10, on(plan=parent["plan_id"])))
    held.wait()
    b = background(other.plan, asked("third", 0, 10, on(plan=parent["plan_id"])))
    database.wait_until_blocked(other.backend_pid, by=one.backend_pid)
    held.forward()
    children = [a.result(), b.result()]
    assert gates(database) == ["QUEUED"]
    assert [state(database, child)[2] for child in children] == [1, 1]
    finish_all(ledger, parent)
    assert ledger.close_plan(parent["plan_id"]) == "SUCCEEDED"
    assert [state(database, child)[2] for child in children] == [0, 0]


def test_a_gate_made_and_found_in_one_statement_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database, background: Background
) -> None:
    """The second planner waits for the first one's gate, makes none, and has a snapshot from before it."""
    parent = ledger.plan(request(0, 10))
    at_once = (
        f"with made as ({query('gate.plan')} returning id) select id from made union all"
        " select id from strandline.ing_task where idempotent_key = strandline.gate_key('plan:' || $1::bigint)"
    )
    first, second = held(), held()
    assert len(first.text(at_once, parent["plan_id"])) == 1
    waiting = background(second.text, at_once, parent["plan_id"])
    database.wait_until_blocked(second.pid, by=first.pid)
    first.commit()
    assert waiting.result() == []  # nothing to wait for, while the plan is not over


def close_held(
    ledger: _core.Ledger, proxy: Proxy, closer: _core.Ledger, background: Background, plan: Plan
) -> tuple[Any, Any]:
    """A close that has done all and not committed: its stop and its answer to come."""
    look = proxy.stop_at("plan.close")
    answer = background(closer.close_plan, plan["plan_id"])
    return look.then("tx.commit"), answer


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_a_child_planned_while_the_close_of_its_parent_plan_is_held(
    end: str, ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    parent = ledger.plan(request(0, 10))
    (run,) = claim(ledger, parent)
    (finish if end == "SUCCEEDED" else fail)(ledger, run)
    closer, planner = open_ledger(proxy.dsn), open_ledger()
    held, close = close_held(ledger, proxy, closer, background, parent)
    b = background(planner.plan, asked("gauge", 0, 10, on(plan=parent["plan_id"])))
    database.wait_until_blocked(planner.backend_pid, by=closer.backend_pid)
    held.forward()
    assert close.result() == end
    child = b.result()
    if end == "SUCCEEDED":
        assert gates(database) == []
        assert len(claim(ledger, child)) == 1
    else:
        assert gates(database) == ["FAILED"]
        assert (state(database, child)[:2], child["status"]) == (("FAILED", "UPSTREAM_FAILED"), "FAILED")


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_a_plan_closes_while_a_planner_has_made_its_gate(
    end: str, ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    parent = ledger.plan(request(0, 10))
    (run,) = claim(ledger, parent)
    (finish if end == "SUCCEEDED" else fail)(ledger, run)
    planner, closer = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("plan.tasks_copy")
    a = background(planner.plan, asked("gauge", 0, 10, on(plan=parent["plan_id"])))
    held.wait()
    b = background(closer.close_plan, parent["plan_id"])
    database.wait_until_blocked(closer.backend_pid, by=planner.backend_pid)
    held.forward()
    child = a.result()
    assert b.result() == end
    if end == "SUCCEEDED":
        assert gates(database) == ["SUCCEEDED"]
        assert len(claim(ledger, child)) == 1
    else:
        assert state(database, child)[:2] == ("FAILED", "UPSTREAM_FAILED")
        assert plan_status(database, child) == "FAILED"


def test_a_plan_looked_at_without_holding_it_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """A gate for a plan that closes without seeing it. The reaper finds those, whoever left them."""
    parent = ledger.plan(request(0, 10))
    finish_all(ledger, parent)
    child = ledger.plan(asked("gauge", 0, 10))
    closer, planner = held(), held()
    closer.run("plan.close_lock", parent["plan_id"])
    assert closer.run("plan.close", parent["plan_id"]) == [{"status_code": "SUCCEEDED"}]
    assert closer.run("gate.of_plan", parent["plan_id"]) == []
    (seen,) = planner.text(wrong("gate.plans", (" for share", "")), [parent["plan_id"]])
    assert seen["status_code"] == "ACTIVE"
    planner.run("gate.plan", parent["plan_id"])
    closer.commit()
    (gate,) = planner.run("gate.parents", [], [f"plan:{parent['plan_id']}"])
    planner.text(EDGE, only_task(database, child), gate["id"])
    planner.text(WAITS, only_task(database, child))
    planner.commit()
    assert ledger.close_plan(parent["plan_id"]) is None
    assert state(database, child)[::2] == ("QUEUED", 1)
    ledger.reap()
    assert len(claim(ledger, child)) == 1


# Gates of streams -----------------------------------------------------------------------------------------------------


def test_a_planner_is_held_with_its_gate_while_a_fold_reaches_the_bound(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """The fold does not see the gate: the planner's own look opens it."""
    parent = ledger.plan(request(0, 10))
    finish(ledger, claim(ledger, parent)[0])
    planner = open_ledger(proxy.dsn)
    held = proxy.stop_at("plan.tasks_copy")
    a = background(planner.plan, asked("gauge", 0, 10, on(cursor=parent["cursor_id"])))
    held.wait()
    assert ledger.fold(parent["cursor_id"]) == 1
    assert gates(database) == []
    held.forward()
    child = a.result()
    assert gates(database) == ["SUCCEEDED"]
    assert len(claim(ledger, child)) == 1


def test_a_child_is_planned_while_the_fold_that_reaches_its_bound_is_held(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """The planner does not see the new mark: the fold's own look opens the gate."""
    parent = ledger.plan(request(0, 10))
    finish(ledger, claim(ledger, parent)[0])
    folder = open_ledger(proxy.dsn)
    look = proxy.stop_at("cursor.event")
    a = background(folder.fold, parent["cursor_id"])
    held = look.then("tx.commit")
    child = ledger.plan(asked("gauge", 0, 10, on(cursor=parent["cursor_id"])))
    assert (gates(database), state(database, child)[2]) == (["QUEUED"], 1)
    held.forward()
    assert a.result() == 1
    assert gates(database) == ["SUCCEEDED"]
    assert len(claim(ledger, child)) == 1


@pytest.mark.parametrize("who", ["planner", "folder"])
def test_only_one_of_the_two_looks_wrong_form_breaks(
    who: str, ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """A planner, or a folder, that goes away with its commit. The reaper looks for both."""
    parent = ledger.plan(request(0, 10))
    finish(ledger, claim(ledger, parent)[0])
    child = ledger.plan(asked("gauge", 0, 10))
    planner = held()
    (seen,) = planner.run("gate.cursors", [parent["cursor_id"]])
    assert seen["value_norm"] == 0
    planner.run("gate.cover", parent["cursor_id"], 10)
    (gate,) = planner.run("gate.parents", [], [f"cursor:{parent['cursor_id']}:10"])
    planner.text(EDGE, only_task(database, child), gate["id"])
    planner.text(WAITS, only_task(database, child))
    if who == "planner":  # the folder has looked before its commit
        ledger.fold(parent["cursor_id"])
        planner.commit()
    else:  # the planner has looked; the fold moves the mark and ends there
        planner.commit()
        assert ledger.fetch("gate.due", parent["cursor_id"]) == []
        database.rows("update strandline.ing_cursor set value_norm = 10 where id = $1", parent["cursor_id"])
    assert ledger.fetch("gate.due", parent["cursor_id"]) == [{"id": gate["id"]}]
    assert claim(ledger, child) == []
    ledger.reap()
    assert len(claim(ledger, child)) == 1


# A retry of the upstream beside a close -------------------------------------------------------------------------------


@pytest.fixture
def fallen(ledger: _core.Ledger) -> tuple[Plan, Plan]:
    """A plan whose only task has failed, and one that waits for it; neither is closed."""
    parent = ledger.plan(request(0, 10))
    child = ledger.plan(asked("gauge", 0, 10, on(plan=parent["plan_id"])))
    fail(ledger, claim(ledger, parent)[0])
    return parent, child


def check_revived(ledger: _core.Ledger, database: Database, parent: Plan, child: Plan) -> None:
    """Both plans are open again, and come to a good end."""
    assert [plan_status(database, plan) for plan in (parent, child)] == ["ACTIVE", "ACTIVE"]
    assert state(database, child)[::2] == ("QUEUED", 1)
    for plan in (parent, child):
        finish_all(ledger, plan)
        assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    assert ledger.verify() == []


def test_a_retry_while_the_close_of_the_child_is_held(
    fallen: tuple[Plan, Plan],
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    parent, child = fallen
    closer, retrier = open_ledger(proxy.dsn), open_ledger()
    closes = proxy.stop_at("plan.close")  # of the parent
    a = background(closer.close_plan, parent["plan_id"])
    held = closes.then("plan.close").then("tx.commit")  # of the child, which fell with it
    b = background(retrier.retry, {"plan": parent["plan_id"]}, "suite")
    database.wait_until_blocked(retrier.backend_pid, by=closer.backend_pid)
    held.forward()
    assert a.result() == "FAILED"
    assert len(b.result()) == 2
    check_revived(ledger, database, parent, child)


def test_the_close_of_the_child_while_a_retry_is_held(
    fallen: tuple[Plan, Plan],
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    parent, child = fallen
    closer, retrier = open_ledger(proxy.dsn), open_ledger(proxy.dsn)
    closes = proxy.stop_at("plan.close")  # of the parent
    b = background(closer.close_plan, parent["plan_id"])
    between = closes.then("plan.close_look")  # of the child
    look = proxy.stop_at("task.retry")
    a = background(retrier.retry, {"plan": parent["plan_id"]}, "suite")
    held = look.then("tx.commit")
    between.forward()
    database.wait_until_blocked(closer.backend_pid, by=retrier.backend_pid)
    held.forward()
    assert len(a.result()) == 2
    assert b.result() == "FAILED"
    check_revived(ledger, database, parent, child)


def test_a_retry_while_the_close_of_the_upstream_is_held(
    fallen: tuple[Plan, Plan],
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    """It has looked for the gate and for those below it before they fell."""
    parent, child = fallen
    closer, retrier = open_ledger(proxy.dsn), open_ledger()
    held, close = close_held(ledger, proxy, closer, background, parent)
    b = background(retrier.retry, {"plan": parent["plan_id"]}, "suite")
    database.wait_until_blocked(retrier.backend_pid, by=closer.backend_pid)
    held.forward()
    assert close.result() == "FAILED"
    assert len(b.result()) == 2
    check_revived(ledger, database, parent, child)


def test_a_retry_while_a_child_is_planned_on_what_failed(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """The planner makes the gate, as FAILED, behind the back of the retry."""
    parent = ledger.plan(request(0, 10))
    fail(ledger, claim(ledger, parent)[0])
    assert ledger.close_plan(parent["plan_id"]) == "FAILED"
    planner, retrier = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("gate.parents")
    a = background(planner.plan, asked("gauge", 0, 10, on(plan=parent["plan_id"])))
    held.wait()
    b = background(retrier.retry, {"plan": parent["plan_id"]}, "suite")
    database.wait_until_blocked(retrier.backend_pid, by=planner.backend_pid)
    held.forward()
    child = a.result()
    b.result()
    later = ledger.plan(asked("third", 0, 10, on(plan=parent["plan_id"])))
    assert state(database, later)[0] == "QUEUED"  # the plan that it waits for is open
    check_revived(ledger, database, parent, child)
