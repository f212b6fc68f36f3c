"""The close of a plan: once, after its last task, and never over the head of a retry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fix_ledger import LEASE, Background, Database, Held, OpenLedger, claim, finish, request
from fix_proxy import Proxy

from strandline import _core

CAUSE = {"origin": "provider", "kind": "fatal", "message": "no", "where": None}


def status(database: Database, plan: dict[str, Any]) -> str:
    found: str = database.value("select status_code from strandline.ing_plan where id = $1::bigint", plan["plan_id"])
    return found


def test_the_last_two_tasks_end_at_once(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 20))
    first, second = claim(ledger, plan)
    other = open_ledger(proxy.dsn)
    held = proxy.stop_at("tx.commit")
    a = background(finish, other, first)
    held.wait()
    finish(ledger, second)
    assert ledger.close_plan(plan["plan_id"]) is None  # the first one has not ended yet
    assert status(database, plan) == "ACTIVE"
    held.forward()
    a.result()
    assert other.close_plan(plan["plan_id"]) == "SUCCEEDED"
    assert ledger.close_plan(plan["plan_id"]) is None


def test_two_closes_at_once_close_once(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    finish(ledger, claim(ledger, plan)[0])
    first, second = open_ledger(proxy.dsn), open_ledger()
    look = proxy.stop_at("plan.close")
    a = background(first.close_plan, plan["plan_id"])
    held = look.then("tx.commit")
    b = background(second.close_plan, plan["plan_id"])
    database.wait_until_blocked(second.backend_pid, by=first.backend_pid)
    held.forward()
    assert (a.result(), b.result()) == ("SUCCEEDED", None)


def test_a_close_inside_the_done_commit_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """Each of the last two looks before its own commit, and neither sees the other."""
    plan = ledger.plan(request(0, 20))
    runs = claim(ledger, plan)
    connections = [held(), held()]
    for run, connection in zip(runs, connections, strict=True):
        connection.run("task.lock", [run.task_id])
        connection.run("task.leave", [run.task_id], "SUCCEEDED", "DONE", 0, 0, 0)
    assert [connection.run("plan.close", plan["plan_id"]) for connection in connections] == [[], []]
    for connection in connections:
        connection.commit()
    assert status(database, plan) == "ACTIVE"  # and nobody is left


def failed_plan(ledger: _core.Ledger, *, closed: bool) -> tuple[dict[str, Any], int]:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    assert ledger.fail(run, CAUSE, reason="PROVIDER_ERROR", retryable=False, backoff=[]) == "FAILED"
    if closed:
        assert ledger.close_plan(plan["plan_id"]) == "FAILED"
    return plan, run.task_id


def test_a_close_against_a_held_retry_leaves_the_plan_open(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan, task = failed_plan(ledger, closed=False)
    retrier, closer = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("tx.commit")
    retry = background(retrier.retry, {"task": task}, "suite")
    held.wait()
    close = background(closer.close_plan, plan["plan_id"])
    database.wait_until_blocked(closer.backend_pid, by=retrier.backend_pid)
    held.forward()
    assert retry.result() == [task]
    assert close.result() is None
    assert status(database, plan) == "ACTIVE"


def test_a_retry_against_a_held_close_opens_the_plan_again(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan, task = failed_plan(ledger, closed=False)
    closer, retrier = open_ledger(proxy.dsn), open_ledger()
    look = proxy.stop_at("plan.close")
    close = background(closer.close_plan, plan["plan_id"])
    held = look.then("tx.commit")
    retry = background(retrier.retry, {"task": task}, "suite")
    database.wait_until_blocked(retrier.backend_pid, by=closer.backend_pid)
    held.forward()
    assert close.result() == "FAILED"
    assert retry.result() == [task]
    assert status(database, plan) == "ACTIVE"


def test_a_retry_opens_a_closed_plan_and_its_end_closes_it(ledger: _core.Ledger, database: Database) -> None:
    plan, task = failed_plan(ledger, closed=True)
    assert ledger.retry({"task": task}, "suite") == [task]
    assert status(database, plan) == "ACTIVE"
    (run,) = ledger.claim("suite", 1, LEASE, plans=[plan["plan_id"]])
    finish(ledger, run)
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"


def test_a_close_without_its_lock_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database, background: Background
) -> None:
    """plan.close alone waits for the retry as well, and then goes on with the counts from before it."""
    plan, task = failed_plan(ledger, closed=False)
    retry, close = held(), held()
    retry.run("task.retry_plans", [plan["plan_id"]])
    retry.run("task.lock", [task])
    assert retry.run("task.retry", task)
    waiting = background(close.run, "plan.close", plan["plan_id"])
    database.wait_until_blocked(close.pid, by=retry.pid)
    retry.commit()
    assert waiting.result() == [{"status_code": "FAILED"}]
    close.commit()
    assert database.task(task)["status_code"] == "QUEUED"  # in a plan that is over


def test_a_plan_whose_tasks_all_went_to_a_later_one_did_nothing(ledger: _core.Ledger, database: Database) -> None:
    plan, _ = failed_plan(ledger, closed=False)
    later = ledger.plan(request(0, 10))
    assert later["slices"] == 1
    assert ledger.close_plan(plan["plan_id"]) == "CANCELLED"
    found = database.value("select reason_code from strandline.ing_plan where id = $1::bigint", plan["plan_id"])
    assert found == "REOPENED"
