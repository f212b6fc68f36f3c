"""A connection lost around COMMIT: the page is there exactly once, and its run goes on, whatever the server knew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fix_ledger import LEASE, TARGET, Background, Database, Held, OpenLedger, claim, page, query, request
from fix_proxy import Proxy, ProxyOf

from strandline import _core
from strandline.errors import LeaseLost, Unreachable

ROWS = {"records": 5, "inserted": 5, "updated": 0, "unchanged": 0, "deleted": 0}


@pytest.fixture(params=["direct", "pgbouncer"])
def way(request: pytest.FixtureRequest, dsn: str, proxy_of: ProxyOf) -> Proxy:
    """A proxy before the server, or before a PgBouncer before it."""
    return proxy_of(dsn if request.param == "direct" else request.getfixturevalue("pgbouncer"))


def commit(ledger: _core.Ledger, run: _core.Run, *, done: bool) -> dict[str, int]:
    pages = [page(range(2), after=2), page(range(2, 5), after=5)]
    return ledger.commit(run, TARGET, pages, done=done, lease=20 * LEASE)


def check(ledger: _core.Ledger, run: _core.Run, database: Database, *, done: bool) -> None:
    """One copy of the rows, and a run that goes on where it stands."""
    assert database.ids() == [0, 1, 2, 3, 4]
    assert (run.batch_no, run.checkpoint) == (2, "5")
    if not done:
        ledger.commit(run, TARGET, [page(range(5, 10))], done=True, lease=LEASE)
        assert database.ids() == list(range(10))
    assert ledger.fold_all() == 1
    ledger.close_plan(run.plan_id)
    assert ledger.verify() == []


@pytest.mark.parametrize("done", [False, True], ids=["page", "last"])
@pytest.mark.parametrize("cut", ["before", "after"])
def test_commit_is_cut(
    cut: str,
    done: bool,
    way: Proxy,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    database: Database,
    background: Background,
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    worker = open_ledger(way.dsn)
    stop = way.stop_at("tx.commit")
    answer = background(commit, worker, run, done=done)
    stop.wait()
    if cut == "before":
        stop.cut_before()
    else:
        stop.cut_after()
    assert answer.result() == ROWS
    check(worker, run, database, done=done)


@pytest.mark.parametrize("done", [False, True], ids=["page", "last"])
def test_the_server_learns_of_the_commit_late(
    done: bool,
    way: Proxy,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    database: Database,
    background: Background,
) -> None:
    """The client gives up the connection and asks anew before the server gets the COMMIT: a plain look would say no."""
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    worker = open_ledger(way.dsn)
    stop = way.stop_at("tx.commit")
    answer = background(commit, worker, run, done=done)
    stop.wait()
    stop.hang_up()
    database.wait_until(
        "exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        " and query like '%run.doubt_lock%')"
    )
    stop.forward()
    assert answer.result() == ROWS
    check(worker, run, database, done=done)


def test_the_server_never_learns(
    way: Proxy, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, background: Background
) -> None:
    """Neither COMMIT nor the end of the connection arrives: the idle limit ends it, and the page is sent again."""
    plan = ledger.plan(request(0, 10))
    (run,) = ledger.claim("suite", 1, 20 * LEASE, plans=[plan["plan_id"]])
    worker = open_ledger(way.dsn)
    stop = way.stop_at("tx.commit")
    answer = background(commit, worker, run, done=False)
    stop.wait()
    stop.hang_up()
    assert answer.result() == ROWS
    check(worker, run, database, done=False)


def test_a_page_that_was_not_stored_is_lost_with_its_lease(
    proxy: Proxy, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    worker = open_ledger(proxy.dsn)
    backend = worker.backend_pid
    stop = proxy.stop_at("tx.commit")
    again = proxy.stop_at("run.doubt_lock")
    answer = background(commit, worker, run, done=False)
    stop.wait()
    stop.cut_before()
    again.wait()
    database.wait_until_lease_over(run)
    database.wait_until("not exists (select from pg_stat_activity where pid = $1::int)", backend)
    assert ledger.reap(lease=LEASE)["lost"] == 1
    again.forward()
    with pytest.raises(LeaseLost):
        answer.result()
    assert database.ids() == []


def test_the_same_call_again_gets_the_first_answer(
    proxy: Proxy, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, background: Background
) -> None:
    """The server stored the page and could not be asked; the caller repeats the call, and the fence finds no row."""
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    worker = open_ledger(proxy.dsn)
    stop = proxy.stop_at("tx.commit")
    answer = background(commit, worker, run, done=False)
    stop.wait()
    proxy.refuse()
    stop.cut_after()
    with pytest.raises(Unreachable):
        answer.result()
    assert run.batch_no == 0
    proxy.refuse(False)
    assert commit(worker, run, done=False) == ROWS
    check(worker, run, database, done=False)


def cut_after(proxy: Proxy, call: Callable[[], Any], behind: str, background: Background) -> Any:
    """The answer of a call whose COMMIT behind the statement `behind` is stored, and its answer lost."""
    statement = proxy.stop_at(behind)
    answer = background(call)
    statement.wait()
    stop = proxy.stop_at("tx.commit")
    statement.forward()
    stop.wait()
    stop.cut_after()
    return answer.result()


def test_a_plan_in_doubt_is_one_plan(
    proxy: Proxy, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, background: Background
) -> None:
    planner = open_ledger(proxy.dsn)
    plan = cut_after(proxy, lambda: planner.plan(request(0, 40)), "plan.tasks_copy", background)
    assert plan["slices"] == 4
    assert database.value("select count(*) from strandline.ing_plan") == 1
    assert len(claim(ledger, plan)) == 4


def test_a_run_given_back_in_doubt_is_given_back_once(
    proxy: Proxy, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, background: Background
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker = open_ledger(proxy.dsn)
    assert cut_after(proxy, lambda: worker.give_back(run, "PAUSED"), "task.leave", background) == "QUEUED"
    assert database.task(run.task_id)["attempt_no"] == 2


def test_a_failure_in_doubt_counts_once(
    proxy: Proxy, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, background: Background
) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    worker = open_ledger(proxy.dsn)
    cause = {"origin": "provider", "kind": "transient", "message": "no", "where": None}

    def fail() -> str:
        return worker.fail(run, cause, reason="PROVIDER_ERROR", retryable=True, backoff=[LEASE])

    assert cut_after(proxy, fail, "task.leave", background) == "QUEUED"
    task = database.task(run.task_id)
    assert (task["attempt_no"], task["failures"]) == (2, 1)


def test_a_fold_in_doubt_is_one_event(
    proxy: Proxy, ledger: _core.Ledger, open_ledger: OpenLedger, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    commit(ledger, run, done=True)
    folder = open_ledger(proxy.dsn)
    cut_after(proxy, lambda: folder.fold(plan["cursor_id"]), "cursor.write", background)
    assert database.mark(plan["cursor_id"]) == 10
    assert database.value("select count(*) from strandline.ing_cursor_event") == 1
    ledger.close_plan(run.plan_id)
    assert ledger.verify() == []


def test_a_look_without_the_lock_wrong_form_breaks(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    worker = open_ledger(proxy.dsn)
    stop = proxy.stop_at("tx.commit")
    answer = background(commit, worker, run, done=False)
    stop.wait()
    assert database.rows(query("run.doubt_look"), run.task_id, 2) == []  # it would be sent again
    stop.forward()
    answer.result()
    assert len(database.rows(query("run.doubt_look"), run.task_id, 2)) == 1


def test_the_lock_is_the_oracle(
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    proxy: Proxy,
    held: Callable[..., Held],
    database: Database,
    background: Background,
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    worker = open_ledger(proxy.dsn)
    stop = proxy.stop_at("tx.commit")
    answer = background(commit, worker, run, done=False)
    stop.wait()
    other = held()
    lock = background(other.run, "run.doubt_lock", run.task_id, run.attempt_no)
    database.wait_until_blocked(other.pid, by=worker.backend_pid)
    stop.forward()
    answer.result()
    assert lock.result()[0]["batch_no"] == 2
    assert len(other.run("run.doubt_look", run.task_id, 2)) == 1
