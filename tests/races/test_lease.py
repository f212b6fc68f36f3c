"""Leases: what may happen to a run while its page is open, while its process is stopped, and after a cancel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import fix_ledger
import generate
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
    query,
    request,
    wrong,
)
from fix_proxy import Proxy

from strandline import _core
from strandline.errors import Cancelled, LeaseLost

# The backend that holds the row of a task's only run.
HOLDER = (
    "select l.pid from strandline.ing_task_run r join pg_locks l on l.locktype = 'transactionid'"
    " and l.transactionid = r.xmax and l.granted where r.task_id = $1::bigint"
)

HUGE = 100_000  # rows: more than the sockets between a client and its server hold

READING = (
    "exists (select from pg_stat_activity where datname = current_database() and state = 'active'"
    " and wait_event = 'ClientRead' and query ilike '%copy%')"
)


# A process that is stopped in a COPY ----------------------------------------------------------------------------------


def work(dsn: str, plan_id: int) -> None:
    """The process that will be stopped: claims one slice and commits a page that takes many messages."""
    ledger = _core.Ledger(dsn)
    (run,) = ledger.claim("stopped", 1, LEASE, plans=[plan_id])
    content = page(range(HUGE))
    try:
        ledger.commit(run, TARGET, [content], done=True, lease=LEASE)
        print("committed")
    except LeaseLost:
        print("LeaseLost")


@pytest.fixture
def stopped_in_copy(proxy: Proxy, ledger: _core.Ledger) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A worker process that stands still in the middle of a COPY, and its plan of one slice."""
    plan = ledger.plan(request(0, 10))
    stop = proxy.stop_in_copy()
    path = os.pathsep.join([os.path.dirname(fix_ledger.__file__), str(generate.ROOT)])
    command = [sys.executable, __file__, proxy.dsn, str(plan["plan_id"])]
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            stop.wait()
            process.send_signal(signal.SIGSTOP)
            stop.forward()  # what the process has sent already; the rest never comes
            yield process, plan
        finally:
            process.kill()


def test_a_process_stopped_in_copy_is_reaped_at_once(
    stopped_in_copy: tuple[subprocess.Popen[str], dict[str, object]], ledger: _core.Ledger, database: Database
) -> None:
    process, plan = stopped_in_copy
    database.wait_until(READING)
    database.wait_until("select bool_and(leased_until < clock_timestamp()) from strandline.ing_task_run")
    assert ledger.reap(lease=LEASE)["lost"] == 1
    database.wait_until("select bool_and(scheduled_at < clock_timestamp()) from strandline.ing_task")
    (run,) = claim(ledger, plan)
    finish(ledger, run)
    process.send_signal(signal.SIGCONT)
    assert process.stdout is not None
    assert process.stdout.read() == "LeaseLost\n"
    assert database.ids() == list(range(10))
    assert ledger.fold_all() == 1
    ledger.close_plan(run.plan_id)
    assert ledger.verify() == []


def test_a_fence_before_copy_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """No limit of the server reaches a client that is stopped in a COPY, and now it holds its run."""
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker = held()
    worker.run("run.fence", run.task_id, run.attempt_no, 0, 1, LEASE, None, 1, False, None)
    worker.text("set local statement_timeout = '10min'")
    worker.text("set local idle_in_transaction_session_timeout = '200ms'")
    copying = worker.connection.cursor().copy("copy public.readings (id) from stdin")
    with copying as copy:
        copy.write("1\n")
        database.wait_until(READING)
        database.wait_until_lease_over(run)
        database.wait_until(
            "select query_start < clock_timestamp() - interval '400ms' from pg_stat_activity where pid = $1::int",
            worker.pid,
        )
        assert ledger.reap(lease=LEASE)["lost"] == 0
        assert database.run(run)["status_code"] == "PLANNED"
    worker.rollback()
    assert ledger.reap(lease=LEASE)["lost"] == 1


# A run whose page is open ---------------------------------------------------------------------------------------------


