"""Gates: what stands for a plan, or for a stream's coverage, is made once, opened once and closed with its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fix_dependency import EDGE, WAITS, Plan, asked, fail, gates, on, only_task, plan_status, state
from fix_ledger import Background, Database, Held, OpenLedger, claim, finish, finish_all, query, request, wrong
from fix_proxy import Proxy

from strandline import _core

# Gates of plans -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["plan", "cursor"])
def test_two_planners_make_one_gate_at_once(
    of: str, ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    parent = ledger.plan(request(0, 10))
    needs = on(**{of: parent[f"{of}_id"]})
    one, other = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("gate.parents")
    a = background(one.plan, asked("gauge", 0, 10, needs))
    held.wait()
    b = background(other.plan, asked("third", 0, 10, needs))
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
    """A gate for a plan that closes without seeing it: its tasks wait for ever."""
    parent = ledger.plan(request(0, 10))
    finish_all(ledger, parent)
    child = ledger.plan(asked("gauge", 0, 10))
    closer, planner = held(), held()
    closer.run("plan.close_lock", parent["plan_id"])
    assert closer.run("plan.close", parent["plan_id"]) == [{"status_code": "SUCCEEDED"}]
    assert closer.run("gate.of_plan", parent["plan_id"]) == []
    (seen,) = planner.text(wrong("gate.plans", (" for share of p", "")), [parent["plan_id"]])
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
    assert claim(ledger, child) == []


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
    look = proxy.stop_at("cursor.write")
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
