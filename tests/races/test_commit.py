"""The commit of a page against a repetition of itself and against a cancel of its task."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from fix_ledger import (
    LEASE,
    TARGET,
    Background,
    Database,
    Held,
    OpenLedger,
    claim,
    finish,
    page,
    request,
    wrong,
)
from fix_proxy import Proxy

from strandline import _core, errors
from strandline.errors import Cancelled

NO_BATCH_NO = (" and batch_no = $3", " and $3::int is not null")


def one_page(held: Held, run: _core.Run, fence: str) -> bool:
    """Stores the row 1 behind a fence, as the commit of a first page does; True when the fence let it through."""
    held.text("insert into public.readings (id) values (1)")
    rows = held.text(fence, run.task_id, run.attempt_no, 0, 1, LEASE, None, 1, False, None)
    if rows:
        held.commit()
    else:
        held.rollback()
    return bool(rows)


def test_the_same_fence_twice(ledger: _core.Ledger, held: Callable[..., Held], database: Database) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker = held()
    fence = wrong("run.fence")
    assert one_page(worker, run, fence)
    assert not one_page(worker, run, fence)
    assert database.ids() == [1]


def test_a_fence_without_batch_no_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker = held()
    fence = wrong("run.fence", NO_BATCH_NO)
    assert one_page(worker, run, fence)
    assert one_page(worker, run, fence)
    assert database.ids() == [1, 1]


def test_a_fence_that_finds_no_row_looks_before_it_gives_up(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """No row has two meanings. Which one it is, the batch says: here it is stored."""
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    content = page([1], after=1)
    ledger.commit(run, TARGET, [content], done=False, lease=LEASE)
    other = held()
    assert other.run("run.fence", run.task_id, run.attempt_no, 0, 1, LEASE, None, 1, False, None) == []
    assert other.run("run.doubt_lock", run.task_id, run.attempt_no)[0]["status_code"] == "RUNNING"
    (found,) = other.run("run.doubt_look", run.task_id, 1)
    assert (found["run_id"], found["content_digest"]) == (run.run_id, content["rows"].digest)
    assert database.ids() == [1]


# A cancel beside the last page ---------------------------------------------------------------------------------------


def test_a_cancel_waits_for_a_last_page_that_has_its_task(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker, canceller = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("run.fence")
    a = background(finish, worker, run)
    held.wait()
    b = background(canceller.cancel, {"task": run.task_id}, "suite")
    database.wait_until_blocked(canceller.backend_pid, by=worker.backend_pid)
    held.forward()
    assert a.result()["records"] == 10
    assert b.result() == []
    task = database.task(run.task_id)
    assert (task["status_code"], task["cancel_requested_at"]) == ("SUCCEEDED", None)
    assert database.run(run)["status_code"] == "SUCCEEDED"
    assert database.ids() == list(range(10))


def test_a_last_page_waits_for_a_cancel_that_has_its_task(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    worker, canceller = open_ledger(), open_ledger(proxy.dsn)
    held = proxy.stop_at("tx.commit")
    b = background(canceller.cancel, {"task": run.task_id}, "suite")
    held.wait()
    a = background(finish, worker, run)
    database.wait_until_blocked(worker.backend_pid, by=canceller.backend_pid)
    held.forward()
    assert b.result() == [{"task_id": run.task_id, "status": "RUNNING"}]
    with pytest.raises(Cancelled):
        a.result()
    assert database.task(run.task_id)["status_code"] == "CANCELLED"
    assert database.run(run)["status_code"] == "CANCELLED"
    assert database.ids() == []
    assert database.missing(plan["cursor_id"], 0, 10) == [(0, 10)]


def last_page(held: Held, run: _core.Run, *, task_first: bool) -> None:
    """The ledger's part of a last page up to its fence."""
    if task_first:
        held.run("task.lock", [run.task_id])
    held.run("run.fence", run.task_id, run.attempt_no, 0, 1, LEASE, None, 0, True, None)


def cancel(held: Held, run: _core.Run) -> None:
    """A cancel that waits for the run's row."""
    held.run("task.lock", [run.task_id])
    held.run("task.cancel_ask", [run.task_id])
    held.text(wrong("run.cancel_copy", (" skip locked", "")), [run.task_id])
    held.commit()


def test_task_before_run_does_not_deadlock(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database, background: Background
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    a, b = held(), held()
    last_page(a, run, task_first=True)
    waiting = background(cancel, b, run)
    database.wait_until_blocked(b.pid, by=a.pid)
    a.run("task.leave", [run.task_id], "SUCCEEDED", "DONE", 0, 0, 0)
    a.commit()
    waiting.result()
    assert database.task(run.task_id)["status_code"] == "SUCCEEDED"


def test_run_before_task_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database, background: Background
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    a, b = held(), held()
    a.text("set local deadlock_timeout = '10ms'")
    last_page(a, run, task_first=False)
    waiting = background(cancel, b, run)
    database.wait_until_blocked(b.pid, by=a.pid)
    with pytest.raises(psycopg.errors.DeadlockDetected):
        a.run("task.leave", [run.task_id], "SUCCEEDED", "DONE", 0, 0, 0)
    a.rollback()
    waiting.result()


def test_a_closed_ledger_stays_closed(ledger: _core.Ledger) -> None:
    """A late call must not open a connection that nobody closes."""
    ledger.close()
    with pytest.raises(errors.Error, match="the connection was closed"):
        ledger.now()