def test_nobody_waits_for_a_run_behind_its_fence(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker = open_ledger(proxy.dsn)
    held = proxy.stop_at("run.batches")
    a = background(worker.commit, run, TARGET, [page([0], after=1)], done=False, lease=20 * LEASE)
    held.wait()
    assert ledger.fetch("run.renew", [run.task_id], [run.attempt_no], LEASE) == []
    assert ledger.cancel({"task": run.task_id}, "suite") == [{"task_id": run.task_id, "status": "RUNNING"}]
    database.wait_until_lease_over(run)
    assert ledger.reap(lease=LEASE)["lost"] == 0
    assert database.value(HOLDER, run.task_id) == worker.backend_pid
    assert not a.done()
    held.forward()
    assert a.result()["records"] == 1
    assert database.run(run)["cancel_requested_at"] is None  # the copy passed it by
    with pytest.raises(Cancelled):
        worker.commit(run, TARGET, [page([1])], done=True, lease=LEASE)
    assert database.task(run.task_id)["status_code"] == "CANCELLED"
    assert database.ids() == [0]


def test_a_renewal_brings_back_the_cancel(
    dsn: str, ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker = open_ledger(proxy.dsn)
    renewer = _core.Renewer(dsn, "strandline", LEASE)
    try:
        renewer.add(run)
        held = proxy.stop_at("run.batches")
        a = background(worker.commit, run, TARGET, [page([0], after=1)], done=False, lease=LEASE)
        held.wait()
        ledger.cancel({"task": run.task_id}, "suite")
        database.wait_until_lease_over(run)  # more than one renewal has passed it by
        assert renewer.state(run) == "held"
        held.forward()
        a.result()
        while renewer.state(run) == "held":
            database.rows("select pg_sleep(0.01)")
        assert renewer.state(run) == "cancelled"
    finally:
        renewer.close()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("run.renew", lambda run: ([run.task_id], [run.attempt_no], LEASE)),
        ("run.cancel_copy", lambda run: ([run.task_id],)),
        ("run.reap", lambda run: ([run.task_id], [run.attempt_no])),
    ],
)
def test_a_waiting_statement_wrong_form_breaks(
    name: str,
    values: Callable[[_core.Run], tuple[object, ...]],
    ledger: _core.Ledger,
    held: Callable[..., Held],
    database: Database,
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)), lease=1)
    database.wait_until_lease_over(run)
    worker, other = held(), held()
    worker.run("run.fence", run.task_id, run.attempt_no, 0, 1, LEASE, None, 1, False, None)
    assert other.run(name, *values(run)) == []
    other.text("set local lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        other.text(wrong(name, (" skip locked", "")), *values(run))


# A cancel that nobody heard -------------------------------------------------------------------------------------------


def test_a_cancel_outlives_the_lease(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    assert ledger.cancel({"task": run.task_id}, "suite") == [{"task_id": run.task_id, "status": "RUNNING"}]
    assert database.missing(plan["cursor_id"], 0, 10) == []
    database.wait_until_lease_over(run)
    assert ledger.reap(lease=LEASE)["cancelled"] == 1
    assert database.task(run.task_id)["status_code"] == "CANCELLED"
    assert database.missing(plan["cursor_id"], 0, 10) == [(0, 10)]
    with pytest.raises(LeaseLost):
        finish(ledger, run)
    assert ledger.plan(request(0, 10))["slices"] == 1


def test_a_cancel_on_the_run_only_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    canceller = held()
    canceller.run("run.cancel_copy", [run.task_id])
    canceller.commit()
    assert database.run(run)["cancel_requested_at"] is not None
    database.wait_until_lease_over(run)
    assert ledger.reap(lease=LEASE)["lost"] == 1
    database.wait_until("select scheduled_at < clock_timestamp() from strandline.ing_task")
    (heir,) = claim(ledger, plan)
    finish(ledger, heir)  # nobody remembers the cancel
    assert database.task(run.task_id)["status_code"] == "SUCCEEDED"


def test_a_late_page_of_a_run_that_nobody_reaped_counts(ledger: _core.Ledger, database: Database) -> None:
    """The fence is the row, not the clock."""
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    database.wait_until_lease_over(run)
    assert finish(ledger, run)["records"] == 10
    assert ledger.reap(lease=LEASE)["lost"] == 0


def test_the_reaper_goes_task_then_run_and_skips_both() -> None:
    for name in ("run.reap_lock", "run.reap", "run.renew", "run.cancel_copy"):
        assert "skip locked" in query(name)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
